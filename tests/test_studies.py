from dataclasses import fields, replace

import pytest

from fewlabels import studies
from fewlabels.labels import sampling
from fewlabels.results import records
from fewlabels.scoring.metrics import Statistics
from fewlabels.studies import PROFILES, STUDIES, Claim, Run, Start
from fewlabels.training import losses
from fewlabels.types import UnknownName

START = Start("smp:Unet:resnet18", "none")


@pytest.mark.parametrize("name", STUDIES)
def test_cells_are_the_grid_and_then_the_bounds(name: str):
    study = STUDIES[name]
    conditions = study.conditions()
    expected = 1 if study.varies else 0
    for levels in study.varies.values():
        expected *= len(levels)
    assert len(conditions) == expected + len(study.bounds)
    assert list(conditions)[expected:] == list(study.bounds)


def test_system_e_is_two_by_two_and_a_dense_bound():
    assert list(STUDIES["E"].conditions()) == [
        "random, PCE",
        "random, focal",
        "stratified, PCE",
        "stratified, focal",
        "dense, PCE",
    ]


@pytest.mark.parametrize("name", STUDIES)
def test_every_scale_makes_runs_of_known_factors(name: str):
    for profile, kind in STUDIES[name].scales:
        data = "synthetic" if kind == "synthetic" else "dubai"
        scale = studies.scale(name, profile, data)
        runs = studies.runs(name, profile, data, scale.starts[0])
        assert len(runs) == len(STUDIES[name].conditions()) * len(scale.folds) * scale.replicates
        assert len(set(runs.values())) == len(runs)
        for run in runs.values():
            assert run.sampler in sampling.SAMPLERS
            assert run.loss in losses.LOSSES
            assert run.data.partition(":")[0] in (data, "ai4mars")


@pytest.mark.parametrize("name", STUDIES)
def test_conditions_of_a_unit_differ_only_in_what_the_study_varies(name: str):
    study = STUDIES[name]
    profile, kind = next(iter(study.scales))
    data = "synthetic" if kind == "synthetic" else "dubai"
    start = studies.scale(name, profile, data).starts[0]
    runs = studies.runs(name, profile, data, start)
    may = set(study.varies) | {f for bound in study.bounds.values() for f in bound}
    may |= {"model", "weights"} if may & {"encoder", "network", "blocks"} else set()
    units = {unit[1:] for unit in runs}
    for unit in units:
        mine = [run for (_, *of), run in runs.items() if tuple(of) == unit]
        shared = studies.shared_factors(mine)
        assert {f.name for f in fields(Run)} - set(shared) <= may


def test_conditions_of_system_c_change_one_thing_each_and_are_scored_alike():
    start = studies.scale("C", "published", "dubai").starts[0]
    runs = studies.runs("C", "published", "dubai", start)
    assert {run.data for run in runs.values()} == {
        "ai4mars:background",
        "ai4mars:background:cleaned",
    }  # whatever real data a report is about
    plain = vars(runs["plain", 0, 0])
    changed = {
        condition: {k for k, v in vars(runs[condition, 0, 0]).items() if v != plain[k]}
        for condition in STUDIES["C"].conditions()
    }
    assert changed == {
        "plain, background taught": {"ignored"},
        "SE + dropout, background taught": {"ignored", "model"},
        "plain": set(),
        "SE + dropout": {"model"},
        "full inception": {"model"},
        "attention gates": {"model"},
        "unweighted": {"class_weights"},
        "Dice": {"loss", "class_weights"},
        "Tversky": {"loss", "class_weights"},
        "focal Tversky": {"loss", "class_weights"},
        "CutMix": {"cutmix"},
        "rare class augmented": {"rare_below", "rare_times", "rare_augmentation"},
        "outliers left out": {"data"},
    }


def test_claims_name_cells_and_columns_that_exist():
    columns = {"miou", "accuracy", "steps_to_95", "step_seconds", "lowest_loss_elsewhere"}
    columns |= {"gap", "rarest_iou"}
    for study in STUDIES.values():
        for claim in study.claims.values():
            assert set(claim.conditions) <= set(study.compared())
            assert claim.metric in columns
            assert claim.sign in (-1, 1)


def test_cells_of_later_date_are_no_studys_only_ones():
    for study in STUDIES.values():
        first = set(study.conditions()) - set(study.later)
        assert len(first) == len(study.conditions()) - len(study.later)
        assert not study.claims or any(
            set(c.conditions) <= first | set(study.readings) for c in study.claims.values()
        )


def test_data_of_one_test_group_has_one_fold_and_no_leak():
    start = studies.scale("E", "full", "potsdam").starts[0]
    runs = studies.runs("E", "full", "potsdam", start)
    assert {fold for _, fold, _ in runs} == {0}
    assert {replicate for _, _, replicate in runs} == set(
        range(25)
    )  # the units of 5 folds x 5 replicates
    assert len({fold for _, fold, _ in studies.runs("E", "full", "dubai", start)}) == 5
    assert "leak" in studies.comparing("full", "dubai")
    assert "leak" not in studies.comparing("full", "potsdam")


def test_a_leak_is_measured_on_tiles_that_are_all_tested():
    for profile, kind in STUDIES["leak"].scales:
        data = "synthetic" if kind == "synthetic" else "dubai"
        assert len(studies.scale("leak", profile, data).folds) == 5


def test_the_home_profile_has_the_systems_own_settings():
    named = {
        name: next(
            iter(studies.runs(name, "home", "dubai", s.scales["home", "real"].starts[0]).values())
        )
        for name, s in STUDIES.items()
        if ("home", "real") in s.scales
    }
    assert "".join(named) == "ABCDE"
    wanted = ("optimiser", "schedule", "lr", "batch", "weight_decay")
    assert {name: tuple(getattr(run, factor) for factor in wanted) for name, run in named.items()
            if name in "ABE"} == {
        "A": ("adam", "constant", 1e-3, 8, 0.0),
        "B": ("adam", "constant", 1e-5, 32, 1e-4),
        "E": ("adam", "constant", 1e-3, 4, 1e-4),
    }  # fmt: skip


def test_rates_are_tried_where_no_test_tile_decides_and_else_as_system_e_runs():
    start = studies.scale("E", "published", "dubai").starts[0]
    tried = studies.runs("rates", "published", "dubai", start)
    apart = {"lr": 1e-3, "validation": "none", "watch": Run().watch}
    back = {replace(run, **apart) for run in tried.values() if run.validation == "sparse"}
    theirs = studies.runs("E", "published", "dubai", start)
    assert back == {run for (_, fold, replicate), run in theirs.items() if fold == replicate == 0}
    assert len(tried) == 3 * len(back)
    assert "rates" not in studies.comparing("published", "dubai")


def test_a_claim_names_all_cells_that_it_needs_once():
    claim = Claim("", "", ("a",), ("b",), measure="largest", rivals=(("c", "b"), ("d", "a")))
    assert claim.conditions == ("a", "b", "c", "d")


def test_digest_is_of_the_declaration():
    assert studies.digest(Run()) == studies.digest(Run())
    assert studies.digest(Run()) != studies.digest(replace(Run(), seed=1))


def test_names_that_are_not_in_the_table_are_refused():
    with pytest.raises(UnknownName, match="unknown study 'Z'; known: A, B, C, D, E"):
        studies.study("Z")
    with pytest.raises(UnknownName, match="unknown profile 'huge'"):
        studies.scale("E", "huge", "dubai")
    with pytest.raises(UnknownName, match="profile for synthetic data 'published'; known: full"):
        studies.scale("E", "published", "synthetic")
    with pytest.raises(TypeError, match="budgett"):
        replace(Run(), budgett=3)


def test_every_profile_is_used():
    assert {p for s in STUDIES.values() for p, _ in s.scales} == set(PROFILES)


def test_steps_to_share_needs_the_score_to_stay():
    import pandas as pd

    curve = pd.DataFrame({"step": [10, 20, 30, 40], "miou": [0.6, 0.3, 0.58, 0.6]})
    assert records.steps_to_share(curve, 0.95) == 30
    assert records.steps_to_share(curve, 0.1) == 10
    assert records.steps_to_share(curve.iloc[-1:], 0.95) == 40


def test_a_validation_says_whether_loss_and_score_agree_on_the_step():
    import numpy as np
    import pandas as pd

    history = pd.DataFrame({"step": [1, 2, 3], "val_loss": [0.4, None, 0.3]})
    history["val_sparse_miou"] = [0.7, None, 0.8]

    def validated(dense, **facts):
        none = history[["step"]]
        of = none if dense is None else history.assign(val_dense_miou=dense)
        bare = Statistics(np.zeros((0, 2, 2), int))
        return records.validated(records.Record("", studies.Run(), facts, of, (), bare))

    last = {"val_sparse_miou": 0.8, "val_dense_miou": 0.6}
    assert validated([0.5, None, 0.6]) == last | {"lowest_loss_elsewhere": 0}
    falling = {"val_sparse_miou": 0.8, "val_dense_miou": 0.5, "lowest_loss_elsewhere": 1}
    assert validated([0.6, None, 0.5], kept={"rule": "last", "step": 3}) == falling
    best = {"val_sparse_miou": 0.7, "val_dense_miou": 0.6, "lowest_loss_elsewhere": 1}
    assert validated([0.6, None, 0.5], kept={"rule": "best", "step": 1}) == best
    assert validated(None) == {}


def test_a_condition_fills_the_places_in_a_models_name_and_leads_to_its_weights():
    start = Start("smp:Unet:{encoder}", "none", {"resnet50": "ours"})
    condition = {"encoder": "resnet50", "amount": 0.2}
    named = {"model": "smp:Unet:resnet50", "weights": "ours"}
    assert start.filled(condition) == named | {"amount": 0.2}
    assert start.filled({"encoder": "resnet18"})["weights"] == "none"
    with pytest.raises(KeyError, match="encoder"):
        start.filled({"amount": 0.2})


def test_the_start_of_a_run_is_found_again():
    for start in studies.scale("A", "quick", "dubai").starts:
        run = next(iter(studies.runs("A", "quick", "dubai", start).values()))
        assert studies.start_of("A", "quick", "dubai", run) == start
    with pytest.raises(UnknownName, match="start of study A"):
        studies.start_of("A", "quick", "dubai", Run())


def test_the_table_of_factors_shows_what_varies_and_what_is_not_as_usual():
    start = studies.scale("B", "quick", "synthetic").starts[0]
    rows = {r["factor"]: r for r in studies.factors("B", "quick", "synthetic", start)}
    assert rows["network"]["value"] == "unet, unetpp"
    assert rows["beside the grid"]["value"] == "U-Net, dense"
    assert (rows["lr"]["value"], rows["validation"]["value"]) == ("0.005", "dense")
    assert not {"tversky_gamma", "cutmix", "model"} & set(rows)
    start = studies.scale("A", "quick", "synthetic").starts[0]
    of_a = studies.factors("A", "quick", "synthetic", start)
    assert "beside the grid" not in {row["factor"] for row in of_a}


@pytest.mark.parametrize("groups", [2, 3, 4])
def test_data_of_few_groups_of_sites_has_no_fold_that_is_not_there(groups: int):
    start = studies.scale("E", "full", "folder").starts[0]
    units = {unit[1:] for unit in studies.runs("E", "full", "folder", start, groups)}
    assert {fold for fold, _ in units} == set(range(groups))
    assert 25 - groups < len(units) <= 25  # of five replicates on five folds


@pytest.mark.parametrize(("groups", "there"), [(2, False), (3, True), (None, True)])
def test_a_study_that_validates_needs_a_third_group(groups: int | None, there: bool):
    names = studies.comparing("smoke", "folder", groups)
    assert "E" in names
    assert [name in names for name in ("B", "C")] == [there, there]
    assert ("selection" in studies.comparing("quick", "folder", groups)) == there


def test_where_we_depart_is_said_of_the_five_systems_alone():
    assert [name for name in studies.STUDIES if studies.study(name).deviations] == list("ABCDE")
