"""What a draw costs an annotator: pixels, marks and seconds.

The seconds are published medians or means for everyday photographs, not for aerial images, which
nobody seems to have timed in all of these ways; trust their order of magnitude only.

- click, 2.4 s for the first of a class in an image, 0.9 s for each more; squiggle, 10.9 s:
  Bearman et al. 2016, https://arxiv.org/abs/1506.02106
- box, 7 s by extreme clicking: Papadopoulos et al. 2017, https://arxiv.org/abs/1708.02750
- outline, 79 s an object: Lin et al. 2014, https://arxiv.org/abs/1405.0312
- dense mask, 79 s for every object in it; a block costs its share of that by pixels (blocks and
  whole images took crowds about as long: Lin et al. 2019, https://doi.org/10.1109/ICCV.2019.00539)
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from fewlabels.labels.sampling.scene import Scene

FIRST_CLICK, NEXT_CLICK = 2.4, 0.9
OUTLINE = 79.0
SECONDS_A_MARK = {"scribbles": 10.9, "boxes": 7.0, "polygons": OUTLINE}


@dataclass(frozen=True, slots=True)
class Cost:
    """What the labels of one tile cost.

    Attributes:
        pixels: labelled pixels.
        marks: clicks, strokes, boxes, outlines or blocks; 1 for a dense mask.
        seconds: of an annotator's time.
    """

    pixels: int
    marks: int
    seconds: float


def cost_of(how: str, marks: int, labelled: UInt8[np.ndarray, " n"], scene: Scene) -> Cost:
    """Price `marks` marks of the sampler `how`, which gave pixels the classes `labelled`.

    A stroke, box or outline costs its full time also where a budget cut it short.
    """
    if how in ("all", "blocks"):
        seconds = OUTLINE * int(scene.components.max()) * len(labelled) / scene.carrying
    elif how in SECONDS_A_MARK:
        seconds = SECONDS_A_MARK[how] * marks
    else:
        kinds = np.count_nonzero(np.bincount(labelled))
        seconds = FIRST_CLICK * kinds + NEXT_CLICK * (marks - kinds)
    return Cost(len(labelled), marks, float(seconds))
