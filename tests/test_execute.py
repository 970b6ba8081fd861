"""Notebooks are executed strictly: a wrong parameter, an error or a death is never success."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import nbformat
import pytest

from fewlabels.report import execute as execution
from fewlabels.report.cells import options
from fewlabels.report.execute import execute_all
from fewlabels.types import NotebookError

COMMON = {"data": "synthetic", "profile": "smoke", "device": "cpu"}


def write(folder, stem, body, parameters=""):
    """A py:percent notebook that declares COMMON and `parameters`, then runs `body`."""
    declared = "\n".join(f'{name} = "unset"' for name in COMMON)
    body, parameters = textwrap.dedent(body).strip(), textwrap.dedent(parameters).strip()
    source = folder / f"{stem}.py"
    source.write_text(
        "# %% [markdown]\n# # A notebook\n\n"
        f'# %% tags=["parameters"]\n{declared}\n{parameters}\n\n# %%\n{body}\n'
    )
    return source


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A notebook executed once, and the call that did it."""
    folder = tmp_path_factory.mktemp("finished")
    body = 'import os\nprint(data, steps, os.environ["TQDM_DISABLE"], os.getcwd())'
    source = write(folder, "00_fine", body, "steps = 1")
    (target,) = execute_all([source], folder / "out", COMMON, own={"00_fine": {"steps": 7}})
    return source, target


@pytest.fixture
def child_runs(monkeypatch):
    """Counts the kernels that would be started; none is."""
    started = []

    def refused(*args, **options):
        started.append(args)
        raise NotebookError("counted")

    monkeypatch.setattr(execution, "AsyncKernelManager", refused)
    return started


def test_values_given_replace_values_declared(finished):
    source, target = finished
    cells = nbformat.read(target, as_version=4).cells
    assert cells[-1].outputs[0].text.split() == ["synthetic", "7", "1", str(source.parent)]


def test_nothing_but_copy_and_log_is_left(finished):
    _, target = finished
    names = sorted(path.name for path in target.parent.iterdir())
    assert names == ["00_fine.ipynb", "00_fine.log"]


def test_kernel_is_reached_without_a_warning(finished):
    _, target = finished
    assert "warn" not in target.with_suffix(".log").read_text().lower()


def test_notebooks_run_at_the_same_time_each_with_its_share_of_the_cores(tmp_path, monkeypatch):
    """Each of two ends only once the other has begun."""
    both = threading.Barrier(2, timeout=60)

    def execute(source, out, values, threads, *_):
        both.wait()
        assert threads["OMP_NUM_THREADS"] == str(max(1, os.cpu_count() // 2))
        return out / source.stem

    monkeypatch.setattr(execution, "_execute", execute)
    sources = [write(tmp_path, f"0{number}_meets", "pass") for number in (0, 1)]
    targets = execute_all(sources, tmp_path / "out", COMMON, at_once=2)
    assert [target.name for target in targets] == ["00_meets", "01_meets"]


def test_notebooks_of_all_others_begin_when_these_are_finished(tmp_path, monkeypatch):
    ended = []

    def execute(source, *_):
        time.sleep(0.3 if source.stem == "00_slow" else 0)
        ended.append(source.stem)
        return source

    monkeypatch.setattr(execution, "_execute", execute)
    first, rests = (write(tmp_path, stem, "pass") for stem in ("00_slow", "90_rests"))
    targets = execute_all([rests, first], tmp_path / "out", COMMON, at_once=2, last=["90_rests"])
    assert [target.stem for target in targets] == ["90_rests", "00_slow"] == ended[::-1]


def test_after_a_notebook_that_raised_no_other_is_started(tmp_path, monkeypatch):
    """Of two at once, the second raises while the first still runs."""
    names, begun, raised = ("00_slow", "01_raises", "02_later", "03_later"), [], threading.Event()

    def child(source, *_):
        begun.append(source.stem)
        if source.stem == "01_raises":
            raised.set()
            raise NotebookError("01_raises.py: no")
        assert raised.wait(60)
        time.sleep(0.2)
        return source

    monkeypatch.setattr(execution, "_execute", child)
    with pytest.raises(NotebookError, match=r"01_raises\.py"):
        sources = [write(tmp_path, name, "pass") for name in names]
        execute_all(sources, tmp_path / "out", COMMON, at_once=2)
    assert sorted(begun) == ["00_slow", "01_raises"]


def test_unknown_parameter_stops_before_the_first_notebook(tmp_path, child_runs):
    first, second = write(tmp_path, "00_a", "pass"), write(tmp_path, "01_b", "pass", "steps = 1")
    with pytest.raises(NotebookError, match=r"01_b\.py.*'stpes'.*data, profile, device, steps"):
        execute_all([first, second], tmp_path / "out", COMMON, own={"01_b": {"stpes": 3}})
    assert child_runs == []


def test_common_parameter_has_to_be_declared_by_every_notebook(tmp_path, child_runs):
    source = tmp_path / "00_bare.py"
    source.write_text("# %%\n1 + 1\n")
    with pytest.raises(NotebookError, match=r"00_bare\.py.*'data'.*known: none"):
        execute_all([source], tmp_path / "out", COMMON)


def test_parameters_of_a_notebook_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="unknown notebook '99_gone'; known: 00_a"):
        execute_all([write(tmp_path, "00_a", "pass")], tmp_path, COMMON, own={"99_gone": {}})


def test_default_that_follows_another_parameter_is_refused(tmp_path):
    source = write(tmp_path, "00_derived", "pass", "steps = 2\nwarmup = 2 * steps")
    with pytest.raises(NotebookError, match=r"warmup = 2 \* steps"):
        execute_all([source], tmp_path / "out", COMMON)


def test_notebook_that_raises_is_named_and_kept(tmp_path):
    source = write(tmp_path, "00_raises", "rate = 1\nrate / 0")
    with pytest.raises(NotebookError) as raised:
        execute_all([source], tmp_path / "out", COMMON)
    message = str(raised.value)
    assert "'00_raises.py', cell 3 ('rate = 1'): ZeroDivisionError: division by zero" in message
    assert str(tmp_path / "out" / "00_raises.failed.ipynb") in message
    assert sorted(os.listdir(tmp_path / "out")) == ["00_raises.failed.ipynb", "00_raises.log"]


def test_killed_kernel_is_an_error(tmp_path):
    source = write(tmp_path, "00_dies", "import os\nos.kill(os.getpid(), 9)")
    with pytest.raises(NotebookError, match=r"cell 3 \('import os'\).*[Kk]ernel died"):
        execute_all([source], tmp_path / "out", COMMON)
    assert not (tmp_path / "out" / "00_dies.ipynb").exists()


def test_kernel_that_does_not_start_is_an_error(tmp_path, monkeypatch):
    (tmp_path / "profile_default" / "startup").mkdir(parents=True)
    (tmp_path / "profile_default" / "startup" / "00.py").write_text("import os\nos._exit(3)")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    with pytest.raises(NotebookError, match=r"'00_fine.py': .*[Kk]ernel died"):
        execute_all([write(tmp_path, "00_fine", "pass")], tmp_path / "out", COMMON)
    assert not (tmp_path / "out" / "00_fine.ipynb").exists()


def test_cell_options_go_on_in_indented_lines():
    source = '#| label: fig-a\n#| fig-cap: "One: two,\n#|   three."\n\nplot()\n'
    assert options(source) == ({"label": "fig-a", "fig-cap": "One: two, three."}, "plot()")
    with pytest.raises(NotebookError, match="fig-captoin"):
        options("#| fig-captoin: x\nplot()")
    with pytest.raises(NotebookError, match="echo is true or false"):
        options("#| echo: no\nplot()")


def test_progress_of_a_study_is_passed_on_and_noise_is_not(tmp_path, caplog):
    source = write(
        tmp_path, "00_says", "print('noise'); print('study E, run 1 of 2: x', flush=True)"
    )
    with caplog.at_level("INFO"):
        (target,) = execute_all([source], tmp_path / "out", COMMON)
    said = [record.getMessage().strip() for record in caplog.records]
    assert [line for line in said if line in ("noise", "study E, run 1 of 2: x")] == said[2:3]
    assert target.with_suffix(".log").read_text() == "noise\nstudy E, run 1 of 2: x\n"


def test_notebook_ends_with_the_process_that_asked_for_it(tmp_path):
    """Killed outright, that process cannot tell its kernels to end: they see that it is gone."""
    mine = tmp_path / "kernel"
    body = f"import os, time\nopen({str(mine)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    source = write(tmp_path, "00_long", body)
    code = (
        "from pathlib import Path; from fewlabels.report.execute import execute_all; "
        f"execute_all([Path({str(source)!r})], Path({str(tmp_path / 'out')!r}), {COMMON!r})"
    )
    parent = subprocess.Popen([sys.executable, "-c", code])
    assert within(60, lambda: mine.exists() and mine.read_text())
    parent.kill()
    parent.wait()
    assert within(30, lambda: not alive(int(mine.read_text())))
    assert not (tmp_path / "out" / "00_long.ipynb").exists()


def test_after_a_signal_the_notebooks_under_way_end_and_no_other_is_started(tmp_path):
    """SIGTERM reaches this process alone, unlike Ctrl-C."""
    mine, begun = tmp_path / "process", tmp_path / "begun"
    waits = (
        f"import os\nopen({str(mine)!r}, 'w').write(str(os.getpid()))\nimport time\ntime.sleep(600)"
    )
    sources = [write(tmp_path, "00_waits", waits)]
    sources.append(write(tmp_path, "01_later", f"open({str(begun)!r}, 'w').close()"))

    def interrupt():
        if within(60, lambda: mine.exists() and mine.read_text()):
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may ignore it
    try:
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            execute_all(sources, tmp_path / "out", COMMON)
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)
    assert not alive(int(mine.read_text()))
    assert not begun.exists()


def within(seconds, happened):
    end = time.monotonic() + seconds
    while not happened() and time.monotonic() < end:
        time.sleep(0.05)
    return happened()


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
