"""What each command of the command line does; `arguments` says what can be asked."""

import argparse
import io
import logging
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import MappingProxyType

from fewlabels import paths, studies
from fewlabels.cli import tables
from fewlabels.cli.arguments import TABLES, parser
from fewlabels.files import naming_a_full_disk
from fewlabels.studies import STUDIES
from fewlabels.types import FewLabelsError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0, or 1 with one line on standard error that says what is wrong, or 130
    where it was interrupted (Ctrl-C, or SIGTERM during a sweep or a report). `--debug` shows where
    an error was raised.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a name that the console cannot show
            stream.reconfigure(errors="backslashreplace")
    wanted = parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for library in ("rasterio", "pyogrio", "fiona", "onnxscript", "onnx_ir"):  # ours say it
        logging.getLogger(library).setLevel(logging.CRITICAL)
    ended: list[int] = []
    with ExitStack() as border:
        border.push(partial(_ended, ended, wanted.debug))
        COMMANDS[wanted.command](wanted)
        _say()
    return ended[0] if ended else 0


def _ended(ended: list[int], debug: bool, kind: type | None, error: object, *_: object) -> bool:
    """Say in one line what ended a command, and note its status; True where nothing is raised."""
    if kind is None or not issubclass(kind, (Exception, KeyboardInterrupt)):
        return False
    if debug and kind is not KeyboardInterrupt:
        traceback.print_exception(error)
    if kind is KeyboardInterrupt:
        line = "stopped; what is recorded stays, and the next start goes on from there"
    elif issubclass(kind, (FewLabelsError, OSError)):
        line = f"{kind.__name__}: {error}"
    elif issubclass(kind, ModuleNotFoundError):
        line = f"{error}; it comes with an extra, as in pip install 'fewlabels[mapping,export]'"
    else:
        words = " ".join(f"{error}".split())
        line = f"{kind.__name__}: {words} (not foreseen; --debug shows where it was raised)"
    print(line, file=sys.stderr)
    ended.append(130 if kind is KeyboardInterrupt else 1)
    return True


def _say(*lines: str) -> None:
    """Print the results of work that is done: a reader that has gone away fails nothing."""
    try:
        print(*lines, sep="\n", end="\n" * bool(lines), flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _data(wanted: argparse.Namespace) -> None:
    from fewlabels.data import registry

    root = registry.fetch(wanted.name, wanted.root or paths.data_root())
    tiles = registry.load(wanted.name, root, split="all", grid=wanted.grid)
    print(f"{wanted.name}: {len(tiles)} tiles of {len(set(tiles.sites))} sites, "
          f"{len(tiles.folds)} test group(s), classes {', '.join(tiles.classes)}")  # fmt: skip
    print(f"data hash {tiles.fingerprint[:12]}, cache {tiles.tiles.folder}")
    declared = registry.SOURCES[tiles.name.partition(":")[0]]
    about = {"licence": declared.licence, "cite": declared.citation}
    print("\n".join([tiles.notice, *(f"{k}: {v}" for k, v in about.items() if v)]))


def _run(wanted: argparse.Namespace) -> None:
    from fewlabels import devices
    from fewlabels.experiments import plan, sweep

    if wanted.study in TABLES:
        return tables.run(wanted)
    made = sweep.planned(**_asked(wanted))
    print(plan.described(made, devices.compute(wanted.device).hardware))
    if not wanted.dry_run:
        _print_scores(sweep.train(made, wanted.device))


def _sweep(wanted: argparse.Namespace) -> None:
    from tqdm.contrib.logging import logging_redirect_tqdm

    from fewlabels.experiments import distribute, plan, sweep, workers

    logging.getLogger("distributed").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # its workers end with it
    if wanted.study in TABLES:
        return tables.run(wanted)
    made, where = sweep.planned(**_asked(wanted)), wanted.scheduler
    if where:
        print(plan.described(made, *workers.offered(where, wanted.device)))
    else:
        where = workers.local(wanted.device, len(made.missing), wanted.workers)
        print(plan.described(made, where.hardware, where.workers))
    if not wanted.dry_run:
        with logging_redirect_tqdm():
            _print_scores(distribute.train(made, where, wanted.device))


def _verify(wanted: argparse.Namespace) -> None:
    from fewlabels.experiments import reproduce
    from fewlabels.results import reproductions

    if wanted.records in TABLES:
        return tables.verify(wanted)
    store = paths.published(wanted.records) if wanted.records in STUDIES else Path(wanted.records)
    found = reproduce.again(store, wanted.key, root=wanted.root, device=wanted.device)
    said, same = reproduce.described(*found), all(reproductions.compared(*found).values())
    if same:
        print(said)
    if wanted.keep:
        print(reproductions.keep(store.resolve().parent, store.stem, *found))
    if not same:
        raise FewLabelsError(f"'{wanted.key}' did not come out again\n{said}")


def _asked(wanted: argparse.Namespace) -> dict[str, object]:
    """What `run` and `sweep` are told about a study, as `sweep.planned` takes it."""
    named = {"name": wanted.study, "profile": wanted.profile, "data": wanted.data}
    return named | {"root": wanted.root, "runs": wanted.runs}


def _print_scores(found: Mapping[tuple[str, int, int], object]) -> None:
    from fewlabels.results import records

    columns = [*records.UNIT, "miou", "accuracy", "steps_to_95", "seconds", "key"]
    print(records.table(found)[columns].round(3).to_string(index=False))


def _lint(wanted: argparse.Namespace) -> None:
    from fewlabels.experiments import sweep
    from fewlabels.results import consistency, reproductions

    if not wanted.results:
        print("\n".join(finding.line() for finding in consistency.reported()))
        return
    named = studies.declared("published", "dubai")
    found = {name: sweep.recorded(name, "published", "dubai") for name in named}
    wrong = consistency.ours(found, reproductions.read(paths.published_root()))
    explained = consistency.settled(wrong, consistency.explained())["explained"]
    for finding, why in zip(wrong, explained, strict=True):
        print(f"{finding.line()} (explained: {why})")
    counted = ", ".join(f"{name} {len(runs)}" for name, runs in found.items())
    print(f"records: {counted}; findings: {len(wrong)}, all explained")


def _report(wanted: argparse.Namespace) -> None:
    from fewlabels.report.make import make

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # its notebooks end with it
    with naming_a_full_disk(paths.project_root() / "report" / "_build"):
        for file in make(wanted.data, wanted.profile, device=wanted.device):
            print(file)


def _example(wanted: argparse.Namespace) -> None:
    from fewlabels.mapping import examples

    made = examples.example(wanted.name, wanted.folder, wanted.root or paths.data_root())
    print(f"{made.notice}\n{made.scene}\n{made.labels}\nTo map it:")
    print("\n".join(f"  {line.format(folder=wanted.folder)}" for line in made.commands))


def _recommend(wanted: argparse.Namespace) -> None:
    from fewlabels.results.recommend import recommend

    said = recommend(wanted.labels, wanted.kind, wanted.pixel, wanted.bands)
    start = "start with `fewlabels train SCENE LABELS MODEL`: it scores the quick learners on yours"
    print("\n".join([*said, start]))


def _train(wanted: argparse.Namespace) -> None:
    from fewlabels.mapping import class_text, fit, recipe, score_summary, survey
    from fewlabels.results.recommend import recommend, there

    names = (field.name for field in fields(recipe.Recipe))
    how = recipe.Recipe(**{n: getattr(wanted, n) for n in names if getattr(wanted, n) is not None})
    classes = class_text.listed(wanted.classes) if wanted.classes else ()
    labels = survey.Labels(
        wanted.labels, wanted.column, classes, wanted.layer, wanted.labels_crs, wanted.no_label
    )
    about = fit.fit(
        wanted.scene, labels, wanted.out, how,
        bands=wanted.bands, also=wanted.also, device=wanted.device, licence=wanted.licence,
    )  # fmt: skip
    seconds = about.record["cost"]["all_seconds"]
    labelled = sum(about.record["trained_pixels"].values())
    size = about.pixel if about.system else 0.5  # metres; pixels without a system have no size
    study = recommend(labelled, pixel=size, bands=len(about.bands))[:2] if there() else ()
    said = [f"on scenes elsewhere: {line}" for line in study]
    _say(*score_summary.lines(about.record), *said, f"{wanted.out}, after {seconds:.0f} s")


def _predict(wanted: argparse.Namespace) -> None:
    from fewlabels.mapping.outputs import Finish
    from fewlabels.mapping.predict import predict

    asked = {field.name: getattr(wanted, field.name) for field in fields(Finish)}
    made = predict(
        wanted.scene, wanted.model, wanted.out, window=wanted.window, overlap=wanted.overlap,
        also=wanted.also, force=wanted.force, device=wanted.device, **asked,
    )  # fmt: skip
    shares = ", ".join(f"{name} {100 * share:.1f} %" for name, share in made.share.items())
    valid = f"{100 * made.valid:.1f} % of the pixels have a class; of them: {shares}"
    _say(*map(str, made.files), valid, *made.notes)


def _sample(wanted: argparse.Namespace) -> None:
    from fewlabels.mapping import class_text
    from fewlabels.mapping import sample as sampling

    asked = {name: class_text.listed(getattr(wanted, name)) if getattr(wanted, name) else ()
             for name in ("expected", "also", "classes")}  # fmt: skip
    how = sampling.Design(
        wanted.n, wanted.se, wanted.of, wanted.allocation, asked["expected"], wanted.least,
        wanted.seed,
    )  # fmt: skip
    made = sampling.sample(
        wanted.map, wanted.out, how, labels=wanted.labels, column=wanted.column,
        crs=wanted.labels_crs, classes=asked["classes"], also=asked["also"],
    )  # fmt: skip
    _say(made.strata.to_string(), *made.lines(), str(made.points), str(made.key))


def _assess(wanted: argparse.Namespace) -> None:
    from fewlabels.mapping import assess, assess_text, class_text

    record = assess.assess(
        wanted.map, wanted.points, wanted.column, strata=wanted.strata, layer=wanted.layer,
        classes=class_text.listed(wanted.classes) if wanted.classes else (), crs=wanted.labels_crs,
    )  # fmt: skip
    out = wanted.out or wanted.points.with_name(f"{wanted.points.stem}_assessment")
    _say(*assess_text.lines(record), *map(str, assess.write(record, out)))


def _export(wanted: argparse.Namespace) -> None:
    from fewlabels.mapping.export import export

    share = export(wanted.model, wanted.out)
    _say(f"{wanted.out}: on a made-up tile it gives our map in {100 * share:.2f} % of the pixels")


COMMANDS = MappingProxyType(
    {
        "data": _data,
        "run": _run,
        "sweep": _sweep,
        "verify": _verify,
        "lint": _lint,
        "report": _report,
        "example": _example,
        "recommend": _recommend,
        "train": _train,
        "predict": _predict,
        "sample": _sample,
        "assess": _assess,
        "export": _export,
    }
)
