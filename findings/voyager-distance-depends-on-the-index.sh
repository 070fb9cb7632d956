#!/usr/bin/env bash
# voyager 2.2.3: in the space InnerProduct, `get_distance(a, b)` of the same two vectors changes with what was added.
#
# Guess written down before: 1 - a·b, as `query` answers, whatever the index holds.
# Seen: 1 - a·b in an empty index; hundreds below that after one long vector was added, while `query` still answers 1 - a·b.
# (The index keeps one more dimension to turn inner products into distances, and its largest norm goes into this number.)
# For us: a score that is shown or compared is computed from the vectors, never taken from an index (docs/decisions/0002).
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check voyager==2.2.3 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
from voyager import Index, Space

a, b = np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32)
index = Index(Space.InnerProduct, 8, random_seed=1)
empty = index.get_distance(a, b)
index.add_item(b)
index.add_item(10 * a)
filled = index.get_distance(a, b)
ids, distances = index.query(a, 2)
asked = float(distances[list(ids).index(0)])
print(f"1 - a·b {1 - a @ b:.3f}; get_distance: empty {empty:.3f}, filled {filled:.3f}; query, filled {asked:.3f}")
assert abs(empty - (1 - a @ b)) < 1e-4 and abs(asked - (1 - a @ b)) < 1e-4
assert filled < empty - 100
PYTHON
