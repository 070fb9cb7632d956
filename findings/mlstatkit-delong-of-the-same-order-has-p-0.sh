#!/usr/bin/env bash
# mlstatkit 0.1.91: `Delong_test` of two models that order everybody alike has p = 0, the surest difference there is.
#
# Guess written down before: two identical vectors of scores have p = 1.
# Seen: z = 0.0, p = 0.0 and two equal AUCs. The variance of the difference is 0 then, and resamples take the place of DeLong's
# formula; p is twice the smaller of the shares of differences up to 0 and above it, and all of them are 0. The same for
# scores and their exponentials (a model that was calibrated afterwards), and for two that differ in the order of two users of
# one class. Where the order differs between the classes, p is DeLong's.
# For us: of two audits one found more where the intervals lie apart; the same numbers pass (measure/gate.py; the test is
# test_the_same_numbers_pass).
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  mlstatkit==0.1.91 numpy==2.4.6 pandas==2.3.3 scipy==1.17.1 scikit-learn==1.7.2
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from MLstatkit import Delong_test

random = np.random.default_rng(0)
labels = random.integers(0, 2, 400)
scores = labels + random.normal(size=400)
swapped = scores.copy()
near = np.argsort(scores)[200:202]
assert labels[near[0]] == labels[near[1]]
swapped[near] = scores[near[::-1]]
others = {"itself": scores, "its exponentials": np.exp(scores), "two of one class the other way round": swapped}
for name, other in others.items():
    z, p, _, _, first, second, how = Delong_test(labels, scores, other)
    print(f"scores against {name}: AUC {first:.4f} and {second:.4f}, z {z}, p {p} ({how['method']})")
    assert first == second and z == 0 and p == 0
z, p, *_ = Delong_test(labels, scores, labels + random.normal(size=400))
print(f"against another model that is as good: z {z:.2f}, p {p:.2f}")
assert p > 0.05
PYTHON
