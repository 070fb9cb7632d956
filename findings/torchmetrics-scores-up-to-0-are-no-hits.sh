#!/usr/bin/env bash
# torchmetrics 1.9.0: MAP, MRR, precision and recall of `torchmetrics.retrieval` take an item whose score is not above 0 for a miss.
#
# Guess written down before: where all scores are equal, MAP, MRR and nDCG follow the items' order alike.
# Seen: where all scores are 0, MAP, MRR, precision and recall are 0, and where all are 10 they are not; nDCG, hit rate and AUROC
# of the same calls do not differ. Scores -1, -2, -3, -4 do the same, with the relevant items first and third. No warning, and
# the documentation asks for a model's floats. Inner products lie on both sides of 0, and those of a zero vector on it.
# For us: measures take lists of items in the order in which they were served, no scores (measure/ranking.py); whoever evaluates
# with torchmetrics hands over ranks (k, k - 1, ..., 1).
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check torchmetrics==1.9.0 torch==2.13.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import torch
from torchmetrics import retrieval

names = ("MAP", "MRR", "Precision", "Recall", "HitRate", "NormalizedDCG", "AUROC")
user, relevant = torch.zeros(4, dtype=torch.long), torch.tensor([1, 0, 1, 0])
for scores in torch.zeros(4), torch.tensor([-1.0, -2.0, -3.0, -4.0]):
    found = {}
    for name in names:
        metric = getattr(retrieval, f"Retrieval{name}")()
        found[name] = float(metric(scores, relevant, user)), float(metric(scores + 10, relevant, user))
    print(f"scores {scores.tolist()}, and with 10 added:", {name: f"{low:.2f} {high:.2f}" for name, (low, high) in found.items()})
    assert all(found[name][0] == 0.0 and found[name][1] > 0.4 for name in names[:4])
    assert all(found[name][0] == found[name][1] > 0 for name in names[4:])
PYTHON
