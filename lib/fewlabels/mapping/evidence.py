"""What the published study says about the choices of a recipe: why a default is what it is."""

import pandas as pd

from fewlabels import studies
from fewlabels.experiments import sweep
from fewlabels.mapping.recipe import Recipe
from fewlabels.results import records, statistics

BEARING = {"loss": ("E", "E3"), "joining labels": ("D", "D3")}
"""The claim, and its study, that would change a choice if it held."""
OPEN = "not compared on real images so far"


def reasons(how: Recipe, data: str = "dubai") -> pd.DataFrame:
    """One row a choice: what the recipe does, the claim that speaks against it, what the published
    runs on `data` found (effect with its 95 % interval, n runs) and the verdict.

    The plain choice stands unless such a claim holds. Without records every claim is open.
    """
    chosen = {
        "method": how.method,
        "loss": how.loss,
        "joining labels": "none",
        "class weights": how.class_weights,
        "augmentation": how.augmentation,
    }
    there = sweep.available("published", data)
    rows = {}
    for choice, does in chosen.items():
        letter, name = BEARING.get(choice, ("", ""))
        rows[choice] = {"the recipe": does} | (
            _found(letter, name, data) if letter in there else {"evidence": OPEN}
        )
    rows["method"]["evidence"] = "decided below, by these labels"
    return pd.DataFrame(rows).T.fillna("").rename_axis("choice")


def _found(letter: str, name: str, data: str) -> dict[str, object]:
    table = records.table(sweep.recorded(letter, "published", data))
    claims = studies.study(letter).claims
    row = statistics.claims_table(table, claims).iloc[list(claims).index(name)]
    return {
        "evidence": f"{row['claim']} {row['ours']}, n = {row['n']}",
        "verdict": row["verdict"],
    }
