from pathlib import Path

import pytest
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file, save_file
from segmentation_models_pytorch.encoders._utils import patch_first_conv

from fewlabels import paths
from fewlabels.training import networks
from fewlabels.training.networks import building, pretrained
from fewlabels.types import UnknownName, WeightsError


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one real-shaped file of ResNet-18 weights, as torchvision names them."""
    from torchvision.models import resnet18

    monkeypatch.setenv("WEIGHTS_ROOT", str(tmp_path))
    with torch.random.fork_rng():
        torch.manual_seed(5)
        save_file(resnet18().state_dict(), tmp_path / "mine.safetensors")
    return tmp_path


ARCHITECTURES = sorted(a.__name__ for a in smp.MODEL_ARCHITECTURES_MAPPING.values())


def encoder_of(architecture: str) -> str:
    """DPT is made for vision transformers, the others take any encoder."""
    return "tu-vit_tiny_patch16_224" if architecture == "DPT" else "resnet18"


@pytest.mark.parametrize(
    "name",
    [
        "smp:Unet:resnet18",
        "smp:FPN:mobilenet_v2",
        "smp:Unet:resnet18:3",
        "deeplabv3_resnet50",
        "unet:width=4",
        "unetpp:width=4",
    ],
)
@pytest.mark.parametrize("channels", [1, 3, 8])
def test_every_family_gives_logits_of_the_input_s_size(name: str, channels: int):
    model = networks.build(name, 5, channels=channels).eval()
    with torch.inference_mode():
        assert model(torch.zeros(2, channels, 64, 96)).shape == (2, 5, 64, 96)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_of_smp_gives_logits_of_the_input_s_size(architecture: str):
    model = networks.build(f"smp:{architecture}:{encoder_of(architecture)}", 3, channels=2).eval()
    with torch.inference_mode():  # 128: smp's PAN takes nothing smaller
        assert model(torch.zeros(1, 2, 128, 160)).shape == (1, 3, 128, 160)


@pytest.mark.parametrize("depth", [3, 4, 5])
@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES if a != "DPT"])
def test_a_shorter_encoder_keeps_the_size_of_the_logits(architecture: str, depth: int):
    with torch.device("meta"):
        model = networks.build(f"smp:{architecture}:resnet18:{depth}", 3).eval()
        assert model(torch.zeros(1, 3, 128, 160)).shape == (1, 3, 128, 160)


@pytest.mark.parametrize(
    "encoder", ["mobileone_s0", "densenet121", "efficientnet-b0", "mit_b0", "tu-resnet10t"]
)
def test_encoders_of_other_kinds_are_built_by_name(encoder: str):
    model = networks.build(f"smp:Unet:{encoder}", 3, channels=4).eval()
    with torch.inference_mode():
        assert model(torch.zeros(1, 4, 64, 64)).shape == (1, 3, 64, 64)


def test_the_seed_and_nothing_else_makes_the_weights():
    torch.manual_seed(1)
    one = networks.build("smp:Unet:resnet18", 3, seed=4).state_dict()
    before = torch.random.get_rng_state()
    torch.manual_seed(2)
    two = networks.build("smp:Unet:resnet18", 3, seed=4).state_dict()
    other = networks.build("smp:Unet:resnet18", 3, seed=5).state_dict()
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert any(not torch.equal(one[k], other[k]) for k in one)
    torch.manual_seed(1)
    networks.build("smp:Unet:resnet18", 3, seed=9)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_weights_from_a_file_are_in_the_encoder_and_named(weights: Path):
    model, origin = networks.build_with_provenance("smp:Unet:resnet18", 3, weights="mine")
    state = load_file(weights / "mine.safetensors")
    assert torch.equal(model.encoder.conv1.weight, state["conv1.weight"])
    assert (origin.weights, origin.origin) == ("mine", "mine.safetensors")
    assert len(origin.sha256) == 64


def test_missing_weights_are_an_error_that_lists_those_there(weights: Path):
    with pytest.raises(
        WeightsError, match=r"nowhere\.safetensors.*in that folder: mine.*WEIGHTS_ROOT"
    ):
        networks.build("smp:Unet:resnet18", 3, weights="nowhere")


def test_weights_of_another_network_are_refused(weights: Path):
    with pytest.raises(WeightsError, match="do not fit"):
        networks.build("smp:Unet:resnet34", 3, weights="mine")


def test_a_damaged_file_is_refused(weights: Path):
    (weights / "mine.safetensors").write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match="damaged"):
        networks.build("smp:Unet:resnet18", 3, weights="mine")


def test_kernels_for_other_bands_by_hand():
    red, green, blue = 1.0, 10.0, 100.0
    kernels = torch.tensor([red, green, blue]).view(1, 3, 1, 1)
    found = {n: pretrained.fitted(kernels, n).flatten().tolist() for n in (1, 2, 4, 6)}
    assert found[1] == [111]
    assert found[2] == pytest.approx([1.5, 15])
    assert found[4] == pytest.approx([0.75, 7.5, 75, 0.75])
    assert found[6] == pytest.approx([0.5, 5, 50, 0.5, 5, 50])


@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("name", ["smp:Unet:resnet18", "smp:Unet:resnet18:3"])
def test_the_first_layer_is_fitted_as_smp_does_and_the_record_says_so(
    weights: Path, channels: int, name: str
):
    model, origin = networks.build_with_provenance(name, 3, channels=channels, weights="mine")
    theirs = smp.encoders.get_encoder("resnet18", weights=None)
    theirs.load_state_dict(load_file(weights / "mine.safetensors"))
    layers = model.encoder.layer1.state_dict(), theirs.layer1.state_dict()
    patch_first_conv(theirs, channels)
    assert torch.allclose(model.encoder.conv1.weight, theirs.conv1.weight)
    assert all(torch.equal(layers[0][k], layers[1][k]) for k in layers[1])
    assert origin.origin == f"mine.safetensors, first layer fitted from 3 to {channels} bands"


def test_deeplab_s_first_layer_is_fitted_too(monkeypatch: pytest.MonkeyPatch):
    from torchvision.models import resnet50

    source = resnet50(weights=None).state_dict()
    monkeypatch.setattr(pretrained.ResNet50_Weights, "get_state_dict", lambda *_, **__: source)
    model = networks.build("deeplabv3_resnet50", 3, channels=1, weights="imagenet")
    expected = source["conv1.weight"].sum(dim=1, keepdim=True)
    assert torch.equal(model.net.backbone["conv1"].weight, expected)


@pytest.mark.parametrize("name", ["smp:Unet:resnet18", "deeplabv3_resnet50"])
def test_a_download_that_fails_is_an_error_not_random_weights(name: str, monkeypatch):
    def no_network(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(pretrained, "get_encoder", no_network)
    monkeypatch.setattr(pretrained.ResNet50_Weights, "get_state_dict", no_network)
    with pytest.raises(WeightsError, match="could not be had.*no network"):
        networks.build(name, 3, weights="imagenet")


def test_coco_weights_replace_all_but_the_last_layer(monkeypatch: pytest.MonkeyPatch):
    from torchvision.models.segmentation import deeplabv3_resnet50

    source = deeplabv3_resnet50(weights=None, weights_backbone=None, aux_loss=True).state_dict()
    member = pretrained.DeepLabV3_ResNet50_Weights
    monkeypatch.setattr(member, "get_state_dict", lambda self, **_: source)
    model, origin = networks.build_with_provenance("deeplabv3_resnet50", 4, weights="coco")
    state = model.net.state_dict()
    assert torch.equal(state["classifier.1.weight"], source["classifier.1.weight"])
    assert state["classifier.4.weight"].shape[0] == 4
    assert "COCO" in origin.origin


@pytest.mark.parametrize(
    "name",
    [
        "resnet",
        "smp:Unet",
        "smp:Nothing:resnet18",
        "smp:Unet:nothing",
        "smp:Unet:tu-nothing",
        "smp:Unet:resnet18:9",
        "unet:depth=4:se",
    ],
)
def test_unknown_models_list_the_known_ones(name: str):
    with pytest.raises(UnknownName, match="known: "):
        networks.build(name, 3)


def test_a_misspelt_encoder_of_timm_is_answered_with_its_neighbours():
    with pytest.raises(UnknownName, match=r"'tu-resnet81'; known: .*tu-resnet18"):
        networks.build("smp:Unet:tu-resnet81", 3)


@pytest.mark.parametrize("name", ["smp:Unet:resnet18", "deeplabv3_resnet50", "unet"])
def test_no_option_is_dropped_in_silence(name: str):
    with pytest.raises(UnknownName, match="option 'decoder_chanels'; known: "):
        networks.build(name, 3, decoder_chanels=(64, 32))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("smp:Linknet:mit_b0", "not supported"),
        ("smp:DPT:resnet18", "Only Timm encoders"),
        ("smp:PAN:vgg11", "dilated"),
    ],
)
def test_a_pair_that_smp_cannot_build_is_an_error_with_its_reason(name: str, reason: str):
    with pytest.raises(networks.OptionError, match=f"smp cannot build .*{reason}"):
        networks.build(name, 3)


@pytest.mark.parametrize(("key", "value"), [("classes", 0), ("channels", 0), ("channels", -1)])
def test_a_network_has_at_least_one_band_and_one_class(key: str, value: int):
    with pytest.raises(networks.OptionError, match=f"'{key}' must be .* at least 1, found {value}"):
        networks.build("unet", **{"classes": 3, key: value})


@pytest.mark.parametrize("name", ["unet:width=4", "smp:Unet:resnet18", "deeplabv3_resnet50"])
def test_an_image_with_other_bands_is_an_error_that_names_both(name: str):
    with pytest.raises(RuntimeError, match="to have 3 channels, but got 4 channels"):
        networks.build(name, 3).eval()(torch.zeros(1, 4, 64, 64))


def test_there_are_no_pretrained_weights_for_networks_from_scratch():
    with pytest.raises(WeightsError, match=r"'imagenet': there are none for 'unetpp'.*`none`"):
        networks.build("unetpp", 3, weights="imagenet")


def test_normalise_by_hand():
    grey = networks.normalise(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8)).flatten().tolist()
    assert grey == pytest.approx(
        [(1 - m) / s for m, s in zip(building.MEAN, building.STD, strict=True)]
    )
    assert networks.normalise(torch.zeros(1, 8, 1, 1, dtype=torch.uint8)).shape == (1, 8, 1, 1)


@pytest.mark.real
@pytest.mark.parametrize(
    ("model", "file"),
    [
        ("smp:Unet:resnet18", "resnet18-imagenet-fp16"),
        ("smp:Unet:mobilenet_v2", "mobilenet_v2-imagenet-fp16"),
        ("smp:Unet:resnet50", "resnet50-imagenet-pqf-fp16"),
        ("deeplabv3_resnet50", "resnet50-imagenet-pqf-fp16"),
    ],
)
def test_the_real_encoders_load_strictly(model: str, file: str):
    if not (paths.weights_root() / f"{file}.safetensors").exists():
        pytest.skip(f"{file} is not under WEIGHTS_ROOT")
    assert networks.build_with_provenance(model, 5, weights=file)[1].origin == f"{file}.safetensors"
