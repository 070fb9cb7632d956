#!/usr/bin/env bash
# diffprivlib 0.6.6: `median` of ratings in stars is anywhere between two of them, and an error where there are many.
#
# Guess written down before: the more rows and the larger epsilon, the nearer, to three digits at last, as with numbers that are
# all different.
# Seen: the mechanism draws one of the gaps between neighbours in sorted order, by its length and how far it is from the middle,
# then a number in it. Equal values leave gaps of length 0. Of 1,000 ratings with the median 4, the answer is anywhere between
# 3 and 4, at epsilon 0.1 as at 10, and its mean is 3.5; the .9 quantile, 5, comes as 4.7 or the like. With 100,000 ratings at
# epsilon 1 (or 1,000 at 100) the few gaps that have a length are so far from the middle that their probabilities vanish, and
# a RuntimeError says that there is no candidate. A thousandth of a star of noise on each rating beforehand gives 4.00 there. The
# documentation speaks of an array of numbers, and names the paper of the mechanism.
# For us: nothing is released by such a mechanism here. Whoever publishes private medians of ratings, of ages in years or of counts
# makes equal values different first.
set -euo pipefail
folder=$(mktemp -d) && trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  diffprivlib==0.6.6 numpy==2.4.6 scipy==1.17.1 scikit-learn==1.7.2
"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import numpy as np
from diffprivlib.tools import median

random = np.random.default_rng(0)


def asked(ratings, epsilon):
    """A hundred answers, or the error."""
    try:
        return np.array([median(ratings, epsilon=epsilon, bounds=(0.5, 5.5), random_state=seed) for seed in range(100)])
    except RuntimeError as error:
        return str(error)[:40]


few, many = (random.choice([1.0, 2, 3, 4, 5], size=n, p=[0.056, 0.107, 0.261, 0.35, 0.226]) for n in (1_000, 100_000))
for epsilon in (0.1, 1, 10):
    answers = asked(few, epsilon)
    print(f"1,000 ratings, median {np.median(few)}, epsilon {epsilon}: {answers.min():.2f} to {answers.max():.2f}, mean {answers.mean():.2f}")
    assert np.median(few) == 4 and 3 <= answers.min() < 3.1 and 3.9 < answers.max() <= 4 and 3.4 < answers.mean() < 3.6
for ratings, epsilon in ((few, 100), (many, 1)):
    said = asked(ratings, epsilon)
    apart = asked(ratings + random.uniform(-0.001, 0.001, len(ratings)), epsilon)
    print(f"{len(ratings):,} ratings, epsilon {epsilon}: {said}...; made different first: {apart.min():.3f} to {apart.max():.3f}")
    assert "candidate" in said and abs(apart - 4).max() < 0.01
PYTHON
