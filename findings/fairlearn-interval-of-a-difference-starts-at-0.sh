#!/usr/bin/env bash
# fairlearn 0.15.0: in `MetricFrame.difference_ci`, a resample that lost a whole group counts as "no difference".
#
# Guess written down before: a resample without a group says nothing of a difference and is left out, as `by_group_ci` does.
# Seen: of the groups that are left, one alone differs from nothing, so 0 goes into the quantiles (and 1 into those of
# `ratio_ci`). A group of 3 among 300 is missing from 5 % of resamples, enough for the 2.5 % point: the interval reaches "no
# difference", although those of the two groups lie far apart.
# For us: such draws are left out, and an interval is of two named groups (measure/fairness/estimate.py; the test is
# test_draws_that_leave_a_group_empty_are_left_out).
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  fairlearn==0.15.0 numpy==2.4.6 pandas==3.1.1 scikit-learn==1.9.1 scipy==1.17.1
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
from fairlearn.metrics import MetricFrame, selection_rate

selected = np.r_[np.tile([0, 1], 149)[:297], [1, 1, 1]]
frame = MetricFrame(
    metrics=selection_rate,
    y_true=selected,
    y_pred=selected,
    sensitive_features=["many"] * 297 + ["few"] * 3,
    n_boot=400,
    ci_quantiles=[0.025, 0.975],
    random_state=0,
)
(low, high), (ratio_low, ratio_high) = frame.difference_ci(), frame.ratio_ci()
many, few = ([float(each[group]) for each in frame.by_group_ci] for group in ("many", "few"))
print(f"many {many[0]:.2f} - {many[1]:.2f}, few {few[0]:.2f} - {few[1]:.2f}")
print(f"difference {frame.difference():.2f} ({low:.2f} - {high:.2f}), ratio {frame.ratio():.2f} ({ratio_low:.2f} - {ratio_high:.2f})")
assert few == [1.0, 1.0] and many[1] < 0.6
assert low == 0.0 and ratio_high == 1.0
PYTHON
