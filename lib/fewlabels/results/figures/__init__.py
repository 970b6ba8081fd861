"""Figures in one style: pictures of images and labels (`maps`), charts of scores (`charts`)."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "charts": [
            "LEARNERS", "SERIES", "assessment", "bars", "budget_curve", "compared", "curves",
            "forest", "heat_maps", "reliability", "style", "tradeoff",
        ],
        "maps": [
            "CLASS_COLOURS", "SPARE", "VOID", "colours", "dotted", "faded", "highlighted",
            "legend", "overlaid", "painted", "pictures",
        ],
    },
)  # fmt: skip
