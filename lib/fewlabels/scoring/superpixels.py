"""Smooth a map within superpixels before its class is taken."""

import numpy as np
from jaxtyping import Float32, Int, UInt8
from skimage import segmentation


def smoothed(
    probabilities: Float32[np.ndarray, "k h w"], image: UInt8[np.ndarray, "h w c"], size: float
) -> Float32[np.ndarray, "k h w"]:
    """Average the class probabilities of each SLIC superpixel of about `size` pixels.

    Source: Achanta et al. 2012, https://doi.org/10.1109/TPAMI.2012.120 (scikit-image)
    """
    segments = superpixels(image, size).ravel()
    counts = np.bincount(segments)
    means = [np.bincount(segments, layer.ravel()) / counts for layer in probabilities]
    return np.stack([mean[segments] for mean in means]).reshape(probabilities.shape).astype("f4")


def superpixels(image: UInt8[np.ndarray, "h w c"], size: float) -> Int[np.ndarray, "h w"]:
    """Number the SLIC superpixels of an image, from 0; colours weigh as scikit-image has it."""
    number = max(1, round(image.shape[0] * image.shape[1] / size))
    compactness = 10.0 if image.shape[2] == 3 else 0.1  # without CIELAB values are in [0, 1]
    return segmentation.slic(
        image, n_segments=number, compactness=compactness, start_label=0, channel_axis=-1
    )
