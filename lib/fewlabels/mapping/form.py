"""How QGIS shows points that a person interprets: a frame around the pixel, a list of classes."""

from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

COLOUR = "255,0,255,255"
VERSION = "3.22.0"
EMPTY = "{2839923C-8B7D-419E-B84B-CA2FE9B80EC7}"  # QGIS's value of "no answer" in such a list


def qml(column: str, classes: Sequence[str], side: float) -> str:
    """Compose the style of a layer of points, in QGIS's own format.

    Args:
        column: gets a value map of the classes; the column `id` can only be read.
        side: of the frame that is drawn around each point, in map units.
    """
    root = Element("qgis", version=VERSION, styleCategories="Symbology|Fields|Forms")
    renderer = SubElement(root, "renderer-v2", type="singleSymbol", symbollevels="0")
    symbol = SubElement(SubElement(renderer, "symbols"), "symbol", type="marker", name="0")
    marker = _options(SubElement(symbol, "layer", {"class": "SimpleMarker", "enabled": "1"}))
    look = {"name": "square", "color": "0,0,0,0", "outline_color": COLOUR, "outline_width": "0.5",
            "outline_width_unit": "MM", "size": f"{side:.12g}", "size_unit": "MapUnit"}  # fmt: skip
    for name, value in look.items():
        _option(marker, name, value)
    fields = SubElement(root, "fieldConfiguration")
    for name, kind in (("id", "TextEdit"), (column, "ValueMap")):
        widget = SubElement(SubElement(fields, "field", name=name), "editWidget", type=kind)
        config = _options(SubElement(widget, "config"))
        if kind == "ValueMap":
            listed = SubElement(config, "Option", type="List", name="map")
            for each, value in {"": EMPTY, **dict(zip(classes, classes, strict=True))}.items():
                _option(_options(listed), each, value)
    editable = SubElement(root, "editable")
    for name, free in (("id", "0"), (column, "1")):
        SubElement(editable, "field", name=name, editable=free)
    return document(root)


def document(root: Element) -> str:
    """Write a style out as QGIS reads it."""
    text = ElementTree.tostring(root, encoding="unicode")
    return f"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n{text}\n"


def _options(parent: Element) -> Element:
    return SubElement(parent, "Option", type="Map")


def _option(parent: Element, name: str, value: str) -> None:
    SubElement(parent, "Option", type="QString", name=name, value=value)
