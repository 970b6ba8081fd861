"""Open files that others made: their first bytes decide the format, and nothing else is followed.

GDAL by itself tries every driver on a file, whatever its name. Some of them fetch, or read in the
file's stead, what a text, a link or a file beside it points to. Whatever a library raises or warns
of comes out in words of our own (`foreign`).
"""

import csv
import glob
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from warnings import catch_warnings, filterwarnings, simplefilter
from xml.etree import ElementTree

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader
from shapely.errors import ShapelyError

from fewlabels.types import DataError

log = logging.getLogger(__name__)

FOREIGN = (
    ArithmeticError, CPLE_BaseError, ImportError, LookupError, OSError, RasterioError, RuntimeError,
    ShapelyError, TypeError, ValueError, csv.Error,
)  # fmt: skip
"""What rasterio, pyogrio, pyproj, shapely, pandas and pyarrow raise for a file they cannot read."""
KNOWN = (NodataShadowWarning, NotGeoreferencedWarning)  # said elsewhere in words of our own
HARMLESS = ("Several features with id", "Error parsing datetimes", "'crs' was not provided")
LONG = 300  # characters of a library's message
RASTERS = {
    b"II*\0": "GTiff", b"MM\0*": "GTiff", b"II+\0": "GTiff", b"MM\0+": "GTiff",
    b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG",
}  # fmt: skip
DRAWN = (b"SQLite format 3\0", b"\0\0\x27\x0a", b"fgb\x03")  # GeoPackage, Shapefile, FlatGeobuf
BLANK = b"\xef\xbb\xbf \t\r\n"
UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError,
              ElementTree.ParseError)  # fmt: skip
GEOJSON = {"Feature", "FeatureCollection", "GeometryCollection", "LineString", "MultiLineString",
           "MultiPoint", "MultiPolygon", "Point", "Polygon"}  # fmt: skip
ELSEWHERE = ("OVERVIEWS", "OVERVIEW_FILE")  # name what GDAL follows to any other file


def raster(file: Path, what: str) -> DatasetReader:
    """Open a GeoTIFF, PNG or JPEG.

    Raises:
        DataError: it is none of these, or is told, inside or beside it, to read another file.
        rasterio.errors.RasterioIOError: it does not open.
    """
    driver = _driver(file, what)
    for other in _beside(file, what):
        with rasterio.open(other, driver="GTiff") as inside:
            _check_tags(inside, other, what)
    source = rasterio.open(file, driver=driver)
    _check_tags(source, file, what)
    return source


def drawn(file: Path) -> Path | bytes:
    """Return what a reader of vector files may be given in the place of `file`: of GeoJSON its
    text, written anew without what does not belong there.

    Raises:
        DataError: it is no GeoPackage, Shapefile, FlatGeobuf, KML or GeoJSON; or the coordinate
            system of a GeoJSON is a link.
    """
    what = "file of labels"
    if _head(file, what).startswith(DRAWN):
        return file
    try:
        text = file.read_bytes()
        if text.lstrip(BLANK).startswith(b"<"):
            root = ElementTree.fromstring(text).tag.rpartition("}")[2]
            if root == "kml":
                return file
            raise ValueError(f"it is XML of <{root}>")
        found = json.loads(text)
        kind, system = found["type"], found.get("crs")
        if kind not in GEOJSON:
            raise ValueError(f"its type is '{kind}'")
        if system and system["type"] != "name":
            raise ValueError(f"its coordinate system is a {system['type']}, not a name")
        feature = found if kind == "Feature" else {"type": "Feature", "properties": {}}
        features = found.get("features", [feature | {"geometry": found.get("geometry", found)}])
    except UNREADABLE as error:
        raise DataError(
            f"'{file}' does not open as a {what}: it is no GeoPackage, Shapefile, FlatGeobuf, KML "
            f"or GeoJSON ({error})"
        ) from error
    whole = {"type": "FeatureCollection", "name": file.stem, "features": features}
    whole |= {"crs": system} if system else {}
    return json.dumps(whole).replace("<", "\\u003c").encode()  # no driver of XML sees its own


def _driver(file: Path, what: str) -> str:
    head = _head(file, what)
    found = next((driver for first, driver in RASTERS.items() if head.startswith(first)), None)
    if found is None:
        raise DataError(
            f"'{file}' does not open as a {what}: its first bytes are those of no GeoTIFF, PNG or "
            "JPEG; `gdal_translate IN OUT.tif` makes a GeoTIFF of most formats"
        )
    return found


def _beside(file: Path, what: str) -> Iterator[Path]:
    """List the overviews and masks beside a file, and those beside them, all of them GeoTIFFs."""
    try:
        there = list(file.absolute().parent.iterdir())
    except OSError:  # a folder whose files may be opened but not listed
        guesses = (file.with_name(file.name + end) for end in (".aux.xml", ".ovr", ".msk"))
        there = [guess for guess in guesses if guess.exists()]
    for other in there:
        end = other.name.lower().removeprefix(file.name.lower())
        if end == ".aux.xml":
            _check_notes(other, what)
        elif end in (".ovr", ".msk"):
            if RASTERS.get(_head(other, what)[:4]) != "GTiff":
                raise _elsewhere(other, what)
            yield from _beside(other, what)
            yield other


def _check_notes(file: Path, what: str) -> None:
    """Check that GDAL's notes on a file name no other file."""
    _head(file, what)
    try:
        nodes = list(ElementTree.parse(file).iter())
    except UNREADABLE as error:
        raise DataError(f"'{file}' cannot be read ({error}); delete it") from error
    if any(value.upper() in ELSEWHERE for node in nodes for value in node.attrib.values()):
        raise _elsewhere(file, what)


def _check_tags(source: DatasetReader, file: Path, what: str) -> None:
    if source.tags(ns="OVERVIEWS"):
        source.close()
        raise _elsewhere(file, what)


def _elsewhere(file: Path, what: str) -> DataError:
    return DataError(f"'{file}' has the {what} read from another file; delete what says so")


def _head(file: Path, what: str) -> bytes:
    if not file.is_file():  # to read from a pipe would wait for its writer
        raise DataError(f"'{file}' does not open as a {what}: there is no file of that name")
    try:
        with file.open("rb") as opened:
            return opened.read(16)
    except OSError as error:
        raise DataError(f"'{file}' does not open as a {what} ({error.strerror})") from error


@contextmanager
def foreign(what: str, way_out: str = "") -> Iterator[None]:
    """Raise DataError for whatever a library raises in the block, which calls nothing else. A
    warning of the library is logged once.

    Args:
        what: the beginning of the error: the file, and what could not be done with it.
        way_out: what to do about it.
    """
    with catch_warnings(record=True) as heard:
        simplefilter("always")
        try:
            yield
        except FOREIGN as error:
            raise DataError(f"{what} ({said(error)}){way_out and '; '}{way_out}") from error
    for text in {said(w.message) for w in heard if not issubclass(w.category, KNOWN)}:
        if not text.startswith(HARMLESS):
            log.warning("%s is read with a warning: %s", what.partition(" does not")[0], text)


@contextmanager
def quiet() -> Iterator[None]:
    """Drop the warnings of libraries that write what is meant to be written."""
    with catch_warnings():
        simplefilter("ignore", NotGeoreferencedWarning)
        filterwarnings("ignore", message="'crs' was not provided")
        yield


def said(error: object) -> str:
    """What a library said, in one line."""
    return " ".join(f"{error}".split())[:LONG] or type(error).__name__


@contextmanager
def unsplit(file: Path) -> Iterator[Path]:
    """An absolute path of a file that no library takes for an address or for `archive!member`."""
    if "!" not in str(file.absolute()):
        yield file.absolute()
        return
    with TemporaryDirectory() as folder:
        for each in {file, *file.parent.glob(f"{glob.escape(file.stem)}.*")}:
            Path(folder, each.name.replace("!", "_")).symlink_to(each.absolute())
        yield Path(folder, file.name.replace("!", "_"))
