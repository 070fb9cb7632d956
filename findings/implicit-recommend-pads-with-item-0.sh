#!/usr/bin/env bash
# implicit 0.7.3: `recommend` with N above the number of items pads ids with 0, which is a real item, and scores with 0.0.
#
# Guess written down before: with `filter_already_liked_items=True`, what cannot be recommended is left out, or comes as -1.
# Seen: the filtered items themselves close the list, with the score -3.4028235e+38; where N is larger than the catalogue,
# id 0 with score 0.0 follows, so the list is not sorted either. A table made of such lists shows items that the user
# has had, and item 0 to everybody.
# For us: whoever compares with `recommend` cuts each list at the first score of -3.4e38.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check implicit==0.7.3 numpy==2.4.6 scipy==1.17.1
OPENBLAS_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares

users, items = 30, 12
rng = np.random.default_rng(0)
liked = sp.csr_matrix((rng.random((users, items)) < 0.3).astype(np.float32))
model = AlternatingLeastSquares(factors=4, iterations=3, random_state=1, num_threads=1)
model.fit(liked, show_progress=False)
user = int(np.argmax(np.diff(liked.indptr)))
had = set(liked[user].indices.tolist())
lowest = np.finfo(np.float32).min

ids, scores = model.recommend(user, liked[user], N=items, filter_already_liked_items=True)
print("N = items: filtered items at the end:", set(ids[scores == lowest].tolist()) == had, "score", scores.min())
assert set(ids[scores == lowest].tolist()) == had

ids, scores = model.recommend(user, liked[user], N=items + 3, filter_already_liked_items=True)
print("N = items + 3: last four", ids[-4:].tolist(), scores[-4:].tolist())
assert ids[-3:].tolist() == [0, 0, 0] and scores[-3:].tolist() == [0.0, 0.0, 0.0] and scores[-4] == lowest
PYTHON
