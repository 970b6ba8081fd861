"""Scores of a predictor on dense masks, from counts per tile.

`inference` predicts whole images in overlapping windows. `metrics`, `boundaries` and `calibration`
turn stored counts into scores and never load torch; nor do `design_based` and `allocation`, which
estimate a map's accuracy and areas from a probability sample.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "design_based": ["Accuracy", "Sample", "accuracy"],
        "inference": ["predict", "statistics"],
        "metrics": ["Scores", "Statistics", "confusion", "scores"],
    },
)
