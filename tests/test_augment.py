"""Labels move exactly as pixels; what comes from outside is IGNORE, never a class."""

import numpy as np
import pytest

from fewlabels.training.augmentation import Motion, augmentation, cutmix
from fewlabels.types import IGNORE, UnknownName

ALWAYS = Motion(share=1.0, degrees=40, shift=0.2, zoom=0.3, fill="black")


def ramp(side: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Channels: row + 20, column + 20, 200. Labels: squares of 6 pixels, classes 0 to 4."""
    y, x = np.mgrid[:side, :side]
    image = np.stack([y + 20, x + 20, np.full_like(y, 200)], axis=-1).astype(np.uint8)
    return image, ((y // 6 + 2 * (x // 6)) % 5).astype(np.uint8)


def test_d4_reaches_all_eight_positions_and_moves_both_alike():
    apply = augmentation("d4")
    image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1).repeat(3, axis=2)
    labels = np.arange(16, dtype=np.uint8).reshape(4, 4)
    seen = set()
    for seed in range(100):
        moved, with_it = apply(seed, image, labels)
        assert (moved[..., 0] == with_it).all()
        seen.add(with_it.tobytes())
    square = {np.rot90(m, k).tobytes() for m in (labels, labels.T) for k in range(4)}
    assert seen == square


def test_unknown_augmentations_are_refused():
    with pytest.raises(
        UnknownName, match="augmentation 'blur'; known: d4, flips, none, rotate, shift_"
    ):
        augmentation("d4+blur")
    with pytest.raises(UnknownName, match="fill 'white'; known: black, reflect"):
        augmentation("rotate", Motion(fill="white"))


def test_flips_reach_four_positions():
    apply, (image, labels) = augmentation("flips"), ramp(12)
    seen = {apply(seed, image, labels)[1].tobytes() for seed in range(60)}
    assert seen == {
        m.tobytes() for m in (labels, labels[::-1], labels[:, ::-1], labels[::-1, ::-1])
    }


@pytest.mark.parametrize("name", ["rotate", "shift_scale_rotate", "flips+shift_scale_rotate"])
def test_an_affine_motion_moves_labels_with_their_pixels_and_fills_with_ignore(name: str):
    """Inside, the image says which source pixel it shows, to half a grey value; outside it is 0."""
    apply, (image, labels) = augmentation(name, ALWAYS), ramp()
    shares = []
    for seed in range(20):
        moved, with_it = apply(seed, image, labels)
        outside, inside = moved[..., 2] == 0, moved[..., 2] == 200
        assert (with_it[outside] == IGNORE).all()
        assert (with_it[inside] != IGNORE).all()
        y, x = (np.clip(moved[..., i][inside].astype(int) - 20, 0, 59) for i in (0, 1))
        near = [
            labels[np.clip(y + j, 0, 59), np.clip(x + i, 0, 59)] == with_it[inside]
            for j in (-1, 0, 1)
            for i in (-1, 0, 1)
        ]
        assert np.any(near, axis=0).all()
        assert near[4].mean() > 0.85
        shares.append(outside.mean())
    assert max(shares) > 0.1


def test_a_shift_alone_is_a_slice():
    image, labels = ramp()
    apply = augmentation("shift_scale_rotate", Motion(1.0, 0.0, 0.25, 0.0, "black"))
    moves = set()
    for seed in range(10):
        moved, with_it = apply(seed, image, labels)
        y, x = np.argwhere(moved[..., 2] == 200)[0]
        dy, dx = y - (moved[y, x, 0] - 20.0), x - (moved[y, x, 1] - 20.0)
        moves.add((dy, dx))
        expected = np.full((90, 90), IGNORE)
        expected[15 + int(dy) : 75 + int(dy), 15 + int(dx) : 75 + int(dx)] = labels
        assert (with_it == expected[15:75, 15:75]).all()
    assert len(moves) > 5
    assert max(abs(n) for move in moves for n in move) <= 15


def test_the_angle_is_within_its_bound_on_both_sides():
    """Far from the edge the row channel rises by cos(angle) a row and by its sine a column."""
    apply, (image, labels) = augmentation("rotate", ALWAYS), ramp()
    angles = []
    for seed in range(30):
        rows = apply(seed, image, labels)[0][20:40, 20:40, 0].astype(float)
        down, across = (np.diff(rows, axis=axis).mean() for axis in (0, 1))
        angles.append(np.degrees(np.arctan2(across, down)))
    assert -41 < min(angles) < -20
    assert 20 < max(angles) < 41


def test_reflection_fills_the_image_and_never_the_labels():
    image, labels = ramp()
    black = augmentation("shift_scale_rotate", ALWAYS)
    mirrored = augmentation("shift_scale_rotate", Motion(1.0, 40, 0.2, 0.3, "reflect"))
    for seed in range(10):
        moved, with_it = mirrored(seed, image, labels)
        assert (moved[..., 2] == 200).all()
        assert (with_it == black(seed, image, labels)[1]).all()


def test_the_share_says_how_many_crops_are_moved():
    image, labels = ramp(16)
    for share in (0.0, 0.3, 1.0):
        apply = augmentation("rotate", Motion(share=share))
        moved = [(apply(seed, image, labels)[1] != labels).any() for seed in range(300)]
        assert np.mean(moved) == pytest.approx(share, abs=0.08)


def test_a_crop_that_would_lose_its_only_label_stays_as_it_was():
    image, labels = ramp(16)
    labels[:] = IGNORE
    labels[0, 0] = 3
    apply = augmentation("rotate", Motion(share=1.0, degrees=45))
    for seed in range(20):
        moved, with_it = apply(seed, image, labels)
        assert (with_it == 3).any()
    assert (moved == image).all()


def test_grey_images_keep_their_channel():
    image, labels = ramp(16)
    for name in ("d4", "flips", "shift_scale_rotate"):
        assert augmentation(name, ALWAYS)(0, image[..., :1], labels)[0].shape == (16, 16, 1)


def crops(n: int = 4, side: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Crop i is of grey value and class i throughout."""
    labels = np.arange(n, dtype=np.uint8)[:, None, None].repeat(side, 1).repeat(side, 2)
    return labels[:, None].repeat(3, 1), labels


def test_a_box_takes_image_and_labels_of_one_other_crop():
    areas = []
    for seed in range(200):
        images, labels = cutmix(*crops(), 1.0, np.random.default_rng(seed))
        assert (images == labels[:, None]).all()
        for crop, found in enumerate(labels):
            rows, columns = np.nonzero(found != crop)
            areas.append(len(rows))
            if len(rows):
                box = found[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
                assert len(np.unique(box)) == 1
                assert box.size == len(rows)
    assert 0 < np.mean(areas) / 144 < 0.5
    assert max(areas) > 0.8 * 144


class Said:
    """A generator that says what it is told: area 1/4, so side 1/2; the centre as given."""

    def __init__(self, centre: tuple[float, float]) -> None:
        self.centre = np.array(centre)

    def permutation(self, n: int) -> np.ndarray:
        return np.roll(np.arange(n), 1)

    def random(self, size: int | None = None) -> float | np.ndarray:
        return 0.25 if size is None else self.centre


@pytest.mark.parametrize(
    ("centre", "rows", "columns"),
    [((0.5, 0.5), (3, 9), (3, 9)), ((0.0, 0.75), (0, 3), (6, 12)), ((1.0, 0.25), (9, 12), (0, 6))],
)
def test_a_box_lies_about_its_centre_and_is_cut_at_the_edge(centre, rows, columns, unchecked):
    """Of 12 pixels a side the box has 6."""
    _, labels = cutmix(*crops(2), 0.5, Said(centre))
    expected = crops(2)[1]
    expected[0, slice(*rows), slice(*columns)] = 1
    expected[1, slice(*rows), slice(*columns)] = 0
    assert (labels == expected).all()


def test_cutmix_changes_the_share_of_crops_it_is_told_and_its_arguments_never():
    images, labels = crops(2)
    changed = 0
    for seed in range(200):
        _, mixed = cutmix(images, labels, 0.3, np.random.default_rng(seed))
        changed += int((mixed != labels).any(axis=(1, 2)).sum())
    assert changed / 400 == pytest.approx(0.3 / 2, abs=0.05)  # half of the pairings are of itself
    assert (labels == crops(2)[1]).all()
    assert (cutmix(images, labels, 0.0, np.random.default_rng(0))[1] == labels).all()


def test_a_box_never_takes_the_last_label():
    images, labels = crops(2)
    labels[0] = IGNORE
    labels[1] = IGNORE
    labels[1, 5, 5] = 1
    for seed in range(200):
        mixed = cutmix(images, labels, 1.0, np.random.default_rng(seed))[1]
        assert mixed[1, 5, 5] == 1
