import numpy as np
import pytest

from measure.errors import SingleClassError, TooFewUsersError
from measure.labels import merge_rare


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
