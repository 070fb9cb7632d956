"""What a verdict must cover is what an audit of everything attacks: no demand without an attack, no attack unjudged."""

from __future__ import annotations

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest

from measure.audit.lookup import _JUDGED
from measure.audit.scope import Scope
from measure.audit.targets import KINDS, targets_of
from measure.masks import masks_to_measure, supported_masks, telling_masks
from measure.profiles import FULL

NAMES = ("gender", "age", "occupation", "region", "income")


def masks_of(attributes, listed=()):
    return supported_masks(attributes, lambda mask: not listed or mask in listed, listed)


@pytest.mark.parametrize(("new_users", "light_users"), [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize(
    ("attributes", "listed"),
    [
        *((NAMES[:m], ()) for m in range(1, 6)),
        (NAMES[:3], ((), ("gender", "age"), ("gender", "occupation"))),
        (NAMES[:2], (("gender", "age"),)),
    ],
)
def test_what_is_demanded_is_what_is_planned(attributes, listed, new_users, light_users):
    masks = masks_of(attributes, listed)
    apart = {"new": np.array([new_users]), "light": np.array([light_users])}
    population = SimpleNamespace(names=attributes, base=None, modal={}, **apart)
    made = dict.fromkeys(("fair", "lists", "base_lists", "part"), print)  # nothing is made while an audit is planned
    subject = SimpleNamespace(population=population, parts=("shared",), **made)

    planned = {
        (name, target.name, target.sensitive)
        for targets in targets_of(KINDS, subject, masks, FULL, seed=0).values()
        for target in targets
        for name in target.attributes
        if name in target.sensitive and _JUDGED.fullmatch(target.name)
    }

    scope = Scope(attributes, tuple(masks), new_users=new_users, light_users=light_users, strict=True)
    demanded = {(name, each.what, each.sensitive) for name in attributes for each in scope.leaks(name, FULL.lists)}
    assert demanded == planned


def test_every_attribute_that_some_mask_protects_is_protected_by_one_that_is_measured():
    listed = [(), *combinations(NAMES, 3), ("gender", "age", "region", "income")] * 2  # more than are all measured

    found = masks_of(NAMES, listed)

    assert {name for mask in found for name in mask} == set(NAMES)
    assert found == [(), *found[1:]]


def test_up_to_sixteen_listed_masks_are_all_measured_in_order():
    listed = (("occupation", "gender", "age"), ("age",), ())

    assert masks_of(NAMES, listed) == [(), ("age",), ("gender", "age", "occupation")]
    assert masks_of(NAMES) == masks_to_measure(NAMES)


def test_lists_are_attacked_under_the_ends_and_the_narrowest_mask_of_each_attribute():
    masks = masks_of(NAMES[:3], ((), ("gender", "age"), ("gender", "occupation"), ("gender", "age", "occupation")))

    assert telling_masks(masks) == masks
    assert telling_masks(masks_of(NAMES[:3])) == [(), ("gender",), ("age",), ("occupation",), NAMES[:3]]
