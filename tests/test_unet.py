"""Our own U-Nets: sizes, counts and windows against arithmetic that does not know the code."""

import pytest
import torch
from torch import Tensor, nn

from fewlabels.training import networks
from fewlabels.training.networks import blocks, names
from fewlabels.types import UnknownName

ABLATION = [
    "unet:depth=3,width=8,se,spatial_dropout=0.1,dropout=0.1",
    "unet:depth=3,width=8,attention",
    "unet:depth=3,width=8,encoder=residual,bottleneck=residual,decoder=residual,se",
    "unet:depth=3,width=8,bottleneck=aspp,aspp_rate=2",
    "unet:depth=3,width=8,encoder=inception,bottleneck=inception,skip=inception",
    "unet:depth=3,width=8,up=bilinear",
    "unetpp:depth=3,width=8",
    "unetpp:depth=3,width=8,block=residual,se,up=bilinear,deep_supervision",
]


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def double_conv(inputs: int, outputs: int) -> int:
    """Two 3 x 3 convolutions without bias, two BatchNorms."""
    return 9 * inputs * outputs + 9 * outputs**2 + 4 * outputs


def unet_count(depth: int, width: int, channels: int, classes: int) -> int:
    w = [width * 2**i for i in range(depth)]
    encoder = double_conv(channels, w[0]) + sum(
        double_conv(w[i], 2 * w[i]) for i in range(depth - 1)
    )
    ups = sum(4 * 2 * w[i] * w[i] + w[i] for i in range(depth - 1))
    decoder = sum(double_conv(2 * w[i], w[i]) for i in range(depth - 1))
    return encoder + ups + decoder + width * classes + classes


def unetpp_count(depth: int, width: int, channels: int, classes: int) -> int:
    w = [width * 2**i for i in range(depth)]
    total = double_conv(channels, w[0]) + sum(double_conv(w[i], 2 * w[i]) for i in range(depth - 1))
    for i in range(depth):
        for j in range(1, depth - i):  # j skips of the level and one from below
            total += 8 * w[i] ** 2 + w[i] + double_conv((j + 1) * w[i], w[i])
    return total + width * classes + classes


@pytest.mark.parametrize(
    ("name", "channels", "stated"),
    [
        ("unet", 3, 31_037_893),
        ("unet:depth=4", 3, 7_700_421),
        ("unet:depth=4", 1, 7_700_421 - 1_152),
        ("unetpp", 3, 36_165_509),
        ("unetpp:depth=4", 3, 8_819_909),
        ("unetpp:depth=4,deep_supervision", 3, 8_819_909 + 2 * 325),
    ],
)
def test_the_stated_numbers_of_parameters_are_true(name: str, channels: int, stated: int):
    with torch.device("meta"):
        model = networks.build(name, 5, channels=channels)
    assert parameters(model) == stated


def test_the_docstrings_state_those_numbers():
    for function, deep, shallow in (
        (networks.unet.unet, "31,037,893 at depth 5", "7,700,421 at depth 4"),
        (networks.unetpp.unetpp, "36,165,509 at depth 5", "8,819,909 at depth 4"),
    ):
        assert deep in function.__doc__
        assert shallow in function.__doc__


@pytest.mark.parametrize("sizes", [(5, 64, 3, 5), (4, 64, 1, 5), (2, 3, 7, 1), (6, 5, 2, 9)])
def test_parameters_are_those_of_the_closed_form(sizes: tuple[int, int, int, int]):
    depth, width, channels, classes = sizes
    with torch.device("meta"):
        plain = networks.build("unet", classes, channels=channels, depth=depth, width=width)
        nested = networks.build("unetpp", classes, channels=channels, depth=depth, width=width)
    assert parameters(plain) == unet_count(*sizes)
    assert parameters(nested) == unetpp_count(*sizes)


def test_parameters_of_the_blocks_by_hand():
    assert parameters(blocks.double_conv(3, 16)) == 9 * 3 * 16 + 9 * 16 * 16 + 4 * 16
    assert parameters(blocks.SqueezeExcite(64)) == 64 * 4 + 4 + 4 * 64 + 64
    assert parameters(blocks.AttentionGate(16)) == 16 * 8 + (16 * 8 + 8) + (8 + 1)
    same, other = blocks.Residual(16, 16), blocks.Residual(8, 16)
    assert parameters(same) == double_conv(16, 16)
    assert parameters(other) == double_conv(8, 16) + 8 * 16 + 2 * 16
    # 64 outputs: 16, 24 -> 32, 4 -> 8, 8; the batch norms have two each
    branches = 10 * 16 + (10 * 24 + 9 * 24 * 32) + (10 * 4 + 25 * 4 * 8) + 10 * 8
    assert parameters(blocks.Inception(10, 64)) == branches + 2 * (16 + 24 + 32 + 4 + 8 + 8)
    aspp = 10 * 6 + 3 * 9 * 10 * 6 + 4 * 2 * 6 + (10 * 6 + 6) + (30 * 6 + 2 * 6)
    assert parameters(blocks.ASPP(10, 6)) == aspp
    assert parameters(blocks.transposed(8, 4)) == 4 * 8 * 4 + 4
    assert parameters(blocks.bilinear(8, 4)) == 8 * 4 + 4


def receptive_field(depth: int, up: str = "transposed") -> tuple[int, int]:
    """Side in pixels of the square that can change one output pixel: (smallest, largest)."""
    sides = [_window(pixel, depth, up) for pixel in range(2 ** (depth - 1))]
    return min(sides), max(sides)


def _window(pixel: int, depth: int, up: str) -> int:
    """Follow the first and the last pixel seen, from the output to the bottleneck and up again."""
    beside = {"transposed": 0, "bilinear": 1}[up]
    first, last = pixel - 2, pixel + 2  # a block reaches two pixels
    for _ in range(depth - 1):
        first, last = (first - beside) // 2 - 2, (last + beside) // 2 + 2
    for _ in range(depth - 1):
        first, last = 2 * first - 2, 2 * last + 1 + 2
    return last - first + 1


def seen_by(model: nn.Module, side: int, rows: int) -> Tensor:
    """bool[output column, input column]: NaN in one input column, where does it come out?

    A NaN passes every convolution, maximum and ReLU whatever the weights are, and in evaluation
    BatchNorm treats each pixel alone.
    """
    images = torch.zeros(side, 1, rows, side, dtype=torch.float64)
    images[range(side), :, :, range(side)] = torch.nan
    with torch.inference_mode():
        return model.double().eval()(images)[:, 0, 0].isnan().T


@pytest.mark.parametrize(
    ("options", "stated"),
    [
        ("depth=2", (18, 18)),
        ("depth=3", (44, 44)),
        ("depth=4", (92, 100)),
        ("depth=3,up=bilinear", (48, 52)),
        ("depth=4,up=bilinear", (108, 116)),
    ],
)
@pytest.mark.parametrize("family", ["unet", "unetpp"])
def test_the_receptive_field_is_the_stated_window(
    family: str, options: str, stated: tuple[int, int]
):
    depth = int(options[6])
    up = "bilinear" if "bilinear" in options else "transposed"
    assert receptive_field(depth, up) == stated
    model = networks.build(f"{family}:width=1,{options}", 1, channels=1)
    cell, side = 2 ** (depth - 1), 256 if depth == 4 else 128
    seen = seen_by(model, side, cell)[side // 2 : side // 2 + cell]
    widths = seen.sum(dim=1)
    first, last = seen.int().argmax(dim=1), side - 1 - seen.flip(1).int().argmax(dim=1)
    assert torch.equal(last - first + 1, widths), "the window has no holes"
    assert first.min() > 0
    assert last.max() < side - 1
    assert (int(widths.min()), int(widths.max())) == stated


def test_system_b_s_network_sees_188_to_204_pixels():
    assert receptive_field(5) == (188, 204)
    assert receptive_field(5, "bilinear") == (220, 236)
    model = networks.build("unet:depth=5,width=1", 1, channels=1)
    widths = seen_by(model, 256, 16)[120:136].sum(dim=1)
    assert (int(widths.min()), int(widths.max())) == (188, 204)


@pytest.mark.parametrize(
    "options",
    [
        "attention",
        "encoder=residual,bottleneck=residual,decoder=residual",
        "encoder=inception,bottleneck=inception,decoder=inception,skip=inception",
    ],
)
def test_other_blocks_see_as_far(options: str):
    model = networks.build(f"unet:depth=3,width=4,{options}", 1, channels=1)
    widths = seen_by(model, 128, 4)[64:68].sum(dim=1)
    assert set(widths.tolist()) == {44}


@pytest.mark.parametrize("options", ["se", "bottleneck=aspp"])
def test_what_averages_over_the_image_sees_all_of_it(options: str):
    model = networks.build(f"unet:depth=3,width=4,{options}", 1, channels=1)
    assert seen_by(model, 64, 4).all()


@pytest.mark.parametrize("name", ABLATION)
@pytest.mark.parametrize("size", [(1, 1), (1, 37), (33, 20), (32, 64)])
def test_any_size_and_channel_count_goes_in(name: str, size: tuple[int, int]):
    model = networks.build(name, 4, channels=5).eval()
    with torch.inference_mode():
        logits = model(torch.rand(2, 5, *size))
    assert logits.shape == (2, 4, *size)
    assert logits.isfinite().all()


def test_an_image_is_continued_by_its_last_row_and_column():
    model = networks.build("unet:depth=3,width=4", 2, channels=1).eval()
    image = torch.rand(1, 1, 9, 10)
    rows, columns = [*range(9), 8, 8, 8], [*range(10), 9, 9]
    continued = image[:, :, rows][:, :, :, columns]
    with torch.inference_mode():
        assert torch.equal(model(image), model(continued)[..., :9, :10])


@pytest.mark.parametrize("name", ABLATION)
def test_both_memory_layouts_give_the_same_logits(name: str):
    model = networks.build(name, 3).eval()
    images = torch.rand(2, 3, 24, 20)
    with torch.inference_mode():
        plain = model(images)
        last = model.to(memory_format=torch.channels_last)(
            images.contiguous(memory_format=torch.channels_last)
        )
    assert torch.allclose(plain, last, atol=1e-4)


@pytest.mark.parametrize("name", ABLATION)
def test_every_parameter_gets_a_gradient_under_autocast(name: str):
    model = networks.build(name, 3).train().to(memory_format=torch.channels_last)
    images = torch.rand(2, 3, 18, 20).contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(images)
    torch.nn.functional.cross_entropy(
        logits.float(), torch.arange(2 * 18 * 20).view(2, 18, 20) % 3
    ).backward()
    without = [
        k for k, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()
    ]
    assert without == []


@pytest.mark.parametrize("name", ABLATION)
def test_the_seed_makes_the_weights(name: str):
    one, two, other = (networks.build(name, 3, seed=seed).state_dict() for seed in (4, 4, 5))
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)


def test_spatial_dropout_drops_whole_channels_and_dropout_single_values():
    x = torch.ones(1, 64, 8, 8)
    spatial, single = (nn.Sequential(*blocks.dropped(*p)) for p in ((0.0, 0.5), (0.5, 0.0)))
    torch.manual_seed(0)
    assert {float(c) for c in spatial(x).mean(dim=(2, 3)).flatten()} == {0.0, 2.0}
    assert 0 < single(x).mean(dim=(2, 3)).min() < single(x).mean(dim=(2, 3)).max() < 2
    assert blocks.dropped(0.0, 0.0) == []
    model = networks.build("unet:depth=4,width=2,dropout=0.2,spatial_dropout=0.3", 2)
    found = [m.p for m in model.modules() if isinstance(m, nn.Dropout | nn.Dropout2d)]
    assert found == [0.3, 0.2] * 7  # three levels down, the bottleneck, three levels up


def test_squeeze_and_excitation_scales_channels_and_attention_pixels():
    x = torch.rand(1, 8, 4, 4) + 0.5
    with torch.no_grad():
        channel = blocks.SqueezeExcite(8)(x) / x
        pixel = blocks.AttentionGate(8)(x, torch.rand(1, 8, 4, 4)) / x
    assert torch.allclose(channel, channel[:, :, :1, :1].expand_as(channel))
    assert torch.allclose(pixel, pixel[:, :1].expand_as(pixel))
    assert 0 < channel.min() < channel.max() < 1
    assert 0 < pixel.min() < pixel.max() < 1


def test_a_residual_block_without_its_branch_is_a_relu():
    block = blocks.Residual(3, 3).eval()
    nn.init.zeros_(block.change[-1].weight)
    x = torch.randn(1, 3, 5, 5)
    assert torch.equal(block(x), x.relu())


def test_deep_supervision_is_the_mean_of_the_heads():
    model, heads = networks.build("unetpp:depth=4,width=4,deep_supervision", 3).eval(), []
    for head in model.heads:
        head.register_forward_hook(lambda _, __, logits: heads.append(logits))
    with torch.inference_mode():
        whole = model(torch.rand(1, 3, 16, 16))
    assert len(heads) == 3
    assert not torch.allclose(heads[0], heads[2])
    assert torch.allclose(whole, (heads[0] + heads[1] + heads[2]) / 3)


def test_a_single_pixel_cannot_be_trained_on_alone():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        networks.build("unet:depth=2,width=2", 2).train()(torch.rand(1, 3, 2, 2))


def test_a_name_says_the_same_as_arguments():
    text = networks.build("unet:se,width=4,depth=3,dropout=0.5,up=bilinear", 2)
    given = networks.build("unet", 2, depth=3, width=4, se=True, dropout=0.5, up="bilinear")
    mixed = networks.build("unet:depth=3,se", 2, width=4, dropout=0.5, up="bilinear")
    assert str(text) == str(given) == str(mixed)


@pytest.mark.parametrize(
    ("name", "given", "error", "match"),
    [
        ("unet:deph=4", {}, UnknownName, "unet option 'deph'; known: .*depth"),
        ("unet", {"deph": 4}, UnknownName, "unet option 'deph'; known: .*depth"),
        ("unet:", {"classes_": 4}, UnknownName, "unet option"),
        ("unet:depth=4,,se", {}, UnknownName, "unet option ''"),
        ("unet: se", {}, UnknownName, "unet option ' se'"),
        ("unet:depth=4,depth=4", {}, names.OptionError, "'depth' is given twice"),
        ("unet:depth=4", {"depth": 4}, names.OptionError, "'depth' is given twice"),
        ("unet:depth=four", {}, names.OptionError, "'depth' must be of type int, found 'four'"),
        ("unet:depth", {}, names.OptionError, "'depth' needs a value, as in 'depth=5'"),
        ("unet:se=1", {}, names.OptionError, "'se' is a switch: write 'se', found 'se=1'"),
        ("unet", {"depth": 4.0}, names.OptionError, "'depth' must be of type int, found 4.0"),
        ("unet", {"se": 1}, names.OptionError, "'se' must be of type bool, found 1"),
        ("unet:depth=1", {}, names.OptionError, "'depth' must be an int of at least 2, found 1"),
        ("unet:width=0", {}, names.OptionError, "'width' must be an int of at least 1, found 0"),
        ("unet:dropout=1", {}, names.OptionError, r"'dropout' must be in \[0, 1\), found 1"),
        ("unet:dropout=nan", {}, names.OptionError, r"'dropout' must be in \[0, 1\), found nan"),
        ("unet:encoder=aspp", {}, UnknownName, "encoder 'aspp'; known: conv, inception, residual"),
        ("unet:bottleneck=deep", {}, UnknownName, "bottleneck 'deep'; known: aspp, conv"),
        ("unet:up=nearest", {}, UnknownName, "up 'nearest'; known: bilinear, transposed"),
        ("unetpp:attention", {}, UnknownName, "unetpp option 'attention'; known: block"),
        ("unet:width=3,skip=inception", {}, names.OptionError, "width of at least 4, found 3"),
    ],
)
def test_a_wrong_option_is_an_error_that_says_what_is_right(name, given, error, match):
    with pytest.raises(error, match=match):
        networks.build(name, 2, **given)
