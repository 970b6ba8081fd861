"""Few labels, whole maps: segmentation of remote-sensing imagery from sparse labels.

Read in the order in which data flows: `datasets`, `sparsify`, `loaders`, `models`, `losses`,
`train`, `evaluate`, `records`; then `studies` for what is asked and `run` for how it is answered.
"""

__version__ = "0.1.0"
