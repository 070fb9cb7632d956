#!/usr/bin/env bash
# fairbench 0.9.6: a group for which a rate is not defined has 0 there, and the reductions over groups take it for measured.
#
# Guess written down before: such a group has nan, and the smallest value and the largest difference leave it out.
# Seen: ten users of a third group, none of whom has a positive (no held-out item that was liked, say), beside 990 of two groups
# that are served alike: the largest difference in true positive rates is .01 without the ten and .90 with them, the smallest
# rate 0. The AUC of a group with labels of one class is 0.0, worse than chance and than any model's, and its difference to the
# others .5. No warning; precision and the others that divide do alike.
# For us: a rate over nobody is NaN and takes no part in a gap (measure/fairness/totals.py; the tests are
# test_opportunity_has_no_gap_where_one_group_alone_has_positives and
# test_the_largest_and_the_spread_leave_nan_out_and_are_nan_where_nothing_else_is).
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check fairbench==0.9.6 numpy==1.26.4
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import fairbench as fb
import numpy as np

random = np.random.default_rng(0)
groups = np.array(["women", "men"] * 495 + ["other"] * 10)
labels = (random.random(1000) < 0.5).astype(int)
predictions = np.where(random.random(1000) < 0.9, labels, 1 - labels)
scores = random.random(1000)
labels[990:] = predictions[990:] = 0


def report(rows, **what):
    of = {name: values[:rows] for name, values in what.items()}
    return fb.reports.pairwise(labels=labels[:rows], sensitive=fb.Dimensions(fb.categories @ groups[:rows]), **of)


two, three = report(990, predictions=predictions), report(1000, predictions=predictions)
print("difference of true positive rates:", float(two.maxdiff.tpr), "with ten who have no positive:", float(three.maxdiff.tpr))
print("smallest rate:", float(two.min.tpr), float(three.min.tpr))
by_score = [report(rows, scores=scores) for rows in (990, 1000)]
print("smallest AUC:", *(float(one.min.auc) for one in by_score), "difference:", *(float(one.maxdiff.auc) for one in by_score))
assert float(two.maxdiff.tpr) < 0.05 and float(three.maxdiff.tpr) > 0.85 and float(three.min.tpr) == 0
assert float(by_score[0].min.auc) > 0.4 and float(by_score[1].min.auc) == 0 and float(by_score[1].maxdiff.auc) > 0.4
PYTHON
