"""What the features of the items that users have seen give away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from measure.profiles import Profile
from measure.report import words
from training.card import make_card
from training.data.modal_means import modal_means, seen_means
from training.data.modality import Modality

LOOK = Profile("look", ("logistic",), 2, 1, 1, 20, 50, fit_rows=300, verdict=False)
PLOT = Modality(
    "plot",
    np.array([[1, 0], [3, 4], [np.nan, np.nan], [9, 9]], np.float32),
    np.array([True, True, False, True]),
    "by hand",
)
USERS, ITEMS = 450, 60


def csr(*rows):
    return np.cumsum([0, *map(len, rows)]), np.array([item for row in rows for item in row], np.int32)


def test_a_mean_is_over_the_items_that_have_the_modality():
    means = modal_means(PLOT, csr([0, 1], [1, 2], [0, 0, 1]))

    np.testing.assert_allclose(means, [[2, 2], [3, 4], [5 / 3, 4 / 3]], rtol=1e-6)


@pytest.mark.parametrize("nothing", [[], [2]], ids=["no item", "none with the modality"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_user_of_whom_nothing_is_known_stands_at_the_mean_of_the_others(nothing, place):
    rows = [[0], [1]]
    rows.insert(place, nothing)

    means = modal_means(PLOT, csr(*rows))

    np.testing.assert_allclose(means[place], [2, 2])
    assert np.isfinite(means).all()


def test_what_was_seen_counts_whatever_the_rating(small_data):
    everything = replace(small_data, modalities=(_of(small_data, np.arange(len(small_data.items))),))

    means = seen_means(everything)["number"]

    first = small_data.indices[: small_data.indptr[1]]
    np.testing.assert_allclose(means[0, 0], first.mean(), rtol=1e-6)


def _of(dataset, numbers):
    return Modality("number", numbers[:, None].astype(np.float32), np.ones(len(numbers), np.bool_), "by hand")


@pytest.fixture(scope="module")
def bundle(a_bundle):
    """Women see the first half of the items, men the second, and vectors know nothing of it."""
    plain = a_bundle(users=USERS, items=ITEMS, dimensions=6, attributes=("gender",))
    gender, half = plain.audit.labels[:, 0], ITEMS // 2
    seen = {
        f"u{user}": [f"i{half * max(gender[user], 0) + (user + step) % half}" for step in range(8)]
        for user in range(USERS)
    }
    return a_bundle(users=USERS, items=ITEMS, dimensions=6, attributes=("gender",), seen=seen)


@pytest.mark.parametrize(("shuffled", "low", "high"), [(False, 0.95, 1.0), (True, 0.5, 0.65)])
def test_the_card_says_how_much_each_modality_gives_away_beside_u(bundle, shuffled, low, high):
    numbers = np.arange(ITEMS)
    if shuffled:
        numbers = numbers % (ITEMS // 2)  # the same numbers in both halves
    modality = Modality("looks", numbers[:, None].astype(np.float32), np.ones(ITEMS, np.bool_), "planted")
    means = modal_means(modality, (bundle.seen.indptr, bundle.seen.indices))

    card = make_card(bundle, LOOK, modal={"looks": means})

    (row,) = [row for row in card["leakage"]["by_mask"] if row["target"] == "modal:looks"]
    (base,) = [row for row in card["leakage"]["by_mask"] if row["target"] == "base"]
    assert low <= row["strongest"]["auc"] <= high
    assert row["sensitive"] == []
    assert row["base_auc"] == base["strongest"]["auc"]


def test_a_report_names_the_modality():
    assert words.target("modal:plot") == "mean plot of the items seen"
