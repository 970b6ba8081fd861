"""Export a model as one ONNX graph that QGIS's plugin Deepness runs.

Deepness cuts a scene into square tiles that overlap, divides the values of the bands by 255 and
gives the graph f32[1 c h w]; it takes the class of the greatest score. All else is in the graph:
how values become bytes, features, and network or head. It knows no void pixels, and beyond a
scene's edge it puts zeros where our map mirrors the scene, so the two maps differ near edges.

Source: https://qgis-plugin-deepness.readthedocs.io/en/latest/creators/creators_description_classes.html
and, for the metadata, .../creators/creators_add_metadata_to_model.html, which calls `tiles_size`
what the plugin reads as `tile_size` (processing/models/model_base.py of the plugin).
"""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from jaxtyping import Float32, Float64, Shaped
from onnx import ModelProto
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.onnx import OnnxExporterError

from fewlabels import devices
from fewlabels.files import whole_file, writable
from fewlabels.learners import Predictor, graph
from fewlabels.mapping import maps, model_folder
from fewlabels.mapping.formats import said
from fewlabels.mapping.model_folder import About
from fewlabels.mapping.scene import MIDDLE, Ranges, to_bytes
from fewlabels.mapping.stream import UNKNOWN
from fewlabels.training.networks import STRIDE
from fewlabels.types import FewLabelsError

LEAST = 0.999  # share of pixels that must agree
NEAR = 0.01  # of a probability
OVERLAP, SIDE = 40, 160  # percent, and pixels: so do tiles begin at multiples of 32 pixels


class ExportError(FewLabelsError):
    """A model that cannot be exported, or whose graph does not give our map."""


class Scaled(nn.Module):
    """A graph of `learners.graph` behind the step from values to bytes; see `scene.to_bytes`."""

    def __init__(self, ranges: Ranges, inner: nn.Module) -> None:
        super().__init__()
        low, high = torch.tensor(ranges.low), torch.tensor(ranges.high)
        self.inner = inner
        self.register_buffer("low", low[:, None, None])
        self.register_buffer("span", torch.where(high > low, high - low, 1.0)[:, None, None])
        self.register_buffer("varies", (high > low)[:, None, None])

    def forward(self, bands: Float32[Tensor, "1 c h w"]) -> Float32[Tensor, "1 k h w"]:
        scaled = 255 * ((255 * bands[0] - self.low) / self.span)
        scaled = torch.where(self.varies, scaled, float(MIDDLE))
        return self.inner(scaled.clamp(0, 255).round().to(torch.uint8))[None]


def export(model: Path, out: Path) -> float:
    """Write the graph of a model folder, once it has given our map on a made-up tile.

    Returns:
        The share of the tile's pixels that have the same class in both maps, and probabilities
        that differ by at most 0.01.

    Raises:
        ExportError: the model is a forest, torch cannot export its network or encoder, or less than
            99.9 % of the pixels agree.
        DataError: `out` exists.
        DiskFullError, PlaceError: it cannot be written.
    """
    maps.free(out)
    writable(out)
    about = model_folder.about(model)
    predictor = model_folder.predictor(model, about, devices.compute("cpu", "fp32"))
    side, overlap = _tiles(about, predictor)
    program = _graph(model, about, predictor, side)
    onnx.helper.set_model_props(program, _metadata(about, side, overlap))
    onnx.checker.check_model(program)
    made = program.SerializeToString()
    values = _tile(about, side)
    ours = predictor.probabilities(to_bytes(values, np.ones((side, side), bool), about.ranges))
    share = agreement(ours, scores(made, values))
    if share < LEAST:
        raise ExportError(
            f"the graph of '{model}' gives our map in {100 * share:.2f} % of the pixels of a "
            f"tile, but at least {100 * LEAST:.1f} % are needed; nothing is written"
        )
    with whole_file(out) as scratch:
        scratch.write_bytes(made)
    return share


def scores(made: bytes | Path, values: Shaped[np.ndarray, "h w c"]) -> Float32[np.ndarray, "k h w"]:
    """What a graph says of a tile that is given to it as Deepness does."""
    threads = onnxruntime.SessionOptions()
    threads.intra_op_num_threads = torch.get_num_threads()
    given = made if isinstance(made, bytes) else str(made)
    session = onnxruntime.InferenceSession(given, threads, providers=["CPUExecutionProvider"])
    x = np.float32(values * (1 / 255)).transpose(2, 0, 1)[None]
    return session.run(None, {"bands": x})[0][0]


def agreement(one: Float32[np.ndarray, "k h w"], other: Float32[np.ndarray, "k h w"]) -> float:
    """The share of pixels with the same class and probabilities within 0.01."""
    same = one.argmax(axis=0) == other.argmax(axis=0)
    return float((same & (np.abs(one - other).max(axis=0) <= NEAR)).mean())


def _tiles(about: About, predictor: Predictor) -> tuple[int, int]:
    """Side of a tile in pixels, and overlap in percent: half of it is what a pixel depends on."""
    if about.network:
        return -(-about.window // STRIDE) * STRIDE, 25
    reach = UNKNOWN if predictor.halo is None else predictor.halo
    return -(-2 * reach * 100 // (OVERLAP * SIDE)) * SIDE, OVERLAP


def _graph(model: Path, about: About, predictor: Predictor, side: int) -> ModelProto:
    inner = graph.graph(predictor)
    if inner is None:
        raise ExportError(
            f"the model '{model}' is a {about.learner}, and a forest does not become a graph; "
            "train with --method frozen_linear, fine_tuned or network"
        )
    module = Scaled(about.ranges, inner).eval()
    example = torch.zeros(1, len(about.bands), side, side)
    names = {"input_names": ["bands"], "output_names": ["scores"]}
    try:
        with torch.no_grad():
            made = torch.onnx.export(
                module, (example,), dynamo=True, verbose=False, optimize=False, **names
            )
    except OnnxExporterError as error:
        raise ExportError(
            f"torch cannot export '{model}': {said(error.__cause__ or error)}"
        ) from error
    return made.model_proto


def _metadata(about: About, side: int, overlap: int) -> dict[str, str]:
    """What Deepness reads, as JSON, and what a person would ask. A score is never cut off (it would
    become class 0) and no small area is removed; resolution is in centimetres a pixel.
    """
    channels = len(about.bands)
    told = {
        "model_type": "Segmentor", "class_names": dict(enumerate(about.classes)),
        "tile_size": side, "tiles_size": side, "tiles_overlap": overlap,
        "seg_thresh": 0.0, "seg_small_segment": 0,
        "standardization_mean": [0.0] * channels, "standardization_std": [1.0] * channels,
        "bands": about.bands, "licence": about.licence,
    }  # fmt: skip
    if about.system != "none":
        told["resolution"] = 100 * about.pixel
    return {name: json.dumps(value) for name, value in told.items()}


def _tile(about: About, side: int) -> Float64[np.ndarray, "h w c"]:
    """Smooth noise at several scales, some of it beyond the bands' ranges of training, as values
    that the scene's number format has.
    """
    rng = np.random.default_rng(0)
    parts = [
        gaussian_filter(rng.normal(size=(side, side, len(about.bands))), (scale, scale, 0))
        for scale in (0.5, 4, 16)
    ]
    low, high = np.array(about.ranges.low), np.array(about.ranges.high)
    noise = sum(part / part.std() for part in parts)
    values = low + (high - low) * (0.5 + 0.18 * noise)
    kind = np.result_type(*about.kind.split("/"))
    if kind.kind in "iu":
        values = values.round().clip(np.iinfo(kind).min, np.iinfo(kind).max)
    return values.astype(kind).astype(np.float64)
