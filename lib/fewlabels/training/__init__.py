"""Networks, partial losses and the one training loop.

What is trained sees labels only: a batch has no field for a dense mask. `networks`, `losses` and
`augmentation` are tables of choices; `batches` cuts crops; `loop.fit` trains and can resume.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "networks": ["build"],
        "losses": ["LOSSES", "class_weights"],
        "batches": ["Batches", "LabelledTile"],
        "loop": ["fit"],
        "optimisation": ["Optimisation"],
    },
)
