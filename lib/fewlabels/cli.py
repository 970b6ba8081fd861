"""The command line: `fewlabels data | run | sweep | verify | audit | agreement | clicks | lint |
report | train | predict`, each with `--help`.
"""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path

from fewlabels import paths
from fewlabels.files import naming_a_full_disk
from fewlabels.studies import PROFILES, STUDIES
from fewlabels.types import FewLabelsError, RecordError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0, or 1 with one line on standard error that says what is wrong, or 130
    where it was interrupted (Ctrl-C, or SIGTERM during a sweep).
    """
    wanted = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        wanted.command(wanted)
    except FewLabelsError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except OSError as error:  # of a kind that nothing here expects
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what is recorded stays, and the next start goes on from there",
              file=sys.stderr)  # fmt: skip
        return 130
    return 0


def _data(wanted: argparse.Namespace) -> None:
    from fewlabels import datasets

    root = datasets.fetch(wanted.name, wanted.root or paths.data_root())
    tiles = datasets.load(wanted.name, root, split="all", grid=wanted.grid)
    print(f"{wanted.name}: {len(tiles)} tiles of {len(set(tiles.places))} places, "
          f"{len(tiles.folds)} test group(s), classes {', '.join(tiles.classes)}")  # fmt: skip
    print(f"data hash {tiles.fingerprint[:12]}, cache {tiles.tiles.folder}")


def _run(wanted: argparse.Namespace) -> None:
    from fewlabels import devices, plan, sweep

    made = sweep.planned(**_asked(wanted))
    print(plan.described(made, devices.compute(wanted.device).hardware))
    if not wanted.dry_run:
        _print_scores(sweep.train(made, wanted.device))


def _sweep(wanted: argparse.Namespace) -> None:
    from tqdm.contrib.logging import logging_redirect_tqdm

    from fewlabels import distribute, plan, sweep, workers

    logging.getLogger(workers.package().__name__).setLevel(logging.WARNING)
    made, where = sweep.planned(**_asked(wanted)), wanted.scheduler
    if where:
        print(plan.described(made, f"the workers of {where}"))
    else:
        where = workers.local(wanted.device, len(made.missing), wanted.workers)
        print(plan.described(made, where.hardware, where.workers))
    if not wanted.dry_run:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # its workers end with it
        with logging_redirect_tqdm():
            _print_scores(distribute.train(made, where, wanted.device))


def _verify(wanted: argparse.Namespace) -> None:
    from fewlabels import verified, verify

    found = verify.again(wanted.record, root=wanted.root, device=wanted.device)
    if not found.differ:
        print(found.described())
    if wanted.keep:
        study = wanted.record.resolve().parent
        print(verified.keep(study.parent, study.name, found.before, found.after))
    if found.differ:
        raise FewLabelsError(f"'{wanted.record}' did not come out again\n{found.described()}")


def _asked(wanted: argparse.Namespace) -> dict[str, object]:
    """What `run` and `sweep` are told about a study, as `sweep.planned` takes it."""
    named = {"name": wanted.study, "profile": wanted.profile, "data": wanted.data}
    return named | {"root": wanted.root, "runs": wanted.runs}


def _print_scores(found: Mapping[tuple[str, int, int], object]) -> None:
    from fewlabels import records

    columns = ["cell", "fold", "pair", "miou", "accuracy", "steps_to_95", "seconds", "key"]
    print(records.table(found)[columns].round(3).to_string(index=False))


def _audit(wanted: argparse.Namespace) -> None:
    from fewlabels import audits, datasets

    tiles = datasets.load(wanted.data, wanted.root, split="all", grid=wanted.grid)
    table = audits.audited(tiles, tiles.classes)
    print(audits.shares(table, by=()).round(4).to_string())
    print(audits.record(table, wanted.data))


def _agreement(wanted: argparse.Namespace) -> None:
    from fewlabels import agreement, datasets

    overlaps = agreement.overlaps(wanted.data)
    source = datasets.SOURCES[wanted.data](wanted.root or paths.data_root())
    views = agreement.measured(source, overlaps)
    print(agreement.table(views).round(4).to_string(index=False))
    print(agreement.record(views, source))


def _clicks(wanted: argparse.Namespace) -> None:
    from fewlabels import annotate, answers

    runs, folder = annotate.declared(wanted.profile, wanted.data), wanted.runs
    folder = folder or annotate.folder_of(wanted.profile)
    there = annotate.recorded(runs, folder)
    print(f"clicks on {wanted.data}, profile {wanted.profile}: {len(runs)} runs, {len(there)} "
          f"recorded, {len(runs) - len(there)} to train")  # fmt: skip
    if not wanted.dry_run:
        there = annotate.execute(runs, folder, root=wanted.root, device=wanted.device)
    if {arm for arm, *_ in there} == set(annotate.ARMS):
        print(answers.clicks(there).to_string(index=False))


def _lint(wanted: argparse.Namespace) -> None:
    from fewlabels import lint, records, verified

    if wanted.results is None:
        print("\n".join(finding.line() for finding in lint.theirs()))
        return
    if not next(wanted.results.glob("*/*/record.json"), None):
        raise RecordError(f"'{wanted.results}' holds no records: FOLDER/STUDY/KEY/record.json")
    found = {}
    for letter, study in STUDIES.items():
        found |= lint.grouped(letter, study, records.read_all(wanted.results / letter))
    wrong = lint.ours(found, verified.read(wanted.results))
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


def _train(wanted: argparse.Namespace) -> None:
    from fewlabels.own import fit, recipe, told

    names = (field.name for field in fields(recipe.Recipe))
    how = recipe.Recipe(**{n: getattr(wanted, n) for n in names if getattr(wanted, n) is not None})
    classes = tuple(name.strip() for name in wanted.classes.split(",")) if wanted.classes else ()
    labels = fit.Labels(
        wanted.labels, wanted.column, classes, wanted.layer, wanted.labels_crs, wanted.no_label
    )
    about = fit.fit(
        wanted.scene, labels, wanted.out, how,
        bands=wanted.bands, device=wanted.device, licence=wanted.licence,
    )  # fmt: skip
    print("\n".join(told.lines(about.record)))
    print(f"{wanted.out}, after {about.record['cost']['all_seconds']:.0f} s")


def _at_least(least: int) -> Callable[[str], int]:
    """A whole number that is not below `least`."""

    def number(text: str) -> int:
        if (found := int(text)) >= least:
            return found
        raise argparse.ArgumentTypeError(f"must be {least} or more, found {text}")

    return number


def _numbers(text: str) -> tuple[int, ...]:
    """`1,2,4` as numbers."""
    return tuple(int(part) for part in text.split(","))


def _predict(wanted: argparse.Namespace) -> None:
    from fewlabels.own.predict import predict

    made = predict(
        wanted.scene, wanted.model, wanted.out, window=wanted.window, overlap=wanted.overlap,
        polygons=wanted.polygons, clicks=wanted.next, device=wanted.device,
    )  # fmt: skip
    print("\n".join(map(str, made.files)))
    shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in made.share.items())
    print(f"{100 * made.valid:.1f} % of the pixels have a class; of them: {shares}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fewlabels", description=__doc__)
    commands = parser.add_subparsers(
        required=True,
        metavar="data | run | sweep | verify | audit | agreement | clicks | lint | report | "
        "train | predict",
    )

    data = commands.add_parser("data", help="fetch a data set if it is missing, and decode it")
    data.add_argument(
        "name", help="synthetic, dubai, ai4mars, landcoverai, deepglobe, potsdam, folder"
    )
    data.add_argument("--grid", type=_at_least(1), default=700, help="longest side in pixels (700)")
    data.set_defaults(command=_data)

    run = commands.add_parser("run", help="train the missing runs of a study and list its scores")
    run.set_defaults(command=_run)

    sweep = commands.add_parser("sweep", help="the same at once, over processes or machines")
    sweep.add_argument("--workers", type=int, help="on this machine (one a GPU, or every 4 cores)")
    sweep.add_argument(
        "--scheduler",
        default=os.environ.get("SCHEDULER"),
        help="address of a dask scheduler, tcp://HOST:PORT (SCHEDULER, else workers here)",
    )
    sweep.set_defaults(command=_sweep)

    verify = commands.add_parser("verify", help="train the run of a record again, and compare")
    verify.add_argument("record", type=Path, help="its folder, such as report/results/E/KEY")
    verify.add_argument(
        "--keep", action="store_true", help="note it in verified/ beside the studies"
    )
    verify.set_defaults(command=_verify)

    audit = commands.add_parser(
        "audit", help="hold label expansions of all tiles against the masks"
    )
    audit.add_argument(
        "--grid", type=_at_least(1), default=350, help="longest side in pixels (350)"
    )
    audit.set_defaults(command=_audit)

    agreement = commands.add_parser("agreement", help="hold two annotations of one ground together")
    agreement.add_argument("--data", default="dubai", help="data set (dubai)")
    agreement.set_defaults(command=_agreement)

    clicks = commands.add_parser(
        "clicks", help="do clicks where a network is undecided beat random ones? (simulated)"
    )
    clicks.set_defaults(command=_clicks)

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

    train = commands.add_parser("train", help="a model folder from a scene and labels of your own")
    _add_training(train)
    predict = commands.add_parser("predict", help="maps of a scene by a model folder")
    predict.add_argument("model", type=Path, help="a folder that `fewlabels train` wrote")
    predict.add_argument("scene", type=Path, help="GeoTIFF with the bands of the training scene")
    predict.add_argument("out", type=Path, help="class map; NAME_confidence.tif comes beside it")
    predict.add_argument(
        "--window", type=_at_least(1), help="side of what is read at once (the model's)"
    )
    predict.add_argument("--overlap", type=_at_least(0), help="pixels they share (a quarter)")
    predict.add_argument("--polygons", action="store_true", help="write NAME.gpkg as well")
    predict.add_argument("--next", type=_at_least(0), default=0, metavar="N",
                         help="write NAME_next.gpkg: N pixels and N blocks where a label would "
                         "help most")  # fmt: skip
    predict.set_defaults(command=_predict)

    for command in (run, sweep):
        command.add_argument("study", choices=sorted(STUDIES))
    for command in (run, sweep, clicks):
        command.add_argument(
            "--runs", type=Path, help="folder of the records (RUNS_ROOT, or runs/)"
        )
        command.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    for command in (run, sweep, audit, clicks, report):
        command.add_argument("--data", default="synthetic", help="data set (synthetic)")
    for command in (run, sweep, clicks, report):
        command.add_argument("--profile", default="quick", choices=PROFILES)
    for command in (run, sweep, verify, clicks, report, train, predict):
        command.add_argument("--device", default="auto", help="auto, cpu, cuda, mps or xla")
    for command in (data, run, sweep, verify, audit, agreement, clicks):
        command.add_argument("--root", type=Path, help="folder of the data (DATA_ROOT, else data/)")
    return parser


def _add_training(train: argparse.ArgumentParser) -> None:
    train.add_argument("scene", type=Path, help="GeoTIFF")
    train.add_argument("labels", type=Path, help="vector file, CSV of coordinates, or label image")
    train.add_argument("out", type=Path, help="the model folder to write")
    train.add_argument("--column", default="class", help="column that holds the class (class)")
    train.add_argument("--classes", help="those that count: a,b or, of a label image, 1=a,2=b")
    train.add_argument("--layer", help="of a file with several")
    train.add_argument("--labels-crs", help="whatever the file says: EPSG:CODE, or scene")
    train.add_argument("--no-label", type=int, help="value of a label image that means no class")
    train.add_argument(
        "--bands", type=_numbers, default=(), help="such as 1,2,3,4 (all that are not alpha)"
    )
    train.add_argument("--licence", default="", help="terms the model may be used under, in words")
    recipe = train.add_argument_group("recipe (defaults: fewlabels.own.recipe)")
    texts = {"method": "network, forest, or best: what scores higher on held-out labels (best)",
             "model": "network", "weights": "what it starts from", "loss": "partial loss",
             "class-weights": "weighting of classes", "augmentation": "of crops",
             "unit": "held out together: auto, shape, block"}  # fmt: skip
    numbers = {"steps": "of a training", "trees": "of a forest", "batch": "crops in a step",
               "crop": "side of a crop",
               "side": "of the pieces read around labels", "window": "read at once in prediction",
               "folds": "held-out parts, each a training more; 0 scores nothing",
               "block": "side of a held-out block", "gap": "pixels around what is held out",
               "seed": "of all that is random"}  # fmt: skip
    for name, text in texts.items():
        recipe.add_argument(f"--{name}", help=text)
    for name, text in numbers.items():
        recipe.add_argument(f"--{name}", type=int, help=text)
    recipe.add_argument("--lr", type=float, help="highest learning rate")
    train.set_defaults(command=_train)


if __name__ == "__main__":
    sys.exit(main())
