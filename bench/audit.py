"""How much each expansion adds on all tiles of a data set, and how much of it is wrong.

`python bench/audit.py DATA` writes report/results/audit/DATA.csv.gz, which the report reads.
"""

import sys

from fewlabels.data import registry
from fewlabels.experiments import audits
from fewlabels.files import whole_file

GRID = 350  # longest side in pixels

if __name__ == "__main__":
    tiles = registry.load(sys.argv[1], split="all", grid=GRID)
    table = audits.audited(tiles, tiles.classes)
    print(audits.shares(table, by=()).round(4).to_string())
    with whole_file(audits.file_of(sys.argv[1])) as scratch:
        table.to_csv(scratch, index=False, compression={"method": "gzip", "mtime": 0})
