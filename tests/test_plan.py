"""What a plan counts, and the time it expects, against arithmetic by hand."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from fewlabels import cli, studies
from fewlabels.experiments import plan, run, sweep
from fewlabels.results import records
from fewlabels.studies import Run
from fewlabels.training import loop

TINY = Run(
    grid=64, crop=32, batch=2, steps=3, watch=2, model="smp:Unet:mobilenet_v2", precision="fp32"
)
START = studies.Start("smp:Unet:resnet18:3", "none")
HERE = "cpu of the test"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("records")
    return root / run.execute(TINY, runs=root, device="cpu").key


def recorded(template: Path, store: Path, train_seconds: float, **factors: object) -> None:
    """Add a record of a run with these factors to a study's file; scoring took 2 seconds."""
    one = records.read(template.parent, template.name)
    costs = {"cost": {"train_seconds": train_seconds, "test_seconds": 2.0}}
    facts = one.facts | costs | {"environment": one.facts["environment"] | {"device": HERE}}
    key, this = f"{len(records.read_all(store)):012x}", dataclasses.replace(one.run, **factors)
    records.add(store, [dataclasses.replace(one, key=key, run=this, facts=facts)])


def test_a_run_takes_its_steps_and_its_scorings_at_the_median_speed(template, tmp_path: Path):
    store = tmp_path / "S.parquet"
    for seconds in (6.0, 9.0, 300.0):  # 3 steps each: 2, 3 and 100 seconds a step
        recorded(template, store, seconds)
    wanted = [dataclasses.replace(TINY, steps=30, watch=5), dataclasses.replace(TINY, seed=1)]
    assert plan.estimate(wanted, [store], HERE) == ((30 * 3 + 6 * 2) + (3 * 3 + 3 * 2), 3)


def test_records_of_the_same_sizes_are_preferred_to_others(template, tmp_path: Path):
    store = tmp_path / "S.parquet"
    recorded(template, store, 3.0)
    recorded(template, store, 30.0, crop=64)
    assert plan.estimate([TINY], [store], HERE) == (3 * 1 + 3 * 2, 2)
    other = plan.estimate([dataclasses.replace(TINY, batch=4)], [store], HERE)
    assert other == (3 * 5.5 + 3 * 2, 2)


def test_another_device_and_a_damaged_record_say_nothing(template, tmp_path: Path):
    recorded(template, tmp_path / "S.parquet", 3.0)
    assert plan.estimate([TINY], [tmp_path / "S.parquet"], "cpu of another")[1] == 0
    (tmp_path / "S.parquet").write_bytes(b"PAR1")
    assert plan.estimate([TINY], [tmp_path / "S.parquet"], HERE)[1] == 0


@pytest.mark.parametrize(("replicates", "shown"), [(1, []), (2, ["E"])])
def test_one_run_a_condition_is_not_published(
    template, replicates: int, shown: list[str], monkeypatch
):
    record = records.read(template.parent, template.name)
    found = {("condition", 0, replicate): record for replicate in range(replicates)}
    declared = dict.fromkeys(found, record.run)
    made = plan.Plan("E", "published", "dubai", None, Path(), declared, found)
    monkeypatch.setattr(sweep, "plan", lambda *_: made)
    monkeypatch.setattr(studies, "declared", lambda *_: ["E"])
    assert sweep.available("published", "dubai") == shown


def test_a_plan_counts_what_is_recorded_and_what_is_missing(template, tmp_path: Path, monkeypatch):
    study = studies.study("E")
    kept = {k: getattr(TINY, k) for k in ("grid", "crop", "batch", "steps", "precision", "watch")}
    scale = studies.Scale((START,), (0,), 2, kept)
    varied = dataclasses.replace(study, scales={("smoke", "synthetic"): scale})
    monkeypatch.setattr(studies, "STUDIES", {"E": varied})
    start = studies.Start(TINY.model, "none")
    shutil.copytree(template, tmp_path / template.name)
    made = plan.plan("E", "smoke", "synthetic", start, runs=tmp_path)
    assert list(made.found) == [("random, PCE", 0, 0)]
    assert made.found["random, PCE", 0, 0].run == TINY
    assert (len(made.declared), len(made.missing), made.steps) == (10, 9, 27)
    assert set(made.keys) == set(made.missing)
    assert plan.described(made, "cpu of another") == (
        "study E on synthetic, profile smoke: 10 runs, 1 recorded, 9 to train in 27 steps\n"
        "estimated time on cpu of another: unknown, no run is recorded from such a device"
    )
    recorded(template, tmp_path / "S.parquet", 300.0)  # 306 s a run, and five rounds of two
    (tmp_path / "b").mkdir()
    (tmp_path / "S.parquet").rename(tmp_path / "b" / "record.parquet")
    assert plan.described(made, HERE, 2).splitlines()[1] == (
        f"estimated time on 2 workers ({HERE} each): 26 min (from 1 record(s) of it)"
    )


def test_a_published_study_is_planned_without_its_data(tmp_path: Path):
    made = plan.plan("E", "published", "dubai", START, root=tmp_path, runs=tmp_path / "none")
    assert len(made.missing) == len(made.declared) > 0


@pytest.mark.parametrize("command", ["run", "sweep"])
def test_a_dry_run_prints_the_plan_and_trains_nothing(
    command: str, capsys, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(loop, "fit", None)
    assert cli.main([command, "D", "--profile", "smoke", "--device", "cpu", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "10 runs, 0 recorded, 10 to train in 40 steps" in said
    assert "estimated time on " in said
