"""The profiles: how much of a study each of them runs, stated once for all studies."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from fewlabels.studies.design import Scale
from fewlabels.studies.run import Start

PROFILES = ("smoke", "quick", "full", "home", "published")
"""`home` has the learning rates, batches, crops and epochs of the five systems, as far as they
report them."""
SCRATCH = (Start("smp:Unet:resnet18:3", "none"),)  # learns from nothing in few steps
RESNET18 = (
    Start("smp:Unet:resnet18", "resnet18-imagenet-fp16"),
    Start("smp:Unet:resnet18", "imagenet"),
)
FOLDS = (0, 1, 2, 3, 4)
SCENES = {"grid": 256, "crop": 128, "lr": 5e-3, "watch": 6}
TINY = {"steps": 4, "batch": 2, "crop": 64, "watch": 2}
HALF = {"grid": 350, "crop": 128}  # half of 700: a crop shows the same ground at a quarter the cost
BASE = MappingProxyType(
    {
        ("smoke", "synthetic"): Scale((), (0,), 2, SCENES | TINY),
        ("smoke", "real"): Scale((), (0,), 2, {"grid": 128} | TINY),
        ("quick", "synthetic"): Scale((), (0,), 2, SCENES | {"steps": 20, "watch": 2}),
        ("quick", "real"): Scale((), (0,), 2, HALF),
        ("full", "synthetic"): Scale((), FOLDS, 3, SCENES | {"steps": 900, "watch": 10}),
        ("full", "real"): Scale((), FOLDS, 5),
        ("home", "real"): Scale((), FOLDS, 5),
        ("published", "real"): Scale((), FOLDS, 3, HALF),
    }
)
"""(profile, kind of data) -> what a study runs there unless it says otherwise."""

Key = str | tuple[str, str]


def scales(
    starts: Mapping[Key, tuple[Start, ...]],
    own: Mapping[Key, Mapping[str, object]],
    *,
    replicates: Mapping[Key, int] = MappingProxyType({}),
    folds: tuple[int, ...] | None = None,
) -> dict[tuple[str, str], Scale]:
    """Make the scales of a study from those of `BASE` and from what is its own.

    A key is a kind of data, a profile, or (profile, kind). The more specific one wins, in that
    order. A scale exists where it has a start; at `home`, also only where the study has factors.

    Args:
        starts: the networks to start from.
        own: fixed factors, added to those of `BASE`.
        replicates: replicates a fold, instead of those of `BASE`.
        folds: test groups at all profiles, instead of those of `BASE`.
    """
    found = {}
    for key, base in BASE.items():
        here = _of(starts, key)
        if not here or (key[0] == "home" and "home" not in own):
            continue
        fixed = dict(base.fixed)
        for factors in _of(own, key):
            fixed |= factors
        count = [base.replicates, *_of(replicates, key)][-1]
        found[key] = Scale(here[-1], folds or base.folds, count, fixed)
    return found


def _of(table: Mapping[Key, object], key: tuple[str, str]) -> Sequence:
    """What a table has for a profile and kind of data, the most specific last."""
    profile, kind = key
    return [table[k] for k in (kind, profile, key) if k in table]
