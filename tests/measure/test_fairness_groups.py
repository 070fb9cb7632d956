"""Users dealt into classes and intersections that are large enough."""

import numpy as np
import pytest

from measure.errors import ShapeError, SingleClassError, TooFewUsersError
from measure.fairness.groups import Groups, by_class, crossed


def repeated(counts):
    return np.repeat(list(counts), list(counts.values()))


def test_rare_classes_are_measured_together_and_said_to_be():
    labels = repeated({0: 60, 1: 20, 2: 15, 3: 40, -1: 5})

    groups, withheld = by_class("age", labels, ["old", "young", "middle", "none"], at_least=30)

    assert groups.names == ("old", "none", "other")
    assert groups.sizes.tolist() == [60, 40, 35]
    assert (groups.of[-5:] == -1).all()
    assert [each.as_row() for each in withheld] == [
        {
            "attribute": "age",
            "classes": ["young", "middle"],
            "reason": "too few audit users in a class of them (under 30): measured together as 'other'",
        }
    ]


def test_a_class_that_is_called_other_is_not_taken_for_the_rare_ones():
    labels = repeated({0: 60, 1: 10, 2: 40, 3: 25})

    groups, _ = by_class("job", labels, ["writer", "farmer", "other", "artist"], at_least=30)

    assert groups.names == ("writer", "other", "other (together)")


def test_an_attribute_that_cannot_be_parted_is_refused():
    with pytest.raises(SingleClassError):
        by_class("gender", repeated({0: 100, 1: 3}), ["F", "M"])
    with pytest.raises(TooFewUsersError):
        by_class("gender", repeated({0: 20, 1: 20}), ["F", "M"])


def two_by_two(sizes):
    """Users of F × young, F × old, M × young and M × old."""
    cell = np.repeat(np.arange(4), sizes)
    return Groups(("F", "M"), cell // 2), Groups(("young", "old"), cell % 2)


def test_intersections_that_are_too_small_are_withheld():
    gender, age = two_by_two([40, 5, 50, 60])

    name, groups, withheld = crossed({"gender": gender, "age": age}, at_least=30)

    assert name == "gender × age"
    assert groups.names == ("F × young", "M × young", "M × old")
    assert groups.sizes.tolist() == [40, 50, 60]
    assert (groups.of[40:45] == -1).all()
    assert withheld[0].as_row() == {
        "attribute": "gender × age",
        "classes": ["F × old"],
        "reason": "under 30 audit users",
    }


def test_an_attribute_that_would_leave_most_users_in_small_intersections_is_not_crossed_in():
    gender, age = two_by_two([40, 40, 40, 40])
    job = Groups(tuple("abcdefgh"), np.arange(160) % 8)

    name, groups, withheld = crossed({"gender": gender, "job": job, "age": age}, at_least=30)

    assert name == "gender × age"
    assert groups.sizes.tolist() == [40] * 4
    assert withheld == []


def test_two_large_intersections_are_not_enough_where_most_users_are_in_small_ones():
    gender, _ = two_by_two([40, 40, 40, 40])
    town = Groups(tuple("abcdefgh"), np.where(np.arange(160) % 80 < 35, 0, np.arange(160) % 7 + 1))

    assert crossed({"gender": gender, "town": town}, at_least=30)[0] == "gender"
    assert crossed({"gender": gender, "town": town}, at_least=5)[0] == "gender × town"


def test_users_without_one_of_the_labels_are_in_no_intersection():
    gender, age = two_by_two([40, 40, 40, 40])
    age = Groups(age.names, np.where(np.arange(160) < 10, -1, age.of))

    _, groups, _ = crossed({"gender": gender, "age": age}, at_least=30)

    assert groups.sizes.tolist() == [30, 40, 40, 40]
    assert (groups.of[:10] == -1).all()


def test_one_attribute_is_its_own_intersection_and_none_is_refused():
    gender, _ = two_by_two([40, 40, 40, 40])

    assert crossed({"gender": gender}, at_least=30)[1].names == ("F", "M")
    with pytest.raises(TooFewUsersError):
        crossed({})


def test_groups_that_do_not_exist_are_refused():
    with pytest.raises(ShapeError):
        Groups(("a",), np.array([0, 1]))


def test_small_classes_of_a_declared_order_are_measured_with_a_neighbour():
    labels = np.repeat([0, 1, 2], [10, 50, 60])
    classes = ("none", "school", "college")

    ordered, _ = by_class("education", labels, classes, ordered=True)
    unordered, _ = by_class("education", labels, classes)

    assert ordered.names == ("none to school", "college")
    assert unordered.names == ("college", "other")
