"""U-Net++ from scratch: a U-Net whose skips pass through nested, densely joined blocks."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fewlabels.training.networks import blocks, names
from fewlabels.training.networks.unet import padded


def unetpp(
    channels: int,
    classes: int,
    *,
    depth: int = 5,
    width: int = 64,
    block: str = "conv",
    se: bool = False,
    up: str = "transposed",
    deep_supervision: bool = False,
    dropout: float = 0.0,
    spatial_dropout: float = 0.0,
) -> nn.Module:
    """Build a U-Net++ with weights drawn by torch's defaults from the global generator.

    Node (i, j) is at level i (0 is the finest) with width * 2**i channels. Nodes (i, 0) are the
    encoder; node (i, j) sees all earlier nodes of its level and node (i + 1, j - 1), doubled in
    size. The logits are those of node (0, depth - 1).

    With `deep_supervision` they are the mean of the logits of a head on each of the nodes (0, 1) to
    (0, depth - 1), in training as in evaluation (the authors' "accurate mode"). The authors train
    each head with a loss of its own; here one loss trains their mean, so no head is good alone.

    Parameters with 3 channels and 5 classes: 36,165,509 at depth 5, 8,819,909 at depth 4; deep
    supervision adds depth - 2 heads of 325. It sees as far as `unet.unet`.

    Args:
        depth: resolution levels, the deepest included; at least 2.
        width: channels of the finest level.
        block: of every node: conv, residual, inception.
        se: squeeze-and-excitation in every node.
        up: transposed (as in the authors' code), or bilinear.
        dropout, spatial_dropout: share of single values, or of whole channels, dropped after every
            node.

    Raises:
        UnknownName: a block that is in no table.
        OptionError: depth, width or share out of range.

    Source: Zhou et al. 2018, https://arxiv.org/abs/1807.10165
    """
    names.at_least("unetpp", 2, depth=depth)
    names.at_least("unetpp", 1, width=width)
    names.shares("unetpp", dropout=dropout, spatial_dropout=spatial_dropout)
    make = names.chosen("unetpp", "block", block, blocks.BLOCKS)
    enlarge = names.chosen("unetpp", "up", up, blocks.UPS)

    def node(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(make(inputs, outputs, se), *blocks.dropped(dropout, spatial_dropout))

    widths = [width * 2**level for level in range(depth)]
    encoder = [node(i, o) for i, o in zip([channels, *widths[:-1]], widths, strict=True)]
    columns = [
        [Nested(enlarge(2 * w, w), node((column + 1) * w, w)) for w in widths[: depth - column]]
        for column in range(1, depth)
    ]
    heads = depth - 1 if deep_supervision else 1
    return UNetPP(encoder, columns, [nn.Conv2d(width, classes, 1) for _ in range(heads)])


class Nested(nn.Module):
    """One node: the one below, doubled in size, is joined with all earlier nodes of the level."""

    def __init__(self, up: nn.Module, block: nn.Module) -> None:
        super().__init__()
        self.up, self.block = up, block

    def forward(
        self, below: Float[Tensor, "b deep half_h half_w"], level: list[Float[Tensor, "b c h w"]]
    ) -> Float[Tensor, "b c h w"]:
        return self.block(torch.cat([*level, self.up(below)], dim=1))


class UNetPP(nn.Module):
    """The encoder from the finest level down, then columns of nodes, each a level shorter.

    The heads belong to the last nodes of the finest level, one each.
    """

    def __init__(
        self, encoder: list[nn.Module], columns: list[list[nn.Module]], heads: list[nn.Module]
    ) -> None:
        super().__init__()
        self.encoder, self.heads = nn.ModuleList(encoder), nn.ModuleList(heads)
        self.columns = nn.ModuleList(nn.ModuleList(column) for column in columns)

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        """Compute the logits of every pixel; any h and w of at least 1 (see `unet.padded`)."""
        x = padded(images, 2 ** len(self.columns))
        levels = [[self.encoder[0](x)]]
        for block in self.encoder[1:]:
            levels.append([block(F.max_pool2d(levels[-1][0], 2))])
        for column in self.columns:
            for level, node in enumerate(column):
                # below still ends with the column before: finer levels are computed first
                levels[level].append(node(levels[level + 1][-1], levels[level]))
        finest = levels[0][-len(self.heads) :]
        logits = [head(node) for head, node in zip(self.heads, finest, strict=True)]
        mean = torch.stack(logits).mean(dim=0) if len(logits) > 1 else logits[0]
        return mean[..., : images.shape[2], : images.shape[3]]
