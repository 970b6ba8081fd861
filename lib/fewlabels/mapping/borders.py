"""Where other people's files come in: paths, exceptions and warnings of the libraries that read."""

import csv
import glob
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from warnings import catch_warnings, filterwarnings, simplefilter

from rasterio._err import CPLE_BaseError
from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning, RasterioError
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
