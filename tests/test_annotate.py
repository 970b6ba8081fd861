"""The simulated annotator: what it is asked, and that both arms cost the same."""

from dataclasses import replace

import numpy as np
import pytest

from fewlabels import cli
from fewlabels.data import registry
from fewlabels.experiments import annotate, recommendations
from fewlabels.labels import sampling
from fewlabels.types import IGNORE, RecordError


def test_the_annotator_is_asked_where_the_margin_is_small_and_answers_with_the_mask():
    rng = np.random.default_rng(0)
    first = np.linspace(0.5, 1, 400, dtype=np.float32).reshape(20, 20)  # margin grows with the row
    probabilities = np.stack([first, 1 - first])
    mask = rng.integers(0, 2, (20, 20)).astype(np.uint8)
    mask[0, :5] = IGNORE
    labels = np.full((20, 20), IGNORE, np.uint8)
    labels[0, 5:8] = mask[0, 5:8]
    more = annotate.uncertain(probabilities, labels, mask, np.random.default_rng(0))
    new = np.flatnonzero((more != IGNORE) & (labels == IGNORE))
    free = [i for i in range(400) if not i < 8]
    assert len(new) == 10
    assert set(new.tolist()) <= set(free[: round(0.05 * len(free))])
    assert (more.ravel()[new] == mask.ravel()[new]).all()
    assert (more[0, 5:8] == labels[0, 5:8]).all()
    assert (labels != IGNORE).sum() == 3


def test_fewer_free_pixels_are_all_asked_for():
    mask = np.full((3, 3), IGNORE, np.uint8)
    mask[1] = 1
    none = np.full((3, 3), IGNORE, np.uint8)
    flat = np.full((2, 3, 3), 0.5, np.float32)
    more = annotate.uncertain(flat, none, mask, np.random.default_rng(0))
    assert np.array_equal(more, mask)


def test_arms_share_everything_but_where_is_clicked_and_are_recorded_once(
    tmp_path, monkeypatch, caplog
):
    runs = {
        unit: replace(run, grid=128, steps=annotate.ROUNDS)
        for unit, run in annotate.declared("smoke", "synthetic").items()
        if unit[2] == 0
    }
    assert [unit[0] for unit in runs] == ["random", "margin"]
    assert len(set(runs.values())) == 1
    trained = []
    fit = annotate.loop.fit

    def spied(model, batches, *rest, **options):
        trained.append({tile.id: tile.labels for tile in batches.tiles})
        return fit(model, batches, *rest, **options)

    monkeypatch.setattr(annotate.loop, "fit", spied)
    found = annotate.execute(runs, tmp_path, device="cpu")
    assert len(trained) == 2 * annotate.ROUNDS
    tiles = registry.load("synthetic", None, 0, split="train", grid=128)
    for number in range(annotate.ROUNDS):
        random, margin = trained[number], trained[annotate.ROUNDS + number]
        for tile in tiles:
            asked = 10 * (number + 1)
            drawn = sampling.draw(tile.mask, "random", asked, seed=0, tile=tile.id)
            assert np.array_equal(random[tile.id], drawn)
            known = margin[tile.id] != IGNORE
            assert known.sum() == asked
            assert (margin[tile.id][known] == tile.mask[known]).all()
            if number == 0:
                assert np.array_equal(margin[tile.id], drawn)
            else:
                before = trained[annotate.ROUNDS + number - 1][tile.id]
                assert known[before != IGNORE].all()
    for record in found.values():
        assert record.history["step"].tolist() == [1, 2, 3, 4, 5]
        assert record.history["miou"].notna().all()
        assert record.facts["labels"]["pixels"] == 50 * len(tiles)
    again = annotate.execute(runs, tmp_path, device="cpu")
    assert len(trained) == 2 * annotate.ROUNDS
    assert set(again) == set(found)
    row = recommendations.clicks(found).iloc[0]
    assert row["n"] == 1
    assert row["verdict"].startswith("cannot tell")
    assert "n = 1): cannot tell" in recommendations.clicks_said(tmp_path)
    other = {unit: replace(run, lr=1e-9) for unit, run in runs.items()}
    with pytest.raises(RecordError, match="another run"):
        annotate.recorded(other, tmp_path)


def test_without_records_nothing_is_claimed(tmp_path, capsys):
    assert "not been measured" in recommendations.clicks_said(tmp_path)
    asked = ["clicks", "--profile", "smoke", "--dry-run", "--runs", str(tmp_path)]
    assert cli.main(asked) == 0
    assert capsys.readouterr().out == (
        "clicks on synthetic, profile smoke: 4 runs, 0 recorded, 4 to train\n"
    )
