"""What a model goes through before it may serve."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bundle import SupportedMasks
from service.errors import ModelRefusedError, UnsupportedRequirementError
from service.model import rests
from service.model.loaded import load_model
from service.model.preparation import compare, prepare, unmet_requirements
from service.requirement import Policy, resolve
from service.store import StateCache
from service.store.state_cache import Changes

NAMES = ("gender", "age", "occupation")
subsets = st.lists(st.sampled_from(NAMES), max_size=3, unique=True).map(tuple)


def known_with(requirements, suppressed=()):
    known = StateCache()
    stored = {f"u{place}": (1, names) for place, names in enumerate(requirements)}
    known.take(Changes(1, stored, {}, {}, {}, (), ()))
    known.take(Changes(2, {}, {}, dict.fromkeys(suppressed, (2, True)), {}, (), ()))
    return known


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    has=st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True),
    masks=st.none() | st.lists(subsets, min_size=1, max_size=3),
    required=subsets,
    stored=st.lists(st.none() | subsets, max_size=5),
)
def test_a_user_counts_as_unmet_where_no_request_of_theirs_could_be_answered(a_bundle, has, masks, required, stored):
    masks = masks and [[name for name in mask if name in has] for mask in masks]
    supported = SupportedMasks(kind="list", masks=masks) if masks else None
    bundle = a_bundle(attributes=has, supported_masks=supported).description
    policy = Policy(required=tuple(name for name in required if name in has))

    def is_answered(sensitive, names):
        try:
            return bool(resolve(bundle, policy, sensitive, names)) or True
        except UnsupportedRequirementError:
            return False

    unmet = unmet_requirements(bundle, policy, known_with(stored))

    everything = [tuple(name for place, name in enumerate(has) if mask >> place & 1) for mask in range(2 ** len(has))]
    refused = [names for names in stored if names and not any(is_answered(one, names) for one in everything)]
    assert sum(unmet.values()) == len(refused)
    assert unmet.keys() == set(refused)


def test_erased_users_have_no_requirement_to_meet(a_bundle):
    bundle = a_bundle(attributes=("gender",)).description

    assert unmet_requirements(bundle, Policy(), known_with([("age",), ("age",)], suppressed=("u0",))) == {("age",): 1}


def test_what_changes_is_counted(a_bundle):
    before = a_bundle(users=6, items=12, attributes=("gender", "age"))
    after = a_bundle(users=4, items=15, attributes=("age", "occupation"))

    compared = compare(before, after, Policy(), known_with([("gender",), ("age",)]))

    assert (compared.attributes_added, compared.attributes_removed) == (("occupation",), ("gender",))
    assert (compared.users_added, compared.users_removed) == (0, 2)
    assert (compared.items_added, compared.items_removed) == (3, 0)
    assert compared.users_unmet == 1


@pytest.mark.parametrize("options", [{}, {"table": True}, {"candidates": 5}, {"users": 1}, {"attributes": ()}])
def test_every_kind_of_bundle_is_warmed(a_bundle_folder, options):
    prepared = prepare(a_bundle_folder(**options), Policy(), "cpu")

    assert prepared.timings_ms.keys() == {"read_ms", "index_ms", "encoder_ms", "warm_ms", "rested_ms"}


def test_a_preparation_rests_between_pieces_and_a_start_does_not(a_bundle_folder, monkeypatch):
    slept = []
    monkeypatch.setattr(rests, "LEAST_S", 0.0)
    monkeypatch.setattr(rests.time, "sleep", slept.append)
    folder = a_bundle_folder()

    load_model(folder, "cpu")
    assert slept == []

    prepared = prepare(folder, Policy(), "cpu")

    assert len(slept) >= 2 * 12, "each file is hashed and its values checked, and the stages follow"
    assert prepared.timings_ms["rested_ms"] == pytest.approx(1e3 * sum(slept))


def test_a_version_in_the_folder_of_another_is_refused(a_bundle_folder):
    folder = a_bundle_folder()
    folder.rename(folder.with_name("7"))

    with pytest.raises(ModelRefusedError, match="version is '1'"):
        prepare(folder.with_name("7"), Policy(), "cpu")
