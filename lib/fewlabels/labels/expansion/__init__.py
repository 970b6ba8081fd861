"""Derive more training labels from few: a rule gives unlabelled pixels the class of labelled ones.

Training only; scores always come from dense masks. Every method keeps the given labels and leaves
IGNORE where its rule says nothing. `audits` counts what a rule gets wrong. A method is one function
and one line in the table of `methods`.
"""

from fewlabels.labels.expansion.methods import METHODS, NAMES, Method, expand

__all__ = ["METHODS", "NAMES", "Method", "expand"]
