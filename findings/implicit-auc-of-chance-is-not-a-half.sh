#!/usr/bin/env bash
# implicit 0.7.3: the "auc" of `ranking_metrics_at_k` takes items of the training set for negatives that lie below every positive.
#
# Guess written down before: vectors that learned nothing get .50 (±.02) at any K, and K = all items gives the exact AUC.
# Seen: training items are filtered from lists and never met there, yet each counts as a negative that was beaten. With 15 of 50
# items in training, random vectors get .65 at K = 50, with 30 of 50 they get .64 at K = 10 and .80 at K = 50: the more a user
# has done, the higher, whatever the model. Precision, MAP and NDCG of the same call are right.
# For us: held-out items are ranked among those that a user has not had (measure/accuracy.py); this AUC is compared with nothing.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check implicit==0.7.3 numpy==2.4.6 scipy==1.17.1
OPENBLAS_NUM_THREADS=1 "$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from implicit.evaluation import ranking_metrics_at_k

users, items = 1_000, 50
rng = np.random.default_rng(0)


def liked(columns):
    rows = np.repeat(np.arange(users), columns.shape[1])
    return sp.csr_matrix((np.ones(columns.size, np.float32), (rows, columns.ravel())), (users, items))


def measured(trained):
    """AUC over all items that a user has not had, and implicit's at K = 10 and 50, of vectors drawn at random."""
    order = rng.permuted(np.tile(np.arange(items), (users, 1)), axis=1)
    held, training, rest = order[:, :1], order[:, 1 : 1 + trained], order[:, 1 + trained :]
    model = AlternatingLeastSquares(factors=8, iterations=1, random_state=0, num_threads=1)
    model.fit(liked(training), show_progress=False)
    model.user_factors = rng.normal(size=(users, 8)).astype(np.float32)
    model.item_factors = rng.normal(size=(items, 8)).astype(np.float32)
    scores = model.user_factors @ model.item_factors.T
    exact = (np.take_along_axis(scores, rest, 1) < np.take_along_axis(scores, held, 1)).mean()
    theirs = [
        ranking_metrics_at_k(model, liked(training), liked(held), K=k, show_progress=False, num_threads=1)["auc"]
        for k in (10, items)
    ]
    print(f"{trained} of {items} items in training: exact {exact:.2f}, K = 10 {theirs[0]:.2f}, K = {items} {theirs[1]:.2f}")
    return exact, *theirs


few, some, many = measured(1), measured(15), measured(30)
assert all(abs(exact - 0.5) < 0.03 for exact, _, _ in (few, some, many))
assert abs(few[2] - 0.5) < 0.03 and some[2] > 0.6 and many[1] > 0.6 and many[2] > 0.75
PYTHON
