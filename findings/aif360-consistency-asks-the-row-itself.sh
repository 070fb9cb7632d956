#!/usr/bin/env bash
# aif360 0.6.1: in `consistency_score`, a measure of individual fairness, each row is the nearest of its own neighbours.
#
# Guess written down before: a row is not its own neighbour.
# Seen: rows in pairs, each with the other label than the one row near it, are as inconsistent as can be, and get 1.0 (nothing to
# complain about) with one neighbour, .5 with two. With the default of five, four others are asked: a row that all of them
# contradict still counts .2. `BinaryLabelDatasetMetric.consistency` does the same.
# For us: no number of ours is made with it; one that is compared with it takes n + 1 neighbours and 1 - (1 - score) (n + 1) / n.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  aif360==0.6.1 numpy==2.4.6 pandas==3.1.1 scikit-learn==1.9.1 scipy==1.17.1
"$folder/venv/bin/python" - 2>/dev/null <<'PYTHON'
import numpy as np
import pandas as pd
from aif360.datasets import BinaryLabelDataset
from aif360.metrics import BinaryLabelDatasetMetric
from aif360.sklearn.metrics import consistency_score

places, treated = np.array([0.0, 0.1, 10.0, 10.1, 20.0, 20.1, 30.0, 30.1]), np.tile([0, 1], 4)
one, two = (float(consistency_score(places[:, None], treated, n_neighbors=count)) for count in (1, 2))
table = pd.DataFrame({"place": places, "group": [0] * 4 + [1] * 4, "treated": treated})
data = BinaryLabelDataset(df=table, label_names=["treated"], protected_attribute_names=["group"])
older = BinaryLabelDatasetMetric(data).consistency(n_neighbors=1).item()
five = float(consistency_score(np.arange(5.0)[:, None], np.array([1, 0, 0, 0, 0])))
others = 1 - np.mean([1, 1 / 4, 1 / 4, 1 / 4, 1 / 4])
print(f"pairs: one neighbour {one:.2f} and {older:.2f}, two {two:.2f}; five rows {five:.2f}, with the four others {others:.2f}")
assert one == older == 1.0 and two == 0.5
assert abs(five - 0.68) < 1e-9 and abs(1 - (1 - five) * 5 / 4 - others) < 1e-9
PYTHON
