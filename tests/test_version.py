from fewlabels import version


def test_every_module_of_a_package_is_in_the_code_version():
    names = {str(f).split("fewlabels/")[-1] for f in version.result_files()}
    assert {"losses/region.py", "losses/labelled.py", "models/pretrained.py", "train.py"} <= names
    assert all(f.is_file() for f in version.result_files())
    assert len(set(version.result_files())) == len(version.result_files())


def test_prose_does_not_change_the_code_version_and_code_does():
    base = 'def f(x):\n    """Says."""\n    return x\n'
    assert version.bare(base) == version.bare(
        base.replace("Says", "Tells").replace("x\n", "x  # why\n")
    )
    assert version.bare(base) != version.bare(base.replace("return x", "return -x"))
