"""Draw an assessment of a map: its error matrix, and the area of each class with its interval."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.figure import Figure

ESTIMATE, MAPPED = "#0072B2", "#D55E00"


def assessment(record: Mapping[str, object], true: Mapping[str, float] | None = None) -> Figure:
    """Draw the record of `mapping.assess`: left shares of the area in %, rows map and columns
    reference; right estimated and mapped areas.

    Args:
        true: share of the area of each class where it is known, in [0, 1].
    """
    names, rows = record["classes"], record["of_class"]
    side = 0.5 * len(names) + 1.8
    figure, (left, right) = plt.subplots(1, 2, figsize=(2 * side + 1.6, side), layout="constrained")
    table = pd.DataFrame(100 * np.array(record["matrix"]["proportions"]), names, names)
    sns.heatmap(table, ax=left, annot=True, fmt=".1f", cmap="Blues", cbar=False, linewidths=0.5,
                vmin=0, annot_kws={"size": 9})  # fmt: skip
    overall = record["overall"]
    left.set(xlabel="reference", ylabel="map", title="% of the area")
    left.tick_params(axis="x", rotation=45, length=0)
    left.tick_params(axis="y", rotation=0, length=0)
    at = np.arange(len(names))
    value, low, high = (
        np.array([100 * rows[name]["share"][key] for name in names])
        for key in ("value", "low", "high")
    )
    whole = sum(row["mapped_pixels"] for row in rows.values())
    mapped = [100 * rows[name]["mapped_pixels"] / whole for name in names]
    right.hlines(at, low, high, color=ESTIMATE, lw=2)
    right.plot(value, at, "o", color=ESTIMATE, label="estimated, 95 % interval")
    right.plot(mapped, at, "D", ms=6, mfc="none", color=MAPPED, label="mapped (pixels counted)")
    if true is not None:
        right.plot([100 * true.get(name, 0) for name in names], at, "kx", ms=7, label="true")
    right.set(yticks=at, yticklabels=names, xlabel="% of the area", xlim=(0, None),
              ylim=(len(names) - 0.5, -0.5),
              title=f"overall accuracy {100 * overall['value']:.1f} % "
              f"[{100 * overall['low']:.1f}, {100 * overall['high']:.1f}]")  # fmt: skip
    for axis in (left, right):
        for label in (*axis.get_xticklabels(), *axis.get_yticklabels()):
            label.set_parse_math(False)
    figure.legend(frameon=False, fontsize=8, loc="outside lower center", ncols=3)
    return figure
