"""Scores of a predictor on dense masks, from counts per tile.

`inference` predicts whole images in overlapping windows. `metrics`, `boundaries` and `calibration`
turn stored counts into scores and never load torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "inference": ["predict", "statistics"],
        "metrics": ["Scores", "Statistics", "confusion", "scores"],
    },
)
