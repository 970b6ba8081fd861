"""Maps of a person's own scene, from their own labels.

`fit` trains on a scene and labels and scores the model on held-out ground; `predict` maps a scene
of any size; `sample` and `assess` say by design how good the map is; `widget` maps at every click
in a notebook. Rasters and vectors are brought onto one pixel grid by rasterio and geopandas.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"widget": ["explore"]})
