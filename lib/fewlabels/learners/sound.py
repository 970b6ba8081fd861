"""Check what a model file holds: sizes before anything is allocated, then every number."""

import math
from collections.abc import Mapping
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from torch import Tensor

LARGEST = 1e12  # of a weight, or of a variance that a network has seen
RATIO = 100  # times that an archive may grow when it is read; forests grow by less than ten
DEEPEST = 1000  # nodes from the root of a tree


def archive(file: Path) -> None:
    """Check that a zip archive of arrays does not grow out of proportion.

    Raises:
        OSError, ValueError: it does, an array claims another size than it has, or it is no archive.
    """
    try:
        with ZipFile(file) as zipped:
            entries = zipped.infolist()
            if sum(entry.file_size for entry in entries) > RATIO * file.stat().st_size:
                raise ValueError(f"it grows to more than {RATIO} times its size")
            for entry in (entry for entry in entries if entry.filename.endswith(".npy")):
                with zipped.open(entry) as opened:
                    old = np.lib.format.read_magic(opened) == (1, 0)
                    form = np.lib.format
                    read = form.read_array_header_1_0 if old else form.read_array_header_2_0
                    shape, _, kind = read(opened)
                    if math.prod(shape) * kind.itemsize + opened.tell() != entry.file_size:
                        raise ValueError(f"'{entry.filename}' is not of the size that it claims")
    except (BadZipFile, EOFError, NotImplementedError) as error:
        raise ValueError(str(error)) from error


def tensors(found: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Check weights against those of a network of the same name, which may lie on `meta`.

    Raises:
        ValueError: another name, shape or type, or a number that is not finite or too large.
    """
    for name in found.keys() | own.keys():
        if name not in found or name not in own or found[name].shape != own[name].shape:
            raise ValueError(f"the weights '{name}' are missing, unknown or of another shape")
        if found[name].dtype != own[name].dtype:
            raise ValueError(f"the weights '{name}' are of type {found[name].dtype}")
        if not (found[name].abs() <= LARGEST).all():  # which NaN is not, too
            raise ValueError(f"the weights '{name}' are not finite, or above {LARGEST:g}")


def trees(found: RandomForestClassifier | ExtraTreesClassifier) -> None:
    """Check a forest, whose nodes scikit-learn follows without checking them.

    Raises:
        ValueError: a node leads nowhere, a path is too long, or shares are none.
    """
    known = np.asarray(found.classes_)
    if known.dtype.kind not in "iu" or not (np.diff(known) > 0).all() or not found.estimators_:
        raise ValueError("the forest has no trees, or its classes are no numbers in order")
    found.n_jobs = None
    for grown in found.estimators_:
        tree, shape = grown.tree_, (1, len(known))
        right = tree.node_count <= tree.capacity and tree.value.shape[1:] == shape
        right &= (tree.n_features, grown.n_outputs_) == (found.n_features_in_, 1)
        right &= grown.n_classes_ == len(known)
        if right:
            inner = tree.children_left != -1
            at, asked = np.flatnonzero(inner), tree.feature[inner]
            ways = np.stack([tree.children_left[inner], tree.children_right[inner]])
            right = ((ways > at) & (ways < tree.node_count)).all()
            right &= ((asked >= 0) & (asked < found.n_features_in_)).all()
        if not right:
            raise ValueError("a tree of the forest is damaged: a node leads nowhere")
        if tree.compute_node_depths().max() > DEEPEST:
            raise ValueError(f"a tree of the forest is deeper than {DEEPEST} nodes")
        shares = tree.value[~inner]
        sums = np.abs(shares.sum(axis=2) - 1)
        if not (np.isfinite(tree.threshold).all() and (shares >= 0).all() and (sums < 1e-6).all()):
            raise ValueError("a tree of the forest is damaged: its leaves hold no shares")
