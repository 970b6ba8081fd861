"""The command line: `fewlabels data | run | audit | lint | report`, each with `--help`."""

import argparse
import logging
import sys
from pathlib import Path

from fewlabels import paths
from fewlabels.files import naming_a_full_disk
from fewlabels.studies import PROFILES, STUDIES
from fewlabels.types import FewLabelsError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0, or 1 with one line on standard error that says what is wrong."""
    wanted = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        wanted.command(wanted)
    except FewLabelsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _data(wanted: argparse.Namespace) -> None:
    from fewlabels import datasets

    root = datasets.fetch(wanted.name, wanted.root or paths.data_root())
    tiles = datasets.load(wanted.name, root, split="all", grid=wanted.grid)
    print(f"{wanted.name}: {len(tiles)} tiles of {len(set(tiles.places))} places, "
          f"{len(tiles.folds)} test group(s), classes {', '.join(tiles.classes)}")  # fmt: skip
    print(f"data hash {tiles.fingerprint[:12]}, cache {tiles.tiles.folder}")


def _run(wanted: argparse.Namespace) -> None:
    from fewlabels import records, sweep

    found = sweep.execute(
        wanted.study, wanted.profile, wanted.data, root=wanted.root, runs=wanted.runs,
        device=wanted.device,
    )  # fmt: skip
    columns = ["cell", "fold", "pair", "miou", "accuracy", "steps_to_95", "seconds", "key"]
    print(records.table(found)[columns].round(3).to_string(index=False))


def _audit(wanted: argparse.Namespace) -> None:
    from fewlabels import audits, datasets

    tiles = datasets.load(wanted.data, wanted.root, split="all", grid=wanted.grid)
    table = audits.audited(tiles, tiles.classes)
    print(audits.shares(table, by=()).round(4).to_string())
    print(audits.record(table, wanted.data))


def _lint(wanted: argparse.Namespace) -> None:
    from fewlabels import lint, records

    if wanted.results is None:
        print("\n".join(finding.line() for finding in lint.theirs()))
        return
    found = {}
    for letter, study in STUDIES.items():
        found |= lint.grouped(letter, study, records.read_all(wanted.results / letter))
    wrong = lint.ours(found)
    explained = lint.settled(wrong, lint.EXPLAINED)["explained"]
    for finding, why in zip(wrong, explained, strict=True):
        print(f"{finding.line()} (explained: {why})")
    counted = ", ".join(f"{name} {len(runs)}" for name, runs in found.items())
    print(f"records: {counted}; findings: {len(wrong)}, all explained")


def _report(wanted: argparse.Namespace) -> None:
    from fewlabels.report.make import make

    with naming_a_full_disk(paths.project_root() / "report" / "_build"):
        for file in make(wanted.data, wanted.profile, device=wanted.device):
            print(file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fewlabels", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="data | run | audit | lint | report")

    data = commands.add_parser("data", help="fetch a data set if it is missing, and decode it")
    data.add_argument(
        "name", help="synthetic, dubai, ai4mars, landcoverai, deepglobe, potsdam, folder"
    )
    data.add_argument("--grid", type=int, default=700, help="longest side in pixels (700)")
    data.set_defaults(command=_data)

    run = commands.add_parser("run", help="train the missing runs of a study and list its scores")
    run.add_argument("study", choices=sorted(STUDIES))
    run.add_argument("--runs", type=Path, help="folder of the records (RUNS_ROOT, else runs/)")
    run.set_defaults(command=_run)

    audit = commands.add_parser(
        "audit", help="hold label expansions of all tiles against the masks"
    )
    audit.add_argument("--grid", type=int, default=350, help="longest side in pixels (350)")
    audit.set_defaults(command=_audit)

    lint = commands.add_parser(
        "lint", help="numbers that do not add up: those that the five systems printed, or our own"
    )
    lint.add_argument(
        "--results", type=Path, nargs="?", const=paths.published_root(), metavar="FOLDER",
        help="our records instead (report/results); a finding that nobody explained is an error",
    )  # fmt: skip
    lint.set_defaults(command=_lint)

    report = commands.add_parser("report", help="execute the notebooks and build the report")
    report.set_defaults(command=_report)

    for command in (run, audit, report):
        command.add_argument("--data", default="synthetic", help="data set (synthetic)")
    for command in (run, report):
        command.add_argument("--profile", default="quick", choices=PROFILES)
        command.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    for command in (data, run, audit):
        command.add_argument("--root", type=Path, help="folder of the data (DATA_ROOT, else data/)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
