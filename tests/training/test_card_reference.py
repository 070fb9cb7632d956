"""The reference's own leakage figure: the labels of a binary attribute, not its scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from training.card.reference import label_auc, reference_auc, reference_of
from training.card.views import Views

USERS, D = 600, 4


def views_of(a_bundle, signal):
    """Three attributes; ``signal`` times the gender's sign is added to the first dimension of every u."""
    bundle = a_bundle(users=USERS, items=20, dimensions=D)
    base = bundle.audit.base.copy()
    base[:, 0] += signal * (2 * bundle.audit.labels[:, 0] - 1)
    return Views(bundle, replace(bundle.audit, base=base))


def test_two_classes_are_judged_by_the_predicted_label():
    """Scores order all four users rightly, but two of the labels 1 are predicted 0: (1 + 1/3) / 2."""
    attacker = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        attacker.weight.copy_(torch.tensor([[0.0], [1.0]]))
    vectors = torch.tensor([[-4.0], [-3.0], [-2.0], [5.0]])

    assert label_auc(attacker, vectors, torch.tensor([0, 1, 1, 1])) == pytest.approx((1 + 1 / 3) / 2)


def test_more_classes_are_judged_by_their_scores():
    attacker = nn.Identity()
    scores = torch.tensor([[3.0, 1.0, 0.0], [2.0, 1.0, 0.5], [4.0, 9.0, 0.0], [4.0, 4.0, 3.0]])

    # by log-softmax: class 0 leads its rest in 5 of 6 pairs, 1 and 2 in all of theirs
    found = label_auc(attacker, scores, torch.tensor([0, 0, 1, 2]))

    log = scores.log_softmax(1).numpy()
    by_hand = []
    for column, labels in enumerate(([1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1])):
        own, rest = log[np.array(labels) == 1, column], log[np.array(labels) == 0, column]
        by_hand.append(np.mean([(a > b) + 0.5 * (a == b) for a in own for b in rest]))
    assert found == pytest.approx(np.mean(by_hand))


def test_a_planted_attribute_is_found_and_noise_is_not(a_bundle):
    planted, noise = views_of(a_bundle, 3.0), views_of(a_bundle, 0.0)

    assert reference_auc(planted.population, planted.population.base, "gender") > 0.95
    assert reference_auc(noise.population, noise.population.base, "gender") < 0.6


def test_there_is_a_row_for_every_mask_that_protects_something(a_bundle):
    views = views_of(a_bundle, 3.0)
    card = reference_of(views.population, views.fair, [(), ("gender",), ("gender", "age")])

    assert [row["sensitive"] for row in card["by_mask"]] == [["gender"], ["gender", "age"]]
    row = card["by_mask"][1]
    assert row["mean"] == pytest.approx(np.mean(list(row["auc"].values())))
    assert set(row["auc"]) == {"gender", "age"}
    assert 0.7 < row["base"] < 1.0
