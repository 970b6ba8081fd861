"""The blocks of our own U-Nets, each from the paper that introduced it.

A block turns f32[b c h w] into f32[b o h w] and reaches two pixels to every side (`BLOCKS`) or,
where it averages over the whole image (squeeze-and-excitation, ASPP), all of them. Convolutions
that a BatchNorm follows have no bias. In training BatchNorm needs more than one value a channel:
a single image whose deepest level is one pixel raises torch's ValueError.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fewlabels.training.networks.names import OptionError

Map = Float[Tensor, "b c h w"]


def conv(inputs: int, outputs: int, side: int = 3, dilation: int = 1) -> nn.Sequential:
    """Make a convolution that keeps h and w, BatchNorm, ReLU.

    Source: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167
    """
    reach = dilation * (side // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, side, padding=reach, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def double_conv(inputs: int, outputs: int, se: bool = False) -> nn.Sequential:
    """Make two 3 x 3 convolutions, the block of the original U-Net, here with BatchNorm.

    Source: Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597
    """
    return nn.Sequential(*conv(inputs, outputs), *conv(outputs, outputs), *_excited(outputs, se))


class Residual(nn.Module):
    """Two 3 x 3 convolutions whose result is added to the input, then ReLU.

    The shortcut is the identity, or a 1 x 1 convolution with BatchNorm where the channels change.
    Squeeze-and-excitation acts before the sum.

    Source: He et al. 2016, https://arxiv.org/abs/1512.03385
    """

    def __init__(self, inputs: int, outputs: int, se: bool = False) -> None:
        super().__init__()
        change = double_conv(inputs, outputs)[:-1]  # the last ReLU comes after the sum
        self.change = nn.Sequential(*change, *_excited(outputs, se))
        same = inputs == outputs
        self.shortcut = nn.Identity() if same else conv(inputs, outputs, side=1)[:-1]

    def forward(self, x: Map) -> Float[Tensor, "b o h w"]:
        return F.relu(self.change(x) + self.shortcut(x))


class Inception(nn.Module):
    """Four branches side by side: 1 x 1; 1 x 1, 3 x 3; 1 x 1, 5 x 5; 3 x 3 maximum, 1 x 1.

    They give 1/4, 1/2, 1/8 and 1/8 of the outputs; the 3 x 3 and 5 x 5 see 3/8 and 1/16 as many
    channels: the shares of module 3a, with BatchNorm after every convolution.

    Raises:
        OptionError: fewer than 4 outputs, one for each branch.

    Source: Szegedy et al. 2015, https://arxiv.org/abs/1409.4842
    """

    def __init__(self, inputs: int, outputs: int, se: bool = False) -> None:
        super().__init__()
        if outputs < 4:
            raise OptionError(f"an inception block needs a width of at least 4, found {outputs}")
        one, five = outputs // 4, max(1, outputs // 8)
        three = outputs - one - 2 * five
        before_three, before_five = max(1, outputs * 3 // 8), max(1, outputs // 16)
        self.branches = nn.ModuleList(
            [
                conv(inputs, one, 1),
                nn.Sequential(conv(inputs, before_three, 1), conv(before_three, three, 3)),
                nn.Sequential(conv(inputs, before_five, 1), conv(before_five, five, 5)),
                nn.Sequential(nn.MaxPool2d(3, 1, padding=1), conv(inputs, five, 1)),
            ]
        )
        self.after = nn.Sequential(*_excited(outputs, se))

    def forward(self, x: Map) -> Float[Tensor, "b o h w"]:
        return self.after(torch.cat([branch(x) for branch in self.branches], dim=1))


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: 1 x 1, three dilated 3 x 3 and the mean of the image, joined
    by a 1 x 1 convolution.

    A dilated convolution whose rate exceeds the map is no more than its centre (as the authors
    note): on 8 x 16 pixels take a small `rate`. The branch of the mean has a bias in place of
    BatchNorm, so that a single image can be trained on.

    Args:
        rate: smallest distance in pixels; the three are rate, 2 * rate, 3 * rate.

    Source: Chen et al. 2017, https://arxiv.org/abs/1706.05587
    """

    def __init__(self, inputs: int, outputs: int, se: bool = False, rate: int = 6) -> None:
        super().__init__()
        dilated = [conv(inputs, outputs, 1)]
        dilated += [conv(inputs, outputs, 3, dilation=rate * times) for times in (1, 2, 3)]
        self.branches = nn.ModuleList(dilated)
        self.mean = nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.ReLU(inplace=True))
        self.join = nn.Sequential(*conv(5 * outputs, outputs, 1), *_excited(outputs, se))

    def forward(self, x: Map) -> Float[Tensor, "b o h w"]:
        mean = self.mean(x.mean(dim=(2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        return self.join(torch.cat([*(branch(x) for branch in self.branches), mean], dim=1))


class SqueezeExcite(nn.Module):
    """Every channel times a factor in (0, 1) computed from the means of all channels.

    Source: Hu et al. 2018, https://arxiv.org/abs/1709.01507, with c / 16 hidden units
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // 16)
        self.factors = nn.Sequential(
            nn.Conv2d(channels, hidden, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Map) -> Map:
        return x * self.factors(x.mean(dim=(2, 3), keepdim=True))


class AttentionGate(nn.Module):
    """A skip times a factor in (0, 1) a pixel, computed from the skip and what came from below.

    The authors compute the factor on the coarser grid and enlarge it; here the signal from below
    is enlarged already, so it is computed at the skip's own resolution.

    Source: Oktay et al. 2018, https://arxiv.org/abs/1804.03999, with c / 2 hidden units
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = max(1, channels // 2)
        self.of_skip = nn.Conv2d(channels, hidden, 1, bias=False)
        self.of_gate = nn.Conv2d(channels, hidden, 1)
        self.factor = nn.Conv2d(hidden, 1, 1)

    def forward(self, skip: Map, gate: Map) -> Map:
        return skip * torch.sigmoid(self.factor(F.relu(self.of_skip(skip) + self.of_gate(gate))))


def transposed(inputs: int, outputs: int) -> nn.Module:
    """Make the original U-Net's 2 x 2 transposed convolution of stride 2."""
    return nn.ConvTranspose2d(inputs, outputs, 2, stride=2)


def bilinear(inputs: int, outputs: int) -> nn.Module:
    """Make a 1 x 1 convolution, then bilinear interpolation (the two commute; this order is
    cheaper). On CUDA its gradient is not deterministic.
    """
    enlarge = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1), enlarge)


def dropped(dropout: float, spatial_dropout: float) -> list[nn.Module]:
    """Make the dropout at the end of a level: whole channels, then single values; [] for none.

    Source: Tompson et al. 2015 (spatial), https://arxiv.org/abs/1411.4280
    """
    spatial = [nn.Dropout2d(spatial_dropout)] if spatial_dropout else []
    return spatial + ([nn.Dropout(dropout)] if dropout else [])


def _excited(channels: int, se: bool) -> list[nn.Module]:
    return [SqueezeExcite(channels)] if se else []


Block = Callable[..., nn.Module]
BLOCKS: dict[str, Block] = {"conv": double_conv, "residual": Residual, "inception": Inception}
BOTTLENECKS: dict[str, Block] = BLOCKS | {"aspp": ASPP}
UPS: dict[str, Block] = {"transposed": transposed, "bilinear": bilinear}
