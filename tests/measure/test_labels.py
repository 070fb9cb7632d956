import numpy as np
import pytest

from measure.errors import SingleClassError, TooFewUsersError
from measure.labels import in_order, merge_rare


def labels_of(counts):
    return np.repeat(list(counts), list(counts.values()))


def merged_counts(labels, merge):
    return np.bincount(merge.apply(labels)[labels >= 0]).tolist()


@pytest.mark.parametrize(
    ("counts", "classes"),
    [
        ({0: 30, 1: 40}, ((0,), (1,))),
        ({0: 90, 1: 20, 2: 15, 3: 50}, ((0,), (3,), (1, 2))),
        ({0: 90, 1: 20, 2: 50}, ((0,), (1, 2))),  # 20 alone are too few: the smallest joins them
        ({2: 100, 5: 31, 7: 10, 9: 5}, ((2,), (5, 7, 9))),
        ({-1: 500, 0: 30, 1: 30}, ((0,), (1,))),
    ],
)
def test_classes_under_thirty_users_become_one(counts, classes):
    labels = labels_of(counts)

    assert merge_rare(labels, np.arange(len(labels))).classes == classes


def test_only_the_counted_rows_make_a_class_rare_and_the_merge_holds_for_all():
    labels = labels_of({0: 60, 1: 60, 2: 60, -1: 5})
    audit = np.r_[0:50, 60:100, 120:130, 180:185]

    merge = merge_rare(labels, audit)

    assert merge.classes == ((0,), (1, 2))
    assert merged_counts(labels, merge) == [60, 120]
    assert (merge.apply(labels)[-5:] == -1).all()


def test_one_class_is_nothing_to_recover():
    labels = labels_of({0: 100, 1: 3})

    with pytest.raises(SingleClassError) as refused:
        merge_rare(labels, np.arange(len(labels)))

    assert (refused.value.users, refused.value.at_least) == (103, 30)


def test_too_few_users_are_refused_with_both_numbers():
    labels = labels_of({-1: 100, 0: 20, 1: 20})

    with pytest.raises(TooFewUsersError) as refused:
        merge_rare(labels, np.arange(len(labels)))

    assert (refused.value.users, refused.value.needed) == (40, 60)


@pytest.mark.parametrize(
    ("counts", "classes"),
    [
        ({0: 40, 1: 10, 2: 40, 3: 12}, ((0,), (1, 2, 3))),
        ({0: 12, 1: 40, 2: 35, 3: 10}, ((0, 1), (2, 3))),
        ({0: 20, 1: 40, 2: 20}, ((1,), (0, 2))),  # no two runs have thirty each, and two groups have
        (dict.fromkeys(range(30), 4), (tuple(range(15)), tuple(range(15, 30)))),
    ],
)
def test_ordered_classes_join_their_neighbours(counts, classes):
    labels = labels_of(counts)

    assert merge_rare(labels, np.arange(len(labels)), ordered=True).classes == classes


def test_plain_years_are_cut_once_near_the_middle_and_named_by_their_ends():
    years = [str(year) for year in range(18, 58)]
    labels = labels_of({-1: 900} | dict.fromkeys(range(40), 2))

    merge = merge_rare(labels, np.arange(len(labels)), ordered=in_order(years))

    assert merge.names(years) == ("18 to 37", "38 to 57")
    assert merged_counts(labels, merge) == [40, 40]


@pytest.mark.parametrize(
    "counts",
    [
        dict.fromkeys(range(20), 6),
        dict.fromkeys(range(60), 1),
        {0: 29, 1: 29, 2: 29, 3: 2},
        {0: 25, 1: 20, 2: 10, 3: 5},  # thirty and thirty, and no other way
    ],
)
def test_unordered_classes_that_are_all_rare_become_two_groups_of_thirty_at_least(counts):
    labels = labels_of(counts)

    merge = merge_rare(labels, np.arange(len(labels)))

    assert len(merge.classes) == 2
    assert min(merged_counts(labels, merge)) >= 30
    assert len(set(merge.names([f"job {label}" for label in counts]))) == 2


@pytest.mark.parametrize("counts", [{0: 29, 1: 29, 2: 2}, {0: 100, 1: 20, 2: 9}, {0: 31, 1: 29}])
@pytest.mark.parametrize("ordered", [False, True])
def test_where_no_two_groups_of_thirty_can_be_had_the_sizes_are_told(counts, ordered):
    labels = labels_of(counts)

    with pytest.raises(SingleClassError, match=f"classes: {', '.join(map(str, counts.values()))}"):
        merge_rare(labels, np.arange(len(labels)), ordered=ordered)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (["18", "19", "30"], True),
        (["under 18", "18-24", "25-34", "56+"], True),
        (["<1.5", "1.5-2", "2+"], True),
        (["F", "M"], False),
        (["30", "18"], False),
        (["1 bedroom", "2 bedrooms"], False),
        (["18", "writer"], False),
    ],
)
def test_classes_are_ordered_where_they_are_numbers_or_ranges_from_low_to_high(classes, expected):
    assert in_order(classes) is expected
