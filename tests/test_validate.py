"""Validation by sparse labels and by masks: matrices counted by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from fewlabels import devices
from fewlabels.scoring import validation
from fewlabels.training import losses
from fewlabels.training.networks import normalise
from fewlabels.types import IGNORE, Tile

CPU = devices.compute("cpu", "fp32")


class Fixed(nn.Module):
    """Logits that are the first two channels of the image, so that a test can say them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :2]


def tile() -> Tile:
    """Of 2 x 4 pixels, two classes; the network says class 0 in the left half, 1 in the right."""
    image = np.zeros((2, 4, 3), np.uint8)
    image[:, :2, 0] = image[:, 2:, 1] = 255
    return Tile("t", "p", image, np.array([[0, 0, 0, 1], [1, 0, 1, IGNORE]], np.uint8))


def drawn() -> dict[str, np.ndarray]:
    labels = np.full((2, 4), IGNORE, np.uint8)
    labels[0, 0], labels[1, 0], labels[1, 2] = 0, 1, 1
    return {"t": labels}


@pytest.mark.parametrize("mode", ["sparse", "dense"])
def test_both_scores_are_counted_and_the_mode_says_what_the_loss_is_of(mode: str):
    """Sparse: 0 right, 1 one of two; IoU 1/2 each. Dense: of 7 pixels 5 right, one error each way;
    IoU 3/5 and 2/4.
    """
    loss = losses.partial_cross_entropy
    found = validation.validate(Fixed(), [tile()], drawn(), 2, loss, mode, CPU)
    assert found["val_sparse_miou"] == pytest.approx(1 / 2)
    assert found["val_dense_miou"] == pytest.approx((3 / 5 + 2 / 4) / 2)
    labels = drawn()["t"] if mode == "sparse" else tile().mask
    image = torch.from_numpy(tile().image).permute(2, 0, 1)[None]
    logits = Fixed()(normalise(image))
    truth = torch.from_numpy(labels[None].astype(np.int64))
    assert found["val_loss"] == pytest.approx(loss(logits, truth).item())


def test_an_ignored_class_is_not_scored():
    """Without class 1, class 0 remains: 3 of its 4 pixels of the mask are found, and its label."""
    loss = losses.partial_cross_entropy
    found = validation.validate(Fixed(), [tile()], drawn(), 2, loss, "dense", CPU, ignored=(1,))
    assert found["val_sparse_miou"] == 1
    assert found["val_dense_miou"] == pytest.approx(3 / 4)
