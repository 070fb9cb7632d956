"""Light users: who they are, and that what only their vectors give away is found."""

from __future__ import annotations

import numpy as np
import pytest

from measure.audit import Population, Subject, Wanted, measure
from measure.light import AT_LEAST, NOBODY, light_up_to
from measure.profiles import Profile
from measure.scoring import Scorer
from measure.split import AUDIT, SELECT, TRAIN

LOOK = Profile("look", ("logistic",), 3, 1, 1, 50, 50, fit_rows=1_000, verdict=False)
MASKS = ((), ("gender",))


class Vectors(Subject):
    """Fair vectors that are there already."""

    def part(self, place):
        pytest.fail("no part is attacked")

    def fair_vectors(self, mask):
        return self.planted

    def lists_of(self, vectors, count, *, drop_seen=False):
        pytest.fail("no list is attacked")


def a_subject(interactions, light_know, users=1_500, attributes=("gender",)):
    """Users of whom every fifth is a select user, two are train and two audit users; vectors of some know a label."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, (users, len(attributes))).astype(np.int16)
    noise = rng.normal(size=(users, 6)).astype(np.float32)
    population = Population(
        attributes=dict.fromkeys(attributes, ("F", "M")),
        labels=labels,
        base=noise + 2 * labels[:, :1],
        split=np.array([TRAIN, AUDIT, SELECT, TRAIN, AUDIT], np.uint8)[np.arange(users) % 5],
        folded_in=np.zeros(users, np.bool_),
        test=np.full(users, -1, np.int32),
        seen_indptr=np.concatenate([[0], np.cumsum(interactions)]),
        seen_indices=np.zeros(interactions.sum(), np.int32),
        positive=np.ones(interactions.sum(), np.bool_),
        item_groups=[[]],
        strict=True,
        seed=0,
    )
    subject = Vectors(population, Scorer(np.ones((1, 6), np.float32)), (), unit_length=False)
    subject.planted = (noise + 1.5 * np.where(light_know, labels[:, 0], 0)[:, None]).astype(np.float32)
    return subject


def leaks(subject, target):
    found = measure(subject, Wanted(MASKS, LOOK, frozenset(["leakage"]), 0))["leakage"]
    return [row for row in found["by_mask"] if row["target"] == target], found["protocol"]


def test_what_only_light_users_give_away_is_found_among_them():
    interactions = 5 + np.random.default_rng(1).integers(0, 90, 1_500)
    subject = a_subject(interactions, interactions <= 30)

    (light,), protocol = leaks(subject, "light")
    everybody = next(row for row in leaks(subject, "fair")[0] if row["sensitive"] == ["gender"])

    bound = protocol["light"]["interactions_at_most"]
    assert light["n"] == protocol["light"]["n"] == subject.population.light.sum()
    assert light["n_train"] == ((subject.population.split == TRAIN) & (interactions <= bound)).sum()
    assert 0.33 * 600 <= light["n"] <= 0.36 * 600
    assert light["strongest"]["auc"] > everybody["strongest"]["auc"] + 0.05
    assert light["base_auc"] > 0.9


def test_the_same_users_are_light_whoever_is_looked_at():
    interactions = 5 + np.random.default_rng(1).integers(0, 90, 1_500)
    population = a_subject(interactions, interactions < 0).population

    fewer = population.at_most(300, seed=3)
    few = fewer.only(fewer.needed(200, seed=3))

    assert few.light_up_to == fewer.light_up_to == population.light_up_to
    assert few.light.sum() == fewer.light.sum() == (population.light & fewer.looked_at).sum()
    assert 0 < few.light_train.sum() < population.light_train.sum()


def test_too_few_light_users_are_told():
    interactions = 5 + np.random.default_rng(1).integers(0, 90, 1_500)
    subject = a_subject(interactions, interactions < 0)
    subject.population = subject.population.at_most(150, seed=0)

    rows, protocol = leaks(subject, "light")

    assert rows == []
    assert [(each["target"], each["code"]) for each in protocol["not_measured"]] == [("light", "too_few_users")]


@pytest.mark.parametrize(
    ("interactions", "expected"),
    [
        (np.arange(900), 299),
        (np.arange(300), AT_LEAST - 1),
        (np.arange(AT_LEAST), NOBODY),  # everybody would be light
        (np.full(900, 8), NOBODY),  # nobody has fewer than anybody
        (np.repeat([1, 5, 9], [280, 500, 120]), 1),  # with those of 5 nearly everybody
        (np.repeat([1, 5, 9], [80, 700, 120]), NOBODY),
        (np.zeros(0, np.int64), NOBODY),
    ],
)
def test_the_bound_parts_a_third_from_the_others_or_nobody(interactions, expected):
    assert light_up_to(interactions) == expected
