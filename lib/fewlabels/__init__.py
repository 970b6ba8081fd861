"""Few labels, whole maps: segment remote-sensing imagery from sparse labels.

The packages follow the work: `data`, `labels`, `studies`, `training`, `scoring`, `learners`,
`results`, `experiments`, `mapping`, `report`. A module imports from its own package and from those
before it. The names below are loaded when they are first used.
"""

import lazy_loader

__version__ = "0.2.0"
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "types": ["IGNORE", "FewLabelsError", "Tile"],
        "data": ["load"],
        "labels": ["draw", "expand"],
        "studies": ["STUDIES", "Run"],
        "training": ["LOSSES", "build"],
        "scoring": ["scores"],
        "experiments": ["execute"],
        "mapping": ["explore"],
    },
)
