"""U-Net from scratch: an encoder that halves the image, a decoder that doubles it, skips between.

With everything at its default this is system B's network: depth 5, width 64. System C's has depth
4; its variants are rows of options:

    SE and spatial dropout      unet:depth=4,se,spatial_dropout=0.1
    attention gates             unet:depth=4,attention
    residual blocks             unet:depth=4,encoder=residual,bottleneck=residual,decoder=residual
    ASPP                        unet:depth=4,bottleneck=aspp,aspp_rate=2
    full inception              unet:depth=4,encoder=inception,bottleneck=inception,skip=inception
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fewlabels.training.networks import blocks, names


def unet(
    channels: int,
    classes: int,
    *,
    depth: int = 5,
    width: int = 64,
    encoder: str = "conv",
    bottleneck: str = "conv",
    decoder: str = "conv",
    skip: str = "plain",
    attention: bool = False,
    se: bool = False,
    up: str = "transposed",
    aspp_rate: int = 6,
    dropout: float = 0.0,
    spatial_dropout: float = 0.0,
) -> nn.Module:
    """Build a U-Net with weights drawn by torch's defaults from the global generator.

    Level i of `depth` (0 is the finest, the last is the bottleneck) has width * 2**i channels.
    Differs from the original as system B does: BatchNorm, and convolutions padded with zeros so
    that the logits have the size of the image. Parameters with 3 channels and 5
    classes: 31,037,893 at depth 5, 7,700,421 at depth 4.

    A pixel's logits depend on a square of 188 to 204 pixels at depth 5, by where it stands in the
    cells of the pooling; 92 to 100 at depth 4 (bilinear: 220 to 236, 108 to 116). `se` and
    `bottleneck=aspp` make it the whole image.

    Args:
        depth: resolution levels, the bottleneck included; at least 2.
        width: channels of the finest level.
        encoder, decoder: block of their levels: conv, residual, inception.
        bottleneck: one of these, or aspp.
        skip: plain, or inception: a block on every skip.
        attention: a gate on every skip, after `skip`.
        se: squeeze-and-excitation in every block of encoder, bottleneck and decoder.
        up: transposed (the original's), or bilinear.
        aspp_rate: smallest of the three dilations, in pixels of the bottleneck.
        dropout, spatial_dropout: share of single values, or of whole channels, dropped after every
            block of encoder, bottleneck and decoder.

    Raises:
        UnknownName: a block that is in no table.
        OptionError: depth, width, rate or share out of range.

    Source: Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597
    """
    names.at_least("unet", 2, depth=depth)
    names.at_least("unet", 1, width=width, aspp_rate=aspp_rate)
    names.shares("unet", dropout=dropout, spatial_dropout=spatial_dropout)
    down = names.chosen("unet", "encoder", encoder, blocks.BLOCKS)
    deepest = names.chosen("unet", "bottleneck", bottleneck, blocks.BOTTLENECKS)
    upward = names.chosen("unet", "decoder", decoder, blocks.BLOCKS)
    refine = names.chosen(
        "unet", "skip", skip, {"plain": nn.Identity, "inception": blocks.Inception}
    )
    enlarge = names.chosen("unet", "up", up, blocks.UPS)
    rate = {"rate": aspp_rate} if bottleneck == "aspp" else {}
    widths = [width * 2**level for level in range(depth)]
    ends = dropout, spatial_dropout
    entering = zip([channels, *widths[:-2]], widths[:-1], strict=True)
    return UNet(
        [nn.Sequential(down(i, o, se), *blocks.dropped(*ends)) for i, o in entering],
        nn.Sequential(deepest(widths[-2], widths[-1], se, **rate), *blocks.dropped(*ends)),
        [
            Join(
                enlarge(2 * w, w),
                refine(w, w),
                blocks.AttentionGate(w) if attention else None,
                nn.Sequential(upward(2 * w, w, se), *blocks.dropped(*ends)),
            )
            for w in reversed(widths[:-1])
        ],
        nn.Conv2d(width, classes, 1),
    )


class Join(nn.Module):
    """One level of a decoder: the level below, doubled in size, is joined with the skip."""

    def __init__(
        self, up: nn.Module, refine: nn.Module, gate: nn.Module | None, block: nn.Module
    ) -> None:
        super().__init__()
        self.up, self.refine, self.gate, self.block = up, refine, gate, block

    def forward(
        self, below: Float[Tensor, "b deep half_h half_w"], skip: Float[Tensor, "b c h w"]
    ) -> Float[Tensor, "b c h w"]:
        raised, skip = self.up(below), self.refine(skip)
        if self.gate is not None:
            skip = self.gate(skip, raised)
        return self.block(torch.cat((skip, raised), dim=1))


class UNet(nn.Module):
    """Encoder levels from the finest down, the bottleneck, decoder levels from the coarsest up."""

    def __init__(
        self, encoder: list[nn.Module], bottleneck: nn.Module, decoder: list[Join], head: nn.Module
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)
        self.bottleneck, self.head = bottleneck, head

    def forward(self, images: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:
        """Compute the logits of every pixel; any h and w of at least 1 (see `padded`)."""
        x, skips = padded(images, 2 ** len(self.decoder)), []
        for block in self.encoder:
            skips.append(block(x))
            x = F.max_pool2d(skips[-1], 2)
        x = self.bottleneck(x)
        for join in self.decoder:
            x = join(x, skips.pop())
        return self.head(x)[..., : images.shape[2], : images.shape[3]]


def padded(
    images: Float[Tensor, "b c h w"], multiple: int
) -> Float[Tensor, "b c padded_h padded_w"]:
    """Repeat the last column and row until both sides are multiples of `multiple`."""
    h, w = images.shape[2:]
    pad = (0, -w % multiple, 0, -h % multiple)
    return F.pad(images, pad, mode="replicate") if any(pad) else images
