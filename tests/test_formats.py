"""Files that say to read another file, or that are not what their name says."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasters import labels, pixels, scene
from shapely.geometry import mapping

from fewlabels.mapping import formats, label_image, vector_labels
from fewlabels.mapping import scene as scenes
from fewlabels.types import DataError

FAR = "/vsicurl/http://127.0.0.1:9/far.tif"
VRT = (
    '<VRTDataset rasterXSize="12" rasterYSize="10"><VRTRasterBand dataType="Byte" band="1">'
    "<SimpleSource><SourceFilename>{}</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
)
NOTES = (
    '<PAMDataset><Metadata domain="{}"><MDI key="OVERVIEW&#95;FILE">{}</MDI></Metadata>'
    "</PAMDataset>"
)
LINK = {"type": "link", "properties": {"href": "http://127.0.0.1:9/crs", "type": "proj4"}}


@pytest.fixture
def plain(tmp_path: Path) -> scenes.Scene:
    """A scene of 10 x 12 pixels in UTM."""
    return scenes.opened(scene(tmp_path / "scene.tif", np.ones((2, 10, 12), np.uint16)))


def image(folder: Path) -> Path:
    return scene(folder / "mask.tif", np.arange(120, dtype=np.uint8).reshape(1, 10, 12) % 3)


def tagged(file: Path) -> Path:
    with rasterio.open(file, "r+") as target:
        target.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=FAR)
    return file


def test_the_first_bytes_decide_what_an_image_is_and_not_its_name(tmp_path, plain):
    other = image(tmp_path)
    service = f"<GDAL_WMS><Service name='TMS'><ServerUrl>{FAR}</ServerUrl></Service></GDAL_WMS>"
    stac = json.dumps({"stac_version": "1.0.0", "type": "Feature", "assets": {"a": {"href": FAR}}})
    for name in ("a.tif", "a.png"):
        for text in (VRT.format(other), VRT.format(FAR), service, stac, f"<WMTS>{FAR}</WMTS>"):
            (tmp_path / name).write_text(text)
            with pytest.raises(DataError, match=f"{name}' does not open as a GeoTIFF: its first"):
                scenes.opened(tmp_path / name)
            with pytest.raises(DataError, match=f"{name}' does not open as a label image"):
                label_image.opened(tmp_path / name, plain)
    Image.fromarray(np.ones((10, 12), np.uint8)).save(tmp_path / "b.tif", "PNG")
    assert label_image.opened(tmp_path / "b.tif", plain).classes == ("1",)


def test_a_pipe_is_no_scene_and_no_labels(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    with pytest.raises(DataError, match="no file of that name"):
        scenes.opened(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["mask.tif.aux.xml", "mask.TIF.AUX.XML", "mask.tif.msk.aux.xml"])
def test_notes_beside_an_image_lead_nowhere_else(tmp_path, plain, name):
    file = image(tmp_path)
    shutil.copy(file, tmp_path / "mask.tif.msk")
    for domain in ("OVERVIEWS", "overviews", "other"):
        (tmp_path / name).write_text(NOTES.format(domain, FAR))
        with pytest.raises(DataError, match=f"{name}' has the label image read from another file"):
            label_image.opened(file, plain)
    (tmp_path / name).write_text("<PAMDataset><Metadata/></PAMDataset>")
    label_image.opened(file, plain)


@pytest.mark.parametrize("end", [".ovr", ".msk", ".OVR", ".ovr.msk"])
def test_overviews_and_masks_beside_an_image_are_geotiffs_that_lead_nowhere_else(
    tmp_path, plain, end
):
    file = image(tmp_path)
    shutil.copy(file, tmp_path / f"mask.tif{end[:4]}")
    beside = tmp_path / f"mask.tif{end}"
    beside.write_text(VRT.format(FAR))
    with pytest.raises(DataError, match=f"mask.tif{end}' has the label image read from another"):
        label_image.opened(file, plain)
    tagged(Path(shutil.copy(file, beside)))
    with pytest.raises(DataError, match=f"mask.tif{end}' has the label image read from another"):
        label_image.opened(file, plain)
    shutil.copy(file, beside)
    label_image.opened(file, plain)


def test_a_geotiff_does_not_lead_to_overviews_elsewhere(tmp_path):
    file = tagged(scene(tmp_path / "a.tif", np.ones((1, 10, 12), np.uint8)))
    with pytest.raises(DataError, match=r"a\.tif' has the GeoTIFF read from another file"):
        scenes.opened(file)


def collection(**more: object) -> str:
    shape = {
        "type": "Feature",
        "properties": {"class": "own"},
        "geometry": mapping(pixels(1, 1, 3, 3)),
    }
    return json.dumps({"type": "FeatureCollection", "features": [shape], **more})


def test_labels_are_those_of_the_file_and_of_no_other_that_it_names(tmp_path, plain):
    labels(tmp_path / "other.geojson", {pixels(1, 1, 3, 3): "other"})
    there = (
        "<OGRVRTDataSource><OGRVRTLayer name='other'><SrcDataSource>"
        f"{tmp_path / 'other.geojson'}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>"
    )
    file = tmp_path / "l.geojson"
    file.write_text(collection(note=there))
    assert vector_labels.read(file, plain, crs="scene").classes == ("own",)
    for text in (there, f"<OGRWFSDataSource><URL>{FAR}</URL></OGRWFSDataSource>", "{}", "[" * 10**5,
                 '{"type": "Topology"}', collection(crs=LINK), collection(crs="x")):  # fmt: skip
        file.write_text(text)
        with pytest.raises(DataError, match=r"l\.geojson' does not open as a file of labels"):
            vector_labels.read(file, plain, crs="scene")
    (tmp_path / "l.kml").write_text("<kml xmlns='http://www.opengis.net/kml/2.2'/>")
    assert formats.drawn(tmp_path / "l.kml") == tmp_path / "l.kml"
    (tmp_path / "l.gpkg").write_text(there)
    with pytest.raises(DataError, match=r"l\.gpkg' does not open as a file of labels"):
        vector_labels.read(tmp_path / "l.gpkg", plain)


def test_a_system_that_geojson_names_is_kept(tmp_path, plain):
    named = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32615"}}
    (tmp_path / "l.geojson").write_text(collection(crs=named, name="layer"))
    assert len(vector_labels.read(tmp_path / "l.geojson", plain).shapes) == 1
