"""Maps of a person's own scene, from their own labels.

`fit` trains on a scene and labels and scores the model on held-out ground; `predict` maps a scene
of any size; `widget` does both at every click in a notebook. Rasters and vectors are read by
rasterio and geopandas and brought onto one pixel grid.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"widget": ["explore"]})
