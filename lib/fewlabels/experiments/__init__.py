"""Runs of the studies, from the declaration to the record.

`prepare` draws the labels of a run, `run.execute` trains and records it, `sweep` trains what a
study lacks, here or on other machines, and `reproduce` trains a recorded run again and compares.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={"run": ["execute", "trained"]}
)
