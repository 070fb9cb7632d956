"""What is protected in one answer, and why."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle import Description, SupportedMasks
from service.errors import (
    PinnedRequirementError,
    ServiceError,
    ShareRefusedError,
    StartError,
    UnknownAttributeError,
    UnsupportedRequirementError,
)
from service.requirement import Policy, check_policy, check_share, check_storable, resolve

NAMES = ("gender", "age", "occupation")
subsets = st.lists(st.sampled_from(NAMES), max_size=5).map(tuple)


@pytest.fixture
def described(a_bundle) -> Callable[..., Description]:
    """The builder of descriptions of bundles with three attributes."""
    return lambda **options: a_bundle(attributes=NAMES, **options).description


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.none() | subsets, subsets, subsets, subsets)
def test_never_less_is_protected_than_anyone_demands(described, sensitive, default, required, always):
    bundle = described().model_copy(update={"always_protected": list(always)})

    made = resolve(bundle, Policy(default, required), sensitive)

    demanded = {*(default if sensitive is None else sensitive), *required, *always}
    assert set(made.sources) == demanded
    assert list(made.sources) == [name for name in NAMES if name in demanded]
    assert made.mask == tuple(name in demanded for name in NAMES)


def test_each_attribute_carries_the_first_reason_that_applies(described):
    bundle = described(always_protected=["age", "occupation"])

    asked = resolve(bundle, Policy(default=("gender",), required=("age",)), ("age",))
    silent = resolve(bundle, Policy(default=("gender",), required=("age",)), None)

    assert asked.sources == {"age": "request", "occupation": "bundle"}
    assert silent.sources == {"gender": "default", "age": "required", "occupation": "bundle"}


def test_an_empty_list_switches_off_only_the_default(described):
    policy = Policy(default=("gender",), required=("age",))

    assert resolve(described(), policy, ()).sources == {"age": "required"}


def test_an_unknown_attribute_is_named_with_the_known_ones(described):
    with pytest.raises(UnknownAttributeError) as refused:
        resolve(described(), Policy(), ("gender", "hair"))

    assert refused.value.facts == {"field": "sensitive", "value": "hair", "allowed": list(NAMES)}


def test_an_unsupported_combination_is_neither_widened_nor_narrowed(described):
    bundle = described(supported_masks=SupportedMasks(kind="list", masks=[[], ["gender", "age"]]))

    with pytest.raises(UnsupportedRequirementError) as refused:
        resolve(bundle, Policy(), ("gender",))

    assert refused.value.applied == [{"attribute": "gender", "source": "request"}]
    assert refused.value.supported_masks == {"kind": "list", "masks": [[], ["gender", "age"]]}


def test_a_fixed_bundle_takes_its_mask_where_the_request_names_none(described):
    bundle = described(supported_masks=SupportedMasks(kind="fixed", masks=[["age", "gender"]]))

    assert resolve(bundle, Policy(), None).sources == {"gender": "bundle", "age": "bundle"}
    assert resolve(bundle, Policy(), ("age", "gender")).sources == {"gender": "request", "age": "request"}
    for sensitive in ((), ("age",), NAMES):
        with pytest.raises(UnsupportedRequirementError):
            resolve(bundle, Policy(), sensitive)


@pytest.mark.parametrize(
    ("policy", "masks", "line"),
    [
        (Policy(required=("hair",)), None, "EVENHAND_REQUIRED names hair; this bundle knows gender, age, occupation"),
        (Policy(default=("hair",)), None, "EVENHAND_DEFAULT names hair; this bundle knows gender, age, occupation"),
        (Policy(required=("age",)), [[], ["gender"]], "no supported mask of this bundle protects all of age"),
        (Policy(("gender",), ("age",)), [[], ["gender"]], "no supported mask of this bundle protects all of age"),
        (Policy(default=("age",)), [[], ["gender"]], "EVENHAND_DEFAULT is 'age'"),
        (Policy((), ("age",), pinned=True), [["age", "gender"]], "EVENHAND_REQUIRED 'age': this bundle has no list"),
    ],
)
def test_a_policy_that_cannot_be_met_refuses_the_start(described, policy, masks, line):
    bundle = described(supported_masks=SupportedMasks(kind="list", masks=masks) if masks else None)

    with pytest.raises(StartError, match=line):
        check_policy(bundle, policy)


def test_a_requirement_that_a_wider_mask_covers_can_be_met(described):
    bundle = described(supported_masks=SupportedMasks(kind="list", masks=[[], ["gender", "age"]]))

    check_policy(bundle, Policy(required=("age",)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(subsets, subsets, st.none() | subsets, subsets)
def test_a_pinned_service_protects_one_and_the_same_whatever_is_asked(described, default, required, sensitive, stored):
    bundle, policy = described(), Policy(default, required, pinned=True)

    if sensitive is None or set(sensitive) == {*default, *required}:
        assert set(resolve(bundle, policy, sensitive, stored).sources) == {*default, *required, *stored}
    else:
        with pytest.raises(PinnedRequirementError) as refused:
            resolve(bundle, policy, sensitive, stored)
        assert set(refused.value.allowed) == {*default, *required}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(subsets, min_size=1, max_size=4), subsets, subsets)
def test_a_requirement_may_be_stored_where_some_request_could_meet_it(described, masks, required, wanted):
    bundle = described(supported_masks=SupportedMasks(kind="list", masks=[sorted(set(mask)) for mask in masks]))
    policy = Policy(required=required)

    def is_met(sensitive):
        try:
            return set(wanted) <= set(resolve(bundle, policy, sensitive, wanted).sources)
        except UnsupportedRequirementError:
            return False

    if any(is_met(tuple(mask)) for mask in masks):
        check_storable(bundle, policy, wanted)
    else:
        with pytest.raises(UnsupportedRequirementError) as refused:
            check_storable(bundle, policy, wanted)
        assert {row["attribute"] for row in refused.value.applied} == {*wanted, *required}


def test_where_requests_cannot_choose_no_wider_mask_makes_a_requirement_storable(described):
    masks = [["age"], ["gender", "age"], ["gender", "age", "occupation"]]
    bundle = described(supported_masks=SupportedMasks(kind="list", masks=masks))
    free, pinned = (Policy(default=("age",), pinned=pinned) for pinned in (False, True))

    check_storable(bundle, free, ["occupation"])  # a request may ask for all three
    check_storable(bundle, pinned, ["gender"])
    with pytest.raises(UnsupportedRequirementError) as refused:
        check_storable(bundle, pinned, ["occupation"])
    assert refused.value.applied == [
        {"attribute": "age", "source": "default"},
        {"attribute": "occupation", "source": "user"},
    ]

    fixed = described(supported_masks=SupportedMasks(kind="fixed", masks=[["age"]]))
    with pytest.raises(UnsupportedRequirementError) as refused:
        check_storable(fixed, Policy(pinned=True), ["gender"])
    assert refused.value.applied == [
        {"attribute": "gender", "source": "user"},
        {"attribute": "age", "source": "bundle"},
    ]


@st.composite
def descriptions(draw):
    """What a bundle can protect: names, what it always protects, and which masks it has lists for."""
    has = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    always = draw(st.lists(st.sampled_from(has), max_size=1))
    masks = st.lists(st.lists(st.sampled_from(has), unique=True), min_size=1, max_size=7)
    kind = draw(st.sampled_from(["all", "all", "list", "fixed"]))
    listed = [[*always, *(name for name in mask if name not in always)] for mask in draw(masks)]
    listed = {"all": [], "list": listed, "fixed": listed[:1]}[kind]
    return {"has": has, "always": always, "supported": SupportedMasks(kind=kind, masks=listed)}


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(active=descriptions(), trial=descriptions(), default=subsets, required=subsets, pinned=st.booleans())
def test_beside_a_version_that_gets_a_share_every_answer_has_one_that_protects_as_much(
    a_bundle, active, trial, default, required, pinned
):
    def made(what):
        bundle = a_bundle(attributes=what["has"], always_protected=what["always"], supported_masks=what["supported"])
        return bundle.description

    one, other = made(active), made(trial)
    policy = Policy(default, required, pinned)
    try:
        check_policy(one, policy)
        check_policy(other, policy)
        check_share(one, other, policy)
    except (StartError, ShareRefusedError):
        return

    everything = [tuple(name for place, name in enumerate(NAMES) if mask >> place & 1) for mask in range(8)]
    for stored in everything:
        try:
            check_storable(one, policy, stored)
            check_storable(other, policy, stored)
        except ServiceError:
            continue
        for sensitive in (None, *everything):
            try:
                protected = resolve(one, policy, sensitive, stored).sources
            except ServiceError:
                continue
            assert resolve(other, policy, sensitive, stored).sources.keys() >= protected.keys()


@pytest.mark.parametrize(
    ("active", "trial", "attributes"),
    [
        ({}, {}, None),
        ({}, {"always_protected": ["age"]}, None),
        ({"supported_masks": SupportedMasks(kind="list", masks=[[], ["age"]])}, {}, None),
        ({"supported_masks": SupportedMasks(kind="fixed", masks=[["age"]])}, {}, ["age"]),
        ({"always_protected": ["age"]}, {}, ["age"]),
        ({}, {"supported_masks": SupportedMasks(kind="list", masks=[[], ["age"], ["gender"]])}, ["occupation"]),
    ],
)
def test_which_version_gets_a_share_and_what_a_refusal_names(described, active, trial, attributes):
    if attributes is None:
        check_share(described(**active), described(**trial), Policy())
    else:
        with pytest.raises(ShareRefusedError) as refused:
            check_share(described(**active), described(**trial), Policy())
        assert refused.value.attributes == attributes


def test_where_requests_cannot_choose_only_the_operators_attributes_need_be_met_by_both(described):
    listed = SupportedMasks(kind="list", masks=[["gender"]])

    check_share(described(), described(supported_masks=listed), Policy(required=("gender",), pinned=True))
    with pytest.raises(ShareRefusedError):
        check_share(described(), described(supported_masks=listed), Policy(required=("gender",)))


def test_a_share_of_bundles_with_many_attributes_is_decided_at_once(described):
    one = described()
    names = [f"a{number}" for number in range(20)]
    attributes = [one.attributes[0].model_copy(update={"name": name}) for name in names]
    many = one.model_copy(update={"attributes": attributes})
    listed = SupportedMasks(kind="list", masks=[[], *([name] for name in names)])

    with pytest.raises(ShareRefusedError) as refused:
        check_share(many, many.model_copy(update={"supported_masks": listed}), Policy())

    assert refused.value.attributes == ["a0", "a1"]
