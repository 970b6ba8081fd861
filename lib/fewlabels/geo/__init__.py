"""Scenes and labels of one's own: what lies in georeferenced files, brought onto one pixel grid.

`scene` reads GeoTIFF in windows, `bands` makes bytes of any kind of value, `marks` reads drawn
labels (points, lines, polygons), `painted` reads label images, `burn` puts marks on pixels, `maps`
writes class maps. Nothing here knows of networks.
"""
