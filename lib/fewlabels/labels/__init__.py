"""Sparse labels: draw them from dense masks, expand them, and count what training touches.

`draw` simulates an annotator; every budget contains the smaller ones. `expand` gives unlabelled
pixels the class of labelled ones. `Ledger` fails a run that sees more labels than it declares.
"""

from fewlabels.labels.expansion import METHODS, expand
from fewlabels.labels.ledger import Ledger
from fewlabels.labels.sampling import SAMPLERS, draw

__all__ = ["METHODS", "SAMPLERS", "Ledger", "draw", "expand"]
