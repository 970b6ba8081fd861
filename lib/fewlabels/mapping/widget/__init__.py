"""The notebook widget: click labels on an image and see the map that follows from them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submod_attrs={"notebook": ["explore"]})
