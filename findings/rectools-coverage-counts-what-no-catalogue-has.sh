#!/usr/bin/env bash
# RecTools 0.19.0: `CatalogCoverage(normalize=True)` counts recommended items that are not in the catalogue, so its share passes 1.
#
# Met while other metrics were tried; the bet would have been: items from the catalogue alone count, as its documentation says, and the share is at most 1.
# Seen: a list of one of the two items of a catalogue and two others: 3, and 1.5 as a share; a list of three others alone: the same, where none is covered.
# For us: coverage is counted among the items of the bundle, and no list can hold another (`measure/fairness/catalogue.py`).
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check rectools==0.19.0 numpy==1.26.4 pandas==2.3.3
"$folder/venv/bin/python" - <<'PYTHON'
import pandas as pd
from rectools import Columns
from rectools.metrics import CatalogCoverage


def coverage(items, *, normalize):
    lists = pd.DataFrame({Columns.User: 1, Columns.Item: items, Columns.Rank: range(1, len(items) + 1)})
    return CatalogCoverage(k=3, normalize=normalize).calc(lists, catalog=[10, 11])


for items in ([10, 11], [10, 98, 99], [97, 98, 99]):
    print(f"catalogue 10, 11; list {items}: {coverage(items, normalize=False)} items, share {coverage(items, normalize=True)}")
assert coverage([10, 11], normalize=True) == 1
assert coverage([10, 98, 99], normalize=True) == coverage([97, 98, 99], normalize=True) == 1.5
assert coverage([97, 98, 99], normalize=False) == 3
PYTHON
