"""Which code made a result: the same on every Python, whatever its prose; other where it counts."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fewlabels.experiments import source_hash, versioning

SOURCE = r'''
"""What a module says of itself."""

LIMIT: float = 1e-3
"""What a constant says of itself."""


def told(name: str, /, *, width: int = 4, **others: object) -> str:
    """What a function says of itself."""
    table = {"a": 1, "b": f"{'x' + f'{width!r:>{width + 2}}'}"}  # nested f-strings
    with open(name) as file, open("b") as other:
        first, *rest = [line async for line in file] if False else [b"", 1j, ..., -0.0]
    return "one " f"two {name=} {table['b']:{width}.3f}" " three" f"" f"{rest!s}" "{{}}"
'''
FROZEN = "a1395e6f532a743aba1d024a8bd66d285e1962acfe18fa0c8de384c4f0ccfe9c"
OTHERS = ("python3.11", "python3.12", "python3.13")


def test_every_module_of_a_package_is_in_the_code_version():
    names = {str(f).split("fewlabels/")[-1] for f in versioning.result_files()}
    assert {
        "training/losses/region.py",
        "training/networks/pretrained.py",
        "training/loop.py",
    } <= names
    assert all(f.is_file() for f in versioning.result_files())
    assert len(set(versioning.result_files())) == len(versioning.result_files())


def test_what_makes_the_pixels_is_in_the_code_version_and_what_fetches_files_is_not():
    names = {f.name for f in versioning.result_files()}
    assert {"dubai.py", "chips.py", "dataset.py", "cache.py", "layout.py"} <= names
    assert "download.py" not in names


def test_prose_does_not_change_the_hash_and_code_does():
    base = 'def f(x):\n    """Says."""\n    return x\n'
    spaced = base.replace("Says", "Tells").replace("x\n", "x  # why\n\n")
    assert source_hash.canonical(base) == source_hash.canonical(spaced)
    assert source_hash.canonical(base) != source_hash.canonical(
        base.replace("return x", "return -x")
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('["a", "b"]', '["ab"]'),
        ('f"{x}a"', 'f"{x}" + "a"'),
        ("1", "1.0"),
        ("1", "True"),
        ('"1"', "1"),
        ("f(a)", "f(*a)"),
        ("x = 1", "x += 1"),
        ("a < b", "a <= b"),
        ("def f(*, a): pass", "def f(a): pass"),
        ("x: int = 1", "x = 1"),
    ],
)
def test_sources_that_do_different_things_have_different_hashes(one: str, other: str):
    assert source_hash.canonical(one) != source_hash.canonical(other)


def test_texts_side_by_side_are_one_text():
    assert source_hash.canonical('f"a" "b" f"{x}" ""') == source_hash.canonical('f"ab{x}"')


def test_the_hash_of_a_fixed_source_never_changes(tmp_path: Path):
    file = tmp_path / "source.py"
    file.write_text(SOURCE)
    assert source_hash.sha256([file]) == FROZEN


@pytest.mark.parametrize("python", OTHERS)
def test_every_python_here_gives_the_same_hashes(python: str, tmp_path: Path):
    """Of the fixed source, and of all that the code version covers."""
    if (
        not shutil.which(python)
        or subprocess.run([python, "-c", ""], capture_output=True).returncode
    ):
        pytest.skip(f"{python} is not installed")
    file = tmp_path / "source.py"
    file.write_text(SOURCE)
    files = [file, *versioning.result_files()]
    code = "import sys, pathlib, source_hash as s; print(s.sha256(map(pathlib.Path, sys.argv[1:])))"
    folder = Path(source_hash.__file__).parent
    run = [python, "-P", "-c", f"import sys; sys.path.append({str(tmp_path)!r}); {code}"]
    (tmp_path / "source_hash.py").write_text((folder / "source_hash.py").read_text())
    done = subprocess.run([*run, *map(str, files)], capture_output=True, text=True)
    assert done.stdout.strip() == source_hash.sha256(files), (
        f"{python}, {sys.version}: {done.stderr}"
    )
