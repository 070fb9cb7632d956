#!/usr/bin/env bash
# holisticai 1.0.14: where all scores of a recommender are 0 or 1, `top` is ignored: every item with a 1 counts as shown.
#
# Guess written down before: with top=1 each user is shown one item, ties going to some item, whatever the scores are.
# Seen: four users with scores 1, 1, 0, 0: aggregate diversity at top=1 is .5, two items a user shown, as at any other top. Where
# one user's scores are .8, .9, .1, 0 instead, top holds for all four, those whose scores are still 0 and 1 among them: .25, and
# a Gini index of 1 in place of .667. So one user's fractions change what the others count as shown. No warning. Exposure,
# precision and recall go through the same step.
# For us: a list has at most k items, however its scores tie, and exposure is counted from lists (service/index/order.py;
# tests/service/index/test_exact_lists.py).
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check holisticai==1.0.14 numpy==1.26.4 scikit-learn==1.9.1
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from holisticai.bias.metrics import aggregate_diversity, gini_index

binary = np.array([[1.0, 1.0, 0.0, 0.0]] * 4)
mixed = np.array([[1.0, 1.0, 0.0, 0.0]] * 3 + [[0.8, 0.9, 0.1, 0.0]])
for name, scores in (("all scores 0 and 1", binary), ("one user with fractions", mixed)):
    shown = [(float(aggregate_diversity(scores, top=top)), round(float(gini_index(scores, top=top)), 3)) for top in (1, 2, 3)]
    print(f"{name}: aggregate diversity, Gini at top 1, 2, 3:", shown)
assert [float(aggregate_diversity(binary, top=top)) for top in (1, 2, 3)] == [0.5, 0.5, 0.5]
assert [float(aggregate_diversity(mixed, top=top)) for top in (1, 2, 3)] == [0.25, 0.5, 1.0]
PYTHON
