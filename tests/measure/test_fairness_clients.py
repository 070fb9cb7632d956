"""Gaps over everybody and inside each client."""

import numpy as np
import pytest

from measure.errors import ShapeError
from measure.fairness.clients import gaps
from measure.fairness.estimate import Shuffles
from measure.fairness.groups import Groups


def rows_of(cells):
    """Rows from {(client, group): (shown, all)}."""
    rows = [
        (client, group, place < shown) for (client, group), (shown, whole) in cells.items() for place in range(whole)
    ]
    clients, groups, flags = zip(*rows, strict=True)
    names = tuple(dict.fromkeys(clients)), tuple(dict.fromkeys(groups))
    return (
        np.array(flags, float),
        Groups(names[1], np.array([names[1].index(each) for each in groups])),
        Groups(names[0], np.array([names[0].index(each) for each in clients])),
    )


def test_clients_can_differ_where_everybody_together_is_even():
    flags, groups, clients = rows_of(
        {("north", "F"): (40, 50), ("north", "M"): (10, 50), ("south", "F"): (10, 50), ("south", "M"): (40, 50)}
    )

    found = gaps(flags, groups, clients)

    assert found.overall == 0
    assert found.by_client == {"north": (100, pytest.approx(0.6)), "south": (100, pytest.approx(0.6))}
    assert found.highest == found.mean == pytest.approx(0.6)


def test_everybody_together_can_differ_where_clients_are_even():
    flags, groups, clients = rows_of(
        {("north", "F"): (72, 80), ("north", "M"): (18, 20), ("south", "F"): (2, 20), ("south", "M"): (8, 80)}
    )

    found = gaps(flags, groups, clients)

    assert found.overall == pytest.approx(0.74 - 0.26)
    assert found.highest == pytest.approx(0)


def test_each_client_counts_once_whatever_its_size():
    flags, groups, clients = rows_of(
        {("big", "F"): (90, 300), ("big", "M"): (120, 300), ("small", "F"): (10, 20), ("small", "M"): (4, 20)}
    )

    found = gaps(flags, groups, clients)

    assert found.highest == pytest.approx(0.3)
    assert found.mean == pytest.approx((0.1 + 0.3) / 2)


def test_clients_and_groups_inside_them_that_are_too_small_are_withheld():
    flags, groups, clients = rows_of(
        {
            ("whole", "F"): (10, 20),
            ("whole", "M"): (5, 20),
            ("whole", "X"): (9, 9),  # a tenth user short: left out of the comparison
            ("just", "F"): (0, 10),
            ("just", "M"): (10, 20),
            ("tiny", "F"): (0, 14),
            ("tiny", "M"): (14, 14),
            ("one-sided", "F"): (0, 5),
            ("one-sided", "M"): (50, 50),
        }
    )

    found = gaps(flags, groups, clients, at_least=30, inside_at_least=10)

    assert found.by_client == {"whole": (49, pytest.approx(0.25)), "just": (30, 0.5)}
    assert found.withheld == ("tiny", "one-sided")


def test_without_a_client_that_is_large_enough_there_is_no_local_gap():
    flags, groups, clients = rows_of({("a", "F"): (3, 10), ("a", "M"): (6, 10)})

    found = gaps(flags, groups, clients, shuffles=Shuffles(groups, 0, within=clients))

    assert found.overall == pytest.approx(0.3)
    assert np.isnan([found.highest, found.mean]).all()
    assert found.permutation95 is None


def test_chance_keeps_clients_as_they_are():
    flags, groups, clients = rows_of(
        {("north", "F"): (45, 50), ("north", "M"): (45, 50), ("south", "F"): (45, 50), ("south", "M"): (5, 50)}
    )

    found = gaps(flags, groups, clients, shuffles=Shuffles(groups, 0, within=clients))

    assert found.highest == pytest.approx(0.8)
    assert 0.1 < found.permutation95 < 0.3


def test_the_order_of_rows_does_not_matter():
    flags, groups, clients = rows_of(
        {("a", "F"): (13, 30), ("a", "M"): (21, 30), ("b", "F"): (22, 30), ("b", "M"): (11, 40)}
    )
    order = np.random.default_rng(0).permutation(len(flags))

    shuffled = gaps(flags[order], Groups(groups.names, groups.of[order]), Groups(clients.names, clients.of[order]))

    assert shuffled == gaps(flags, groups, clients)


def test_rows_that_do_not_fit_are_refused():
    flags, groups, clients = rows_of({("a", "F"): (1, 3), ("a", "M"): (1, 3)})

    with pytest.raises(ShapeError):
        gaps(flags[1:], groups, clients)
