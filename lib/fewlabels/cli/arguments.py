"""What can be asked on the command line, each command with `--help`."""

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from fewlabels.studies import PROFILES, STUDIES

TABLES = ("W", "frozen_arm")
"""Studies whose runs are rows of a table a data set."""
EXAMPLES = {
    "data": "dubai",
    "run": "E --data dubai --dry-run",
    "sweep": "E --data dubai --profile full --workers 4",
    "verify": "E 0123456789ab",
    "lint": "--results",
    "report": "--data dubai --profile published",
    "example": "try",
    "recommend": "--labels 200 --pixel 0.5 --bands 3",
    "train": "scene.tif labels.gpkg model --column class",
    "predict": "model scene.tif map.tif --next 12",
    "sample": "map.tif points.gpkg --n 300 --labels labels.gpkg",
    "assess": "map.tif points.gpkg --column truth",
    "export": "model model.onnx",
}
"""What to type after the name of each command, as its help shows it."""


def parser() -> argparse.ArgumentParser:
    """What can be asked; `command` is the name of the command."""
    whole = argparse.ArgumentParser(
        prog="fewlabels", description="Maps from few labels, and the study behind them.",
        epilog="`fewlabels COMMAND --help` says more. To begin: fewlabels example try",
    )  # fmt: skip
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")

    data = commands.add_parser("data", help="fetch a data set if it is missing, and decode it")
    data.add_argument("name", help="such as dubai; an unknown name lists the known ones")
    data.add_argument("--grid", type=_at_least(1), default=700, help="longest side in pixels (700)")

    run = commands.add_parser("run", help="train the missing runs of a study and list its scores")

    sweep = commands.add_parser("sweep", help="the same at once, over processes or machines")
    sweep.add_argument("--workers", type=int, help="on this machine (one a GPU, or every 4 cores)")
    sweep.add_argument(
        "--scheduler",
        default=os.environ.get("SCHEDULER"),
        help="address of a dask scheduler, tcp://HOST:PORT (SCHEDULER, else workers here)",
    )

    verify = commands.add_parser("verify", help="train the run of a record again, and compare")
    verify.add_argument("records", help="published study, such as E, or a folder of runs")
    verify.add_argument(
        "key",
        help="twelve hex digits; of W or frozen_arm a data set, of which a part is run",
    )
    verify.add_argument("--keep", action="store_true", help="note it in verified.csv beside them")

    lint = commands.add_parser(
        "lint", help="numbers that do not add up: those that the five systems printed, or our own"
    )
    lint.add_argument("--results", action="store_true",
                      help="our published records instead; a finding that nobody explained is an "
                      "error")  # fmt: skip

    report = commands.add_parser("report", help="execute the notebooks and build the report")

    example = commands.add_parser(
        "example", help="write a scene with labels to try, and the commands that map it"
    )
    example.add_argument("folder", type=Path, help="where to write scene.tif and labels.gpkg")
    example.add_argument("--name", default="dubai", help="dubai (comes with the package), landsat, "
                         "romania, ethiopia or brazil (under DATA_ROOT)")  # fmt: skip

    recommend = commands.add_parser(
        "recommend", help="what study W says of so many labels on such a scene"
    )
    recommend.add_argument("--labels", type=_at_least(1), required=True, help="labelled pixels")
    recommend.add_argument(
        "--kind", default="points", help="points, scribbles or polygons (points)"
    )
    recommend.add_argument("--pixel", type=float, default=0.5, help="side in metres (0.5)")
    recommend.add_argument("--bands", type=_at_least(1), default=3, help="of the scene (3)")

    train = commands.add_parser("train", help="a model folder from a scene and labels of your own")
    _add_training(train)
    predict = commands.add_parser("predict", help="maps of a scene by a model folder")
    _add_predicting(predict)
    _add_assessing(commands)
    export = commands.add_parser("export", help="a model as ONNX, for QGIS's plugin Deepness")
    export.add_argument(
        "model", type=Path, help="folder of a frozen_linear, a fine_tuned or a network"
    )
    export.add_argument("out", type=Path, help="NAME.onnx")

    for command in (run, sweep):
        command.add_argument("study", choices=sorted([*STUDIES, *TABLES]))
        command.add_argument(
            "--runs", type=Path, help="folder of the records (RUNS_ROOT, or runs/)"
        )
        command.add_argument("--dry-run", action="store_true", help="print the plan and stop")
    for command in (run, sweep, report):
        command.add_argument("--data", default="synthetic", help="data set (synthetic)")
    for command in (run, sweep, report):
        command.add_argument("--profile", default="quick", choices=PROFILES)
    for command in (train, predict):
        command.add_argument("--also", type=Path, action="append", default=[], metavar="FILE",
                             help="more bands of the scene, on the same grid; may be "
                             "repeated")  # fmt: skip
    for command in (run, sweep, verify, report, train, predict):
        command.add_argument("--device", default="auto", help="auto, cpu, cuda, mps or xla")
    for command in (data, run, sweep, verify, example):
        command.add_argument("--root", type=Path, help="folder of the data (DATA_ROOT, else data/)")
    for name, command in commands.choices.items():
        command.add_argument("--debug", action="store_true", help="show where an error was raised")
        command.epilog = f"example: fewlabels {name} {EXAMPLES[name]}"
    return whole


def _add_training(train: argparse.ArgumentParser) -> None:
    train.add_argument("scene", type=Path, help="GeoTIFF")
    train.add_argument("labels", type=Path, help="vector file, CSV of coordinates, or label image")
    train.add_argument("out", type=Path, help="the model folder to write")
    train.add_argument("--column", default="class", help="column that holds the class (class)")
    train.add_argument(
        "--classes",
        help="those that count: a,b or VALUE=NAME (always for a label image), quoted as in CSV; "
        "values of one name are merged",
    )
    train.add_argument("--layer", help="of a file with several")
    train.add_argument("--labels-crs", help="whatever their file says: EPSG:CODE, or scene")
    train.add_argument("--no-label", type=int, help="value of a label image that means no class")
    train.add_argument(
        "--bands", type=_numbers, default=(), help="such as 1,2,3,4 (all that are not alpha)"
    )
    train.add_argument("--licence", default="", help="terms the model may be used under, in words")
    recipe = train.add_argument_group("recipe (defaults: fewlabels.mapping.recipe)")
    texts = {"method": "auto (the best of the quick learners on held-out labels), pixel_forest, "
             "texture_forest, frozen_linear, frozen_forest, fine_tuned or network (auto)",
             "encoder": "of frozen features: lite0, timm:NAME or smp:NAME (lite0)",
             "model": "network", "weights": "what it starts from (lite0; none: from scratch)",
             "loss": "partial loss of fine_tuned or a network",
             "class-weights": "none, balanced; of fine_tuned or a network also others of losses",
             "augmentation": "of crops",
             "unit": "held out together: auto, shape, block"}  # fmt: skip
    numbers = {"trees": "of a forest", "zoom": "times the encoder sees the image enlarged (1)",
               "steps": "of the training of fine_tuned or a network", "batch": "crops in a step",
               "crop": "side of a crop",
               "side": "of the pieces read around labels", "window": "read at once in prediction",
               "folds": "held-out parts; 0 scores nothing",
               "block": "side of a held-out block", "gap": "pixels around what is held out",
               "seed": "of all that is random"}  # fmt: skip
    for name, text in texts.items():
        recipe.add_argument(f"--{name}", help=text)
    for name, text in numbers.items():
        recipe.add_argument(f"--{name}", type=int, help=text)
    recipe.add_argument("--lr", type=float, help="highest learning rate")


def _add_predicting(predict: argparse.ArgumentParser) -> None:
    predict.add_argument("model", type=Path, help="a folder that `fewlabels train` wrote")
    predict.add_argument("scene", type=Path, help="GeoTIFF with the bands of the training scene")
    predict.add_argument("out", type=Path, help="class map; NAME_confidence.tif comes beside it")
    predict.add_argument(
        "--window", type=_at_least(1), help="side of what is read at once (the model's)"
    )
    predict.add_argument("--overlap", type=_at_least(0), help="pixels they share (a quarter)")
    predict.add_argument("--force", action="store_true",
                         help="map a scene whose values lie outside those of training")  # fmt: skip
    change = predict.add_argument_group("changes of the map (none; each says what it changed)")
    change.add_argument("--smooth", action="store_true",
                        help="average the probabilities within superpixels first")  # fmt: skip
    change.add_argument("--sieve", type=float, default=0.0, metavar="HECTARES",
                        help="give smaller areas the class around them")  # fmt: skip
    more = predict.add_argument_group("files beside the map (none)")
    more.add_argument("--probabilities", action="store_true",
                      help="NAME_probabilities.tif: percent of each class")  # fmt: skip
    more.add_argument("--applicability", action="store_true",
                      help="NAME_applicability.tif: how unlike the training pixels each is, and "
                      "whether the map applies there (up to a minute a megapixel)")  # fmt: skip
    more.add_argument("--polygons", action="store_true", help="NAME.gpkg: areas of the classes")
    more.add_argument("--gis", action="store_true", help="NAME.qml: style for QGIS; "
                      "NAME_areas.csv: table of areas; NAME.json: STAC item")  # fmt: skip
    more.add_argument("--next", type=_at_least(0), default=0, metavar="N", dest="clicks",
                      help="NAME_next.gpkg: N pixels and N blocks where a label would help "
                      "most")  # fmt: skip


def _add_assessing(commands: argparse._SubParsersAction) -> None:
    sample = commands.add_parser(
        "sample", help="points at which to look what is there, to assess a map by design"
    )
    sample.add_argument("map", type=Path, help="class map")
    sample.add_argument("out", type=Path, help="points to interpret, in the column truth; what of "
                        "the map the interpreter must not see comes beside it, as "
                        "NAME_strata.json")  # fmt: skip
    size = sample.add_mutually_exclusive_group(required=True)
    size.add_argument("--n", type=_at_least(1), help="number of points")
    size.add_argument(
        "--se", type=float, help="standard error wanted of overall accuracy, such as 0.02"
    )
    sample.add_argument(
        "--of", default="", metavar="CLASS", help="the error is that of this class's share"
    )
    sample.add_argument(
        "--allocation", default="proportional", help="or equal, or neyman (proportional)"
    )
    sample.add_argument("--expected", default="", help="user's accuracies: of all classes and of "
                        "single ones, such as 0.8,water=0.95 (0.8)")  # fmt: skip
    sample.add_argument(
        "--least", type=_at_least(2), help="points a class (50, or what --n allows)"
    )
    sample.add_argument("--seed", type=_at_least(0), default=0)
    sample.add_argument("--labels", type=Path, help="what trained the model: points on it are "
                        "marked in NAME_strata.json")  # fmt: skip
    sample.add_argument("--column", default="class", help="of the labels (class)")
    sample.add_argument("--labels-crs", help="whatever their file says: EPSG:CODE, or scene")
    sample.add_argument("--also", default="", help="classes to offer that the map lacks: a,b")

    assess = commands.add_parser(
        "assess", help="accuracy and areas of a map from interpreted points, with intervals"
    )
    assess.add_argument("map", type=Path, help="class map")
    assess.add_argument("points", type=Path, help="what `fewlabels sample` wrote, with answers; "
                        "or a random sample of each class of your own")  # fmt: skip
    assess.add_argument("--column", default="truth", help="column that holds the answer (truth)")
    assess.add_argument("--strata", type=Path, help="(NAME_strata.json beside the points)")
    assess.add_argument("--layer", help="of a file with several")
    assess.add_argument("--labels-crs", help="of the points, whatever their file says: EPSG:CODE")
    assess.add_argument("--out", type=Path, help="OUT.json, OUT.csv, OUT.png and OUT.txt are "
                        "written (POINTS_assessment)")  # fmt: skip
    for command in (sample, assess):
        command.add_argument("--classes", default="", help="VALUE=NAME of each class of a map that "
                             "does not name them, such as 1=water,2=forest")  # fmt: skip


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if (found := int(text)) >= least:
            return found
        raise argparse.ArgumentTypeError(f"must be {least} or more, found {text}")

    return number


def _numbers(text: str) -> tuple[int, ...]:
    """`1,2,4` as numbers."""
    return tuple(int(part) for part in text.split(","))
