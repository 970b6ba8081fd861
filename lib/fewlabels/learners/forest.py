"""A random forest of single pixels, the baseline that practitioners use, in the place of a network.

Its trees are plain arrays, so a model folder needs no pickle and no scikit-learn, and they run
wherever a network runs. It is given the bytes that a network is given, and no pixel around.
"""

import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn
from torch.nn import functional as F

NAME = "forest"
PIXELS = 8192  # decided at once: what is held is this times the number of trees
LEAST = 1e-6  # share that a class without a vote is given, so that every logarithm is finite


class Forest(nn.Module):
    """Binary trees in one table of nodes; a leaf is its own child.

    Attributes:
        roots: node that each tree begins with.
        feature: band that a node looks at.
        threshold: where the band's value is above it, the way goes right.
        ways: nodes to the left and to the right of it.
        share: of each class among the training pixels of a node; only those of leaves are read.
        depth: questions on the longest way to a leaf.
    """

    roots: Int64[Tensor, " t"]
    feature: Int64[Tensor, " n"]
    threshold: Float32[Tensor, " n"]
    ways: Int64[Tensor, "n 2"]
    share: Float32[Tensor, "n k"]
    depth: Int64[Tensor, ""]

    def __init__(
        self,
        roots: Int64[Tensor, " t"],
        feature: Int64[Tensor, " n"],
        threshold: Float32[Tensor, " n"],
        ways: Int64[Tensor, "n 2"],
        share: Float32[Tensor, "n k"],
        depth: Int64[Tensor, ""],
    ) -> None:
        super().__init__()
        tables = {"roots": roots, "feature": feature, "threshold": threshold,
                  "ways": ways, "share": share, "depth": depth}  # fmt: skip
        for name, table in tables.items():
            self.register_buffer(name, table)

    def checked(self, bands: int, classes: int) -> "Forest":
        """The forest, if it is one of so many bands and classes.

        Raises:
            ValueError: it is not, or a node leads nowhere.
        """
        nodes = len(self.feature)
        tables = (self.threshold, self.ways, self.share)
        shapes = [tuple(table.shape) for table in tables]
        ends = torch.cat([self.roots, self.ways.flatten()])
        if (
            shapes != [(nodes,), (nodes, 2), (nodes, classes)]
            or not 0 <= int(ends.min()) <= int(ends.max()) < nodes
            or not 0 <= int(self.feature.min()) <= int(self.feature.max()) < bands
        ):
            raise ValueError(f"no forest of {bands} bands and {classes} classes: tables {shapes}")
        return self

    @torch.inference_mode()
    def forward(self, x: Float[Tensor, "b c h w"]) -> Float32[Tensor, "b k h w"]:
        """The logarithm of each class's share, averaged over the trees: softmax gives the share."""
        b, c, h, w = x.shape
        pixels = x.permute(0, 2, 3, 1).reshape(-1, c)
        shares = torch.cat([self._shares(part) for part in pixels.split(PIXELS)])
        return shares.clamp_min_(LEAST).log_().reshape(b, h, w, -1).permute(0, 3, 1, 2)

    def _shares(self, pixels: Float[Tensor, "n c"]) -> Float32[Tensor, "n k"]:
        node = self.roots.expand(len(pixels), -1)
        for _ in range(int(self.depth)):
            right = pixels.gather(1, self.feature[node]) > self.threshold[node]
            node = self.ways.view(-1)[2 * node + right]
        return F.embedding_bag(node, self.share, mode="mean")
