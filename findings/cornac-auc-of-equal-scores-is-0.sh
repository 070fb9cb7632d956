#!/usr/bin/env bash
# cornac 3.0.1: `AUC` counts equal scores as lost, so a recommender that scores all items alike has 0, the worst there is.
#
# Guess written down before: a positive and a negative with the same score count a half, and one score for everything has .5.
# Seen: `GlobalAvg`, which comes with it for comparison, has an AUC of 0.0000 (and an NDCG above 0), although it does no worse than
# chance. `MostPop` has .73, and .75 with halves: most items have few events, so counts are often equal. Whoever recommends
# nobody in particular to new users (all scores 0, or one default) gets 0 for each of them, and so does a group that has many.
# For us: leakage is an AUC with halves for ties (measure/auc.py); accuracy is where held-out items stand in lists
# (measure/accuracy.py).
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check cornac==3.0.1 powerlaw==2.0.0 numpy==2.4.6 scipy==1.17.1
(cd "$folder" && venv/bin/python -W ignore) <<'PYTHON'
import numpy as np
from cornac import Experiment
from cornac.eval_methods import BaseMethod
from cornac.metrics import AUC, NDCG
from cornac.models import GlobalAvg, MostPop

rng, share = np.random.default_rng(0), 1 / np.arange(1, 201) ** 0.8
drawn = [(user, item, 1.0) for user in range(300) for item in rng.choice(200, 8, replace=False, p=share / share.sum())]
train, test = [event for row, event in enumerate(drawn) if row % 4], drawn[::4]
split = BaseMethod.from_splits(train, test, rating_threshold=0.5, exclude_unknowns=True, seed=1)
experiment = Experiment(split, [GlobalAvg(), MostPop()], [AUC(), NDCG(k=10)], user_based=True)
experiment.run()
(alike, alike_ndcg), (popular, _) = (
    [float(result.metric_avg_results[name]) for name in ("AUC", "NDCG@10")] for result in experiment.result
)

seen, liked = split.train_set.csr_matrix, split.test_set.csr_matrix
counts, won, halves = np.diff(seen.tocsc().indptr), [], []
for user in range(split.test_set.num_users):
    positive = liked[user].indices
    negative = np.setdiff1d(np.arange(split.train_set.num_items), np.r_[positive, seen[user].indices])
    if len(positive):
        above = counts[positive][:, None] - counts[negative]
        won.append((above > 0).mean())
        halves.append((above > 0).mean() + (above == 0).mean() / 2)
print(f"one score for all: AUC {alike:.3f}, NDCG@10 {alike_ndcg:.3f}")
print(f"by popularity: AUC {popular:.3f}, with halves {np.mean(halves):.3f}")
assert alike == 0.0 and alike_ndcg > 0
assert abs(popular - np.mean(won)) < 1e-6 and np.mean(halves) > popular + 0.01
PYTHON
