"""Draw sparse labels from a dense mask, as an annotator who labels only some pixels would.

Draws are pure functions of (seed, tile id): the same on every machine, whatever the order of
visits, and nested, so that a smaller budget's pixels are among a larger one's. `draw` is the entry;
a sampler is one function in `scene` or `marks` and one line in a table of `drawing`.
"""

from fewlabels.labels.sampling.drawing import (
    MARKS,
    NEXT_CLICK,
    PIXELS,
    SAMPLERS,
    Cost,
    counts,
    draw,
    draw_for,
    draw_with_cost,
    fingerprint,
)
from fewlabels.labels.sampling.scene import QUERIES, ranks, undecided

__all__ = [
    "MARKS", "NEXT_CLICK", "PIXELS", "QUERIES", "SAMPLERS", "Cost",
    "counts", "draw", "draw_for", "draw_with_cost", "fingerprint", "ranks",
    "undecided",
]  # fmt: skip
