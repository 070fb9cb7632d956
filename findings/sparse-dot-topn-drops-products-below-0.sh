#!/usr/bin/env bash
# sparse-dot-topn 1.2.0: `sp_matmul_topn` without a threshold leaves out products below 0; `sort=True` can decide whether.
#
# Guess written down before: each row gets its `top_n` largest products, negative ones where there are not enough others.
# Seen: rows stop at 0, although the documentation says that by default no threshold applies, for the sake of negative values. A
# row of nothing but negative products is empty. Only where `top_n` is exactly the number of columns are all there, and then
# `sort=True` takes the negative ones away, beside sorting. With a threshold of -1e9 all calls do what they say. Similarities of
# centred ratings (adjusted cosine) and scores by sparse vectors lie on both sides of 0: users get short lists, or none.
# For us: neighbours and scores are computed here, and what a list lacks is shown as a shorter list (measure/ranking.py).
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check sparse-dot-topn==1.2.0 numpy==2.4.6 scipy==1.17.1
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import scipy.sparse as sp
from sparse_dot_topn import sp_matmul_topn

users, items = 40, 30
ratings = np.random.default_rng(0).uniform(1, 5, (users, items))
centred = sp.csr_matrix(ratings - ratings.mean(1, keepdims=True))
below = ((centred @ centred.T).toarray() < 0).sum(1)
print(f"products below 0 in a row: {below.min()} - {below.max()} of {users}")
assert below.min() > 5


def lengths(**options):
    """How many products a row has, the shortest and the longest, and the least of all products."""
    top = sp_matmul_topn(centred, centred.T.tocsr(), **options)
    counts = np.diff(top.indptr)
    return int(counts.min()), int(counts.max()), float(top.data.min())


for count in 35, users:
    for sort in False, True:
        plain, low = lengths(top_n=count, sort=sort), lengths(top_n=count, sort=sort, threshold=-1e9)
        print(f"top_n={count} of {users}, sort={sort}: rows of {plain[0]} - {plain[1]}, threshold -1e9: {low[0]} - {low[1]}")
        assert low[:2] == (count, count) and low[2] < 0
        if count == users and not sort:
            assert plain == low
        else:
            assert plain[1] < count and plain[2] > 0
ones = sp.csr_matrix(-np.ones((1, 3))), sp.csr_matrix(np.ones((3, 9)))
kept = [sp_matmul_topn(*ones, top_n=3, **options).nnz for options in ({}, {"threshold": -1e9})]
print(f"all nine products are -3, top three: {kept[0]}, with threshold -1e9 {kept[1]}")
assert kept == [0, 3]
PYTHON
