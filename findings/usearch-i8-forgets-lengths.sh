#!/usr/bin/env bash
# usearch 2.26.6: an index of dtype i8 keeps directions alone; by inner product, or by distance, it finds other neighbours.
#
# Met while something else was tried; the bet would have been: numbers are scaled by one factor for all, or cut at a bound, so that of vectors within [-1, 1] most neighbours stay.
# Seen: each vector is scaled to a length of its own accord, 127, when it is added, whatever the metric: 0.5 · v and v are stored as the same
# numbers, at `l2sq` 0 from each other; of the ten largest inner products with 3,000 items of various lengths two are found, and nine of the ten largest
# cosines. An index of dtype f16 finds all ten. No warning and no error; the search is exact in each case.
# For us: an index of few bits may propose, and its recall is measured against exact lists before it serves (docs/decisions/0021).
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check usearch==2.26.6 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
from usearch.index import Index


def index(vectors, metric, dtype):
    made = Index(ndim=vectors.shape[1], metric=metric, dtype=dtype)
    made.add(np.arange(len(vectors)), vectors)
    return made


pair = np.array([[0.3, 0.4, 0, 0], [0.6, 0.8, 0, 0]], np.float32)
small = index(pair, "l2sq", "i8")
print("stored as", *(small.get(row).tolist() for row in (0, 1)), "l2sq", small.search(pair[0], 2, exact=True).distances.tolist())
assert (small.get(0) == small.get(1)).all() and (small.search(pair[0], 2, exact=True).distances == 0).all()

rng = np.random.default_rng(0)
items = (rng.normal(size=(3000, 64)) * np.exp(rng.normal(size=(3000, 1)) / 2)).astype(np.float32)
items /= np.abs(items).max()
users = rng.normal(size=(50, 64)).astype(np.float32)
users /= np.abs(users).max()
unit = items / np.linalg.norm(items, axis=1, keepdims=True)
best, nearest = (np.argsort(-(users @ vectors.T), axis=1)[:, :10] for vectors in (items, unit))
for dtype in ("f16", "i8"):
    found = index(items, "ip", dtype).search(users, 10, exact=True).keys
    products, cosines = (np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found.tolist(), of.tolist())]) for of in (best, nearest))
    print(f"{dtype}: {products:.2f} of the largest inner products, {cosines:.2f} of the largest cosines")
    assert (products > 0.98) if dtype == "f16" else (products < 0.3 and cosines > 0.8)
PYTHON
