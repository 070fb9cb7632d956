"""The card: what leaks is found wherever it leaks, what does not is at chance, and every row is there."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import chain, combinations

import numpy as np
import pytest

from bundle import SupportedMasks, Users
from measure.masks import masks_to_measure
from measure.profiles import Profile
from measure.split import AUDIT
from training.card import make_card

LOOK = Profile("look", ("logistic",), 2, 1, 1, 20, 50, fit_rows=300, verdict=False)
LONG_LOOK = replace(LOOK, name="long look", lists=(10, 50))
USERS, ITEMS, D = 450, 60, 6
EVERY_MASK = {
    names: SupportedMasks(kind="list", masks=[list(mask) for mask in masks_to_measure(names)])
    for names in (("gender",), ("gender", "age", "occupation"))
}


@pytest.fixture(scope="module")
def a_measured_bundle(a_bundle):
    """The builder of bundles with a held-out item for everyone; options of `make_bundle`, then changes to audit/."""

    def build(users=USERS, items=ITEMS, fair=None, base=None, **options):
        seen = {f"u{user}": [f"i{(user + step) % items}" for step in range(8)] for user in range(users)}
        bundle = a_bundle(users=users, items=items, dimensions=D, seen=seen, **options)
        last = np.array([bundle.seen.of(row)[-1] for row in range(users)], np.int32)
        audit = replace(bundle.audit, test=last, base=bundle.audit.base if base is None else base)
        parts = bundle.users.parts if fair is None else fair
        return replace(bundle, audit=audit, users=Users(bundle.users.ids, parts))

    return build


@pytest.fixture(scope="module")
def a_card(a_measured_bundle):
    """The builder of cards that tests read and leave as they are: of attributes by a profile, each made once."""
    return cache(lambda attributes, profile: make_card(a_measured_bundle(attributes=attributes), profile, workers=1))


def with_fair_vectors(build, fair_of, attributes=("gender",), **options):
    """A bundle of finished fair vectors: ``fair_of(labels, mask, rng)`` gives those of one mask."""
    rng = np.random.default_rng(3)
    options |= {"attributes": attributes, "table": True, "supported_masks": EVERY_MASK[attributes]}
    labels = build(**options).audit.labels
    masks = masks_to_measure(attributes)
    fair = np.stack([fair_of(labels, mask, rng) for mask in masks], axis=1).astype(np.float32)
    return build(fair=fair, **options)


def rows_of(card, target, attribute="gender", sensitive=None):
    return [
        row
        for row in card["leakage"]["by_mask"]
        if row["target"] == target
        and row["attribute"] == attribute
        and (sensitive is None or row["sensitive"] == list(sensitive))
    ]


def leaked(card, target, **where):
    (row,) = rows_of(card, target, **where)
    return row["strongest"]["auc"], row["permutation95"]


def spread(rng):
    return rng.normal(size=(USERS, D))


def test_gender_planted_in_the_lists_is_found_in_vectors_and_lists_alike(a_measured_bundle):
    items = np.random.default_rng(1).normal(size=(ITEMS, D)).astype(np.float32)
    items[: ITEMS // 2, 0] += 4  # items that one gender is sent to

    def fair_of(labels, mask, rng):
        return spread(rng) + np.outer(labels[:, 0] * 3.0, np.eye(D)[0])

    card = make_card(with_fair_vectors(a_measured_bundle, fair_of, item_vectors=items), LOOK)

    for target in ("fair", "list@10", "list@10:seen"):
        assert leaked(card, target, sensitive=["gender"])[0] > 0.8, target
    for target in ("all_masks", "protecting_masks", "lists@10", "protecting_lists@10"):
        assert leaked(card, target)[0] > 0.8, target
    for target in ("base", "noise", "base_list@10", "constant@10:seen"):
        found, bound = leaked(card, target)
        assert found < bound + 0.05, target


def test_a_bundle_whose_fair_vectors_are_noise_leaks_nothing_that_its_base_does(a_measured_bundle):
    def fair_of(labels, mask, rng):
        return spread(rng)

    bundle = with_fair_vectors(a_measured_bundle, fair_of)
    planted = (bundle.audit.base + 2 * bundle.audit.labels[:, :1]).astype(np.float32)
    card = make_card(replace(bundle, audit=replace(bundle.audit, base=planted)), LOOK)

    assert leaked(card, "base")[0] > 0.9
    for target in ("noise", "all_masks", "protecting_masks", "lists@10", "protecting_lists@10"):
        found, bound = leaked(card, target)
        assert found < bound + 0.05, target
    for row in rows_of(card, "fair"):
        assert row["strongest"]["auc"] < row["permutation95"] + 0.05
        assert row["base_auc"] == leaked(card, "base")[0]


def expected_rows(attributes, lengths):
    masks = list(chain.from_iterable(combinations(attributes, size) for size in range(len(attributes) + 1)))
    everything = ((), attributes)
    some = [(mask, a) for mask in masks if mask in everything for a in attributes]
    some += [((a,), a) for a in attributes if len(attributes) > 1]
    rows = [((), a, target) for a in attributes for target in ("base", "noise", "all_masks", "lists@10")]
    rows += [((), a, "constant@10:seen") for a in attributes]
    rows += [((a,), a, target) for a in attributes for target in ("protecting_masks", "protecting_lists@10")]
    rows += [(mask, a, "fair") for mask in masks for a in attributes]
    rows += [((), a, f"part:{part}") for part in ("shared", *attributes) for a in attributes]
    for target in (f"list@{k}{kind}" for k in lengths for kind in ("", ":seen")):
        rows += [((), a, f"base_{target}") for a in attributes] + [(mask, a, target) for mask, a in some]
    return sorted(rows)


@pytest.mark.parametrize("attributes", [("gender",), ("gender", "age", "occupation")], ids=len)
@pytest.mark.parametrize(("profile", "lengths"), [(LOOK, (10,)), (LONG_LOOK, (10, 50))], ids=["quick", "full"])
def test_every_row_is_there_once(a_card, attributes, profile, lengths):
    card = a_card(attributes, profile)

    found = sorted((tuple(row["sensitive"]), row["attribute"], row["target"]) for row in card["leakage"]["by_mask"])
    assert found == expected_rows(attributes, lengths)
    assert card["leakage"]["protocol"]["not_measured"] == []
    assert len(card["accuracy"]["by_mask"]) == 2 ** len(attributes)
    assert "folded_in" not in card["accuracy"]


def test_the_profile_for_comparing_bundles_attacks_what_is_protected_and_nothing_else(a_measured_bundle):
    names = ("gender", "age", "occupation")
    card = make_card(a_measured_bundle(attributes=names), replace(LOOK, protected_only=True))

    found = sorted((tuple(row["sensitive"]), row["attribute"], row["target"]) for row in card["leakage"]["by_mask"])
    masks = [mask for size in (1, 2, 3) for mask in combinations(names, size)]
    expected = [((), name, "base") for name in names] + [(mask, name, "fair") for mask in masks for name in mask]
    assert found == sorted(expected)
    assert "fairness" not in card


def test_that_profile_attacks_new_users_too_for_what_is_protected(a_measured_bundle):
    names = ("gender", "age")
    bundle = a_measured_bundle(users=900, attributes=names)
    new = (bundle.audit.split == AUDIT) & (np.arange(900) % 2 == 0)
    bundle = replace(bundle, audit=replace(bundle.audit, folded_in=new))

    card = make_card(bundle, replace(LOOK, protected_only=True))

    rows = [row for row in card["leakage"]["by_mask"] if row["target"] == "folded_in"]
    masks = [mask for size in (1, 2) for mask in combinations(names, size)]
    assert sorted((tuple(row["sensitive"]), row["attribute"], row["n"]) for row in rows) == sorted(
        (mask, name, int(new.sum())) for mask in masks for name in mask
    )


def test_a_metric_that_is_asked_for_is_measured_whatever_the_profile_leaves_out(a_measured_bundle):
    card = make_card(a_measured_bundle(), replace(LOOK, protected_only=True), also=("utility",))

    assert [name for name in card["fairness"] if name != "protocol"] == ["utility"]


def test_a_list_is_held_against_the_unprotected_list_of_its_own_kind(a_card):
    card = a_card(("gender",), LOOK)

    for target, base in {
        "fair": "base",
        "part:shared": "base",
        "all_masks": "base",
        "list@10": "base_list@10",
        "lists@10": "base_list@10",
        "list@10:seen": "base_list@10:seen",
        "constant@10:seen": "base_list@10:seen",
    }.items():
        assert {row["base_auc"] for row in rows_of(card, target)} == {leaked(card, base)[0]}, target
    assert not any("base_auc" in row for target in ("base", "base_list@10") for row in rows_of(card, target))


@pytest.mark.usefixtures("preloaded")
def test_the_card_is_the_same_for_one_worker_and_for_two(a_card, a_measured_bundle):
    two = make_card(a_measured_bundle(attributes=("gender",)), LOOK, workers=2)

    assert a_card(("gender",), LOOK) == two


def test_accuracy_is_told_by_group_and_rare_classes_together(a_measured_bundle):
    bundle = a_measured_bundle(attributes=("gender", "occupation"))
    labels = bundle.audit.labels.copy()
    audit = np.flatnonzero(bundle.audit.split == 2)
    labels[audit, 1] = 2
    labels[audit[:20], 1] = 0
    labels[audit[20:40], 1] = 1
    card = make_card(replace(bundle, audit=replace(bundle.audit, labels=labels)), LOOK)

    for row in card["accuracy"]["by_mask"]:
        assert sum(group["n"] for group in row["groups"]["gender"]) == row["n"] == len(audit)
        assert [(group["class"], group["n"]) for group in row["groups"]["occupation"]] == [
            ("writer", 110),
            ("other", 40),
        ]
        mean = sum(group["n"] * group["full"]["ndcg@10"] for group in row["groups"]["gender"]) / row["n"]
        assert mean == pytest.approx(row["full"]["ndcg@10"])
        assert row["groups"]["gender"][0]["base"].keys() == {"sampled", "full"}


def test_an_attribute_with_too_few_users_is_told_and_the_others_are_measured(a_measured_bundle):
    bundle = a_measured_bundle(attributes=("gender", "age"))
    labels = bundle.audit.labels.copy()
    labels[:, 1] = 0
    card = make_card(replace(bundle, audit=replace(bundle.audit, labels=labels)), LOOK)

    assert [entry["attribute"] for entry in card["leakage"]["protocol"]["not_measured"]] == ["age"]
    assert {row["attribute"] for row in card["leakage"]["by_mask"]} == {"gender"}
    assert card["accuracy"]["by_mask"][0]["groups"].keys() == {"gender"}


def test_new_users_have_rows_of_their_own_and_are_in_no_other(a_measured_bundle):
    bundle = a_measured_bundle(attributes=("gender",), users=900)
    new = (np.arange(900) % 3 == 2) & (np.arange(900) % 2 == 0)
    planted = bundle.audit.base.copy()
    planted[new] += 3 * bundle.audit.labels[new]
    card = make_card(replace(bundle, audit=replace(bundle.audit, folded_in=new, base=planted)), LOOK)

    assert {row["n"] for row in card["accuracy"]["folded_in"]} == {150}
    assert {row["n"] for row in card["accuracy"]["by_mask"]} == {150}
    assert {tuple(row["sensitive"]) for row in rows_of(card, "folded_in")} == {(), ("gender",)}
    assert {row["n"] for row in card["leakage"]["by_mask"]} == {150}
    assert all(row["base_auc"] > 0.9 for row in rows_of(card, "folded_in"))
    assert leaked(card, "base")[0] < 0.7


def test_too_few_new_users_are_told(a_measured_bundle):
    bundle = a_measured_bundle(attributes=("gender",))
    card = make_card(replace(bundle, audit=replace(bundle.audit, folded_in=np.arange(USERS) == 2)), LOOK)

    (entry,) = card["leakage"]["protocol"]["not_measured"]
    assert (entry["attribute"], entry["target"]) == ("gender", "folded_in")
    assert "1 users, at least 60 needed" in entry["reason"]
    assert card["accuracy"]["folded_in"][0]["n"] == 1
    assert card["accuracy"]["folded_in"][0]["groups"] == {}


def test_scores_are_traced_under_every_mask_that_protects_without_labels_of_audit_users(a_measured_bundle):
    bundle = a_measured_bundle(attributes=("gender", "age"))
    labels = bundle.audit.labels.copy()
    audited = bundle.audit.split == AUDIT
    labels[audited] = labels[audited][::-1]

    card, other = (make_card(each, LOOK) for each in (bundle, with_labels(bundle, labels)))

    rows = card["leakage"]["trace"]["by_mask"]
    keys = [(tuple(row["sensitive"]), row["attribute"]) for row in rows]
    assert keys == [
        (("gender",), "gender"),
        (("age",), "age"),
        (("gender", "age"), "gender"),
        (("gender", "age"), "age"),
    ]
    assert all(row["n"] == USERS and row["base_auc"] > 0.9 for row in rows)
    assert other["leakage"]["trace"] == card["leakage"]["trace"]
    assert other["leakage"]["by_mask"] != card["leakage"]["by_mask"]


def with_labels(bundle, labels):
    return replace(bundle, audit=replace(bundle.audit, labels=labels))
