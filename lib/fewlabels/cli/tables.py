"""The commands on studies whose runs are rows of a table: study W and the frozen arm."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from fewlabels import paths
from fewlabels.data.dataset import Dataset
from fewlabels.types import FewLabelsError

if TYPE_CHECKING:
    from fewlabels.experiments.tables import Each

MOST = 64  # workers on this machine, at most


def run(wanted: argparse.Namespace) -> None:
    """Add what is missing to the table of study W or of the frozen arm on a data set; `sweep` does
    the work at once.
    """
    from fewlabels.studies import frozen_arm as arm
    from fewlabels.studies import w

    whole = wanted.study == "W"
    folder = "whole_maps" if whole else arm.KEY
    file = (wanted.runs or paths.runs_root() / folder) / f"{wanted.data}.parquet"
    tiles = _tiles(wanted.study, wanted.data, wanted.root)
    study, learners = (w, w.LEARNERS) if whole else (arm, (arm.HEAD, *arm.LEARNERS))
    print(
        f"{wanted.study} on {wanted.data}: {len(set(tiles.sites))} sites, learners "
        f"{', '.join(learners)}, {study.REPLICATES} replicates; rows are added to '{file}'"
    )
    if not wanted.dry_run:
        (_whole_maps if whole else _frozen_arm)(tiles, file, wanted)


def _each(wanted: argparse.Namespace, name: str, called: str = "") -> "Each":
    """Where the jobs on a data set are done: in this process, or on the workers of a sweep."""
    from fewlabels.experiments import tables

    if wanted.command == "run":
        return tables.here
    from fewlabels.experiments import workers

    where = wanted.scheduler or workers.local(wanted.device, MOST, wanted.workers)
    return workers.each(where, name, wanted.root, called)


def _frozen_arm(tiles: Dataset, file: Path, wanted: argparse.Namespace) -> None:
    from fewlabels.experiments import fold_networks, frozen_arm
    from fewlabels.results import frozen_arm as results
    from fewlabels.studies import frozen_arm as arm

    more = {"device": wanted.device, "each": _each(wanted, tiles.name)}
    frozen_arm.run(tiles, file, range(arm.REPLICATES), learners=arm.LEARNERS, **more)
    of = {part: file.with_name(f"{wanted.data}{part}.parquet") for part in results.PARTS}
    patches = _tiles(wanted.study, f"{wanted.data}:patches", wanted.root)
    frozen_arm.run(
        patches, of[results.PATCHES], range(arm.REPLICATES), device=wanted.device,
        each=_each(wanted, patches.name),
    )  # fmt: skip
    if wanted.data in arm.TUNED_DATA:
        fold_networks.run(tiles, of[results.NETWORKS], range(1), list(arm.TUNED), **more)


def _whole_maps(tiles: Dataset, file: Path, wanted: argparse.Namespace) -> None:
    """Add what is missing to the tables of study W on a data set, the cheap ones first."""
    from fewlabels.data import registry
    from fewlabels.experiments import additions, applied, site_networks, whole_maps
    from fewlabels.results import whole_maps as maps
    from fewlabels.studies import w

    data, draws = tiles.name, range(w.REPLICATES)
    names = whole_maps.sites(tiles, w.DEVELOPMENT.get(data, ()))
    added, scribbled, varied, nets = (
        file.with_name(f"{data}{part}.parquet") for part in maps.PARTS[1:]
    )
    more = {"device": wanted.device, "bands": w.BANDS.get(data, ()), "each": _each(wanted, data)}
    whole_maps.run(tiles, file, names, w.LEARNERS, draws, **more)
    additions.run(tiles, added, names, draws, **more)
    whole_maps.run(tiles, scribbled, names, [w.SCRIBBLED_FOR], draws, scribbled=True, **more)
    if data in w.VARIANTS:
        other = w.VARIANTS[data]
        shown = registry.load(other.data, wanted.root, split="all", grid=other.grid)
        same = [name for name in names if shown.sites.count(name) == tiles.sites.count(name)]
        whole_maps.run(
            replace(shown, name=data), varied, same, w.VARIED, draws, device=wanted.device,
            each=_each(wanted, other.data, data),
        )  # fmt: skip
    applied.run(tiles, file.with_name(maps.APPLICABILITY), names, range(1), **more)
    if data in w.NETWORK_DATA:
        site_networks.run(tiles, nets, names[: w.NETWORK_SITES], range(1), **more)


def verify(wanted: argparse.Namespace) -> None:
    """Run a part of the published rows of a data set again.

    Raises:
        FewLabelsError: a row did not come out again.
    """
    import pandas as pd

    from fewlabels.experiments import frozen_arm, tables, whole_maps
    from fewlabels.results import frozen_arm as arm
    from fewlabels.results import whole_maps as maps
    from fewlabels.studies import w

    tiles = _tiles(wanted.records, wanted.key, wanted.root)
    if wanted.records == "W":
        bands = w.BANDS.get(wanted.key, ())
        files = [maps.folder() / f"{wanted.key}{part}.parquet" for part in ("", maps.SCRIBBLED)]
        wrong = pd.concat(
            whole_maps.differing(tiles, tables.read(file), device=wanted.device, bands=bands)
            for file in files if file.exists()
        )  # fmt: skip
    else:
        table = tables.read(arm.folder() / f"{wanted.key}.parquet")
        wrong = frozen_arm.differing(tiles, table, device=wanted.device)
    if len(wrong):
        raise FewLabelsError(f"{len(wrong)} of the rows that were run again did not come out")
    print(f"{wanted.records} on {wanted.key}: all rows that were run again came out")


def _tiles(study: str, data: str, root: Path | None) -> Dataset:
    """All tiles of a data set, at the size that a study of tables has them."""
    from fewlabels.data import registry
    from fewlabels.studies import frozen_arm as arm

    grid = {"grid": arm.GRID.get(data.partition(":")[0], 512)} if study == arm.KEY else {}
    return registry.load(data, root, split="all", **grid)
