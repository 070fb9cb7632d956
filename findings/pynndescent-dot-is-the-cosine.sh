#!/usr/bin/env bash
# pynndescent 0.7.0: the metric "dot" is the cosine: rows and queries are scaled to length 1 first, without a word.
#
# Guess written down before: neighbours are those of the largest inner products, long vectors first (with a doubt, not written
# down, whether lengths are kept).
# Seen: the distances are 1 - cos, and the neighbours those of "cosine". An item whose vector is over a hundred times as long as any
# other and has a cosine of .3 with the query has by far the largest inner product, and is not among the first ten. Item vectors of
# matrix factorisation carry in their length how often an item is chosen, so lists of "dot" are without it. The formula of the
# documentation is 1 - x·y, "for normalized vectors"; that it makes them such it does not say. "inner_product", which the list of
# metrics leaves out, does what was expected.
# For us: lists are by inner product, and an index serves where its recall of the exact order was measured at load
# (service/index/select_index.py); one that drops lengths would not.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pynndescent==0.7.0 numba==0.68.1 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from pynndescent import NNDescent

random = np.random.default_rng(0)
items = random.normal(size=(1000, 16)).astype(np.float32)
query = np.eye(1, 16, dtype=np.float32)
items[0] = 0
items[0, :2] = 300, 954
cosines = (items @ query[0]) / np.linalg.norm(items, axis=1)
products = items @ query[0]
print("cosine of the long one", cosines[0], "rank by product", (products > products[0]).sum(), "by cosine", (cosines > cosines[0]).sum())
found = {}
for metric in ("dot", "cosine", "inner_product"):
    ids, distances = NNDescent(items, metric=metric, n_neighbors=20, random_state=0).query(query, k=10, epsilon=0.5)
    found[metric] = ids[0]
    print(metric, ids[0], distances[0][:3], "the long one is there:", 0 in ids[0])
    if metric == "dot":
        same = np.abs(distances[0] - (1 - cosines[ids[0]])).max() < 1e-5
assert same and products.argmax() == 0 and (cosines > cosines[0]).sum() >= 10
assert 0 not in found["dot"] and list(found["dot"]) == list(found["cosine"]) and found["inner_product"][0] == 0
PYTHON
