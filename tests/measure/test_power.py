"""What is told before an audit, against what audits find."""

from dataclasses import replace

import numpy as np
import pytest

from measure.errors import TooFewUsersError
from measure.leakage import leakage
from measure.power import power
from measure.profiles import QUICK

BRIEF = replace(QUICK, attackers=("logistic", "knn"), repeats=1, permutations=10)


@pytest.mark.parametrize("classes", [2, 5])
def test_the_interval_told_is_the_one_found(a_population, classes):
    users = a_population(classes=classes, audit=600, train=300)

    found = leakage(users.features, users.labels, users.users, BRIEF, attribute="a", target="fair")
    told = power(users.labels[users.users.audit])

    low, high = found.attackers[found.strongest].ci95
    assert (told.users, told.groups) == (600, classes)
    assert told.half_width == pytest.approx((high - low) / 2, rel=0.25)


def test_more_users_and_more_even_groups_show_more():
    few, many = (power(np.arange(n) % 2) for n in (200, 2_000))
    uneven = power((np.arange(200) % 5 == 0).astype(np.int64))

    assert many.half_width < few.half_width / 3 < uneven.half_width
    assert few.least_threshold > 0.63
    assert many.least_threshold < 0.56


def test_the_sentence_says_what_passes_and_where_nothing_can():
    few, many = (power(np.arange(n) % 2) for n in (200, 2_000))

    assert "Too few for 0.6: " in few.sentence("gender", 0.6)
    assert "a leakage up to 0.575 passes, one from 0.625 fails" in many.sentence("gender", 0.6)
    assert "passes, none fails" in many.sentence("gender", 1.0)


def test_too_few_users_are_refused():
    with pytest.raises(TooFewUsersError):
        power(np.arange(40) % 2)
