"""The card's fairness: planted differences are found and named, and what cannot be measured is absent."""

import json
from dataclasses import replace

import numpy as np
import pytest

from measure.audit.fairness import SECTIONS, fairness_of
from measure.audit.subject import Population, Subject
from measure.scoring import Scorer
from measure.split import AUDIT, TRAIN

ITEMS = 60
ROMANCE, WAR, DRAMA = (np.arange(start, start + 20) for start in (0, 20, 40))
NEUTRAL = np.array([0, 20, 40, 1, 21, 41, 2, 22, 42, 3], np.int32)
OPEN, PROTECTED = (), ("gender",)
AUDITED, TRAINED = 640, 100


class Planted(Subject):
    """Lists and ranks that a test chooses; whoever asks for what they would be made of is wrong."""

    def __init__(self, population, lists, ranks):
        scorer = Scorer(np.zeros((ITEMS, 2), np.float32))
        super().__init__(population, scorer, (), unit_length=False)
        self.planted_lists, self.planted_ranks = lists, ranks

    def part(self, place):
        pytest.fail("fairness is measured on lists and ranks, not on parts")

    def fair_vectors(self, mask):
        pytest.fail("fairness is measured on lists and ranks, not on vectors")

    def lists_of(self, vectors, count, *, drop_seen=False):
        pytest.fail("the lists of a mask are there already")

    def lists(self, mask, count, *, drop_seen=False):
        assert drop_seen
        return self.planted_lists[mask][:, :count]

    def full_ranks(self, mask):
        return self.planted_ranks[mask]


def planted(**changes):
    """Women are shown romance and men war, unless gender is protected; .5 of women and .25 of men find their item."""
    users = AUDITED + TRAINED
    row = np.arange(users)
    women = row % 2 == 0
    interactions = np.where(row % 20 == 3, 15, 5)  # a twentieth, men: the active ones
    test = np.where(women, 10 + row % 10, 30 + row % 10)
    learned = np.where(women, 4, 24)  # their own kind
    seen = [[learned[user]] * (interactions[user] - 1) + [test[user]] for user in row]
    population = Population(
        attributes={"gender": ["F", "M"], "age": ["young", "middle", "old", "very old"]},
        labels=np.stack([~women, np.where(row % 80 == 0, 3, row // 2 % 3)], axis=1).astype(np.int16),
        base=np.zeros((users, 2), np.float32),
        split=np.where(row < TRAINED, TRAIN, AUDIT).astype(np.uint8),
        folded_in=np.zeros(users, bool),
        test=test.astype(np.int32),
        seen_indptr=np.concatenate([[0], np.cumsum(interactions)]),
        seen_indices=np.concatenate(seen).astype(np.int32),
        positive=np.ones(interactions.sum(), bool),
        item_groups=[["romance"]] * 20 + [["war"]] * 20 + [["drama"]] * 20,
        strict=True,
        seed=0,
    )
    hit = np.where(women, row // 2 % 2 == 0, row // 2 % 4 == 0)
    ranks = np.where(hit, 0, 30)
    lists = {
        OPEN: np.where(women[:, None], ROMANCE[:10], WAR[:10]).astype(np.int32),
        PROTECTED: np.tile(NEUTRAL, (users, 1)),
    }
    return Planted(replace(population, **changes), lists, {OPEN: ranks, PROTECTED: ranks})


def measured(subject, *wanted, masks=(OPEN, PROTECTED), seed=0, step=lambda: None):
    found = fairness_of(subject, masks, frozenset(wanted or SECTIONS), seed, step)
    json.dumps(found, allow_nan=False)  # a card is JSON, and has no NaN
    return found


def row_of(found, section, sensitive=OPEN, attribute=None):
    (row,) = (
        row
        for row in found[section]
        if row["sensitive"] == list(sensitive) and attribute in (None, row.get("attribute"))
    )
    return row


def test_every_section_has_its_rows():
    found = measured(planted())

    assert list(found) == ["protocol", *SECTIONS]
    rows = {name: len(found[name]) for name in SECTIONS}
    masks, attributes = 2, 2
    assert rows == {
        "overlap": 1,
        **dict.fromkeys(("exposure", "parity", "clients"), masks * attributes),
        **dict.fromkeys(("utility", "activity", "calibration", "catalogue"), masks),
    }
    protocol = found["protocol"]
    assert (protocol["users"], protocol["n"], protocol["k"], protocol["at_least"]) == ("audit", AUDITED, 10, 30)
    assert protocol["item_groups"] == ["drama", "romance", "war"]
    assert protocol["not_measured"] == []


def test_overlap_is_with_the_narrowest_mask_and_absent_for_it():
    found = measured(planted(), "overlap", masks=(PROTECTED, OPEN))

    row = row_of(found, "overlap", PROTECTED)
    # four romances of ten in common for a woman, three wars for a man
    assert row["jaccard@10"]["value"] == pytest.approx((4 / 16 + 3 / 17) / 2)
    low, high = row["jaccard@10"]["ci95"]
    assert low < row["jaccard@10"]["value"] < high
    assert 0 < row["rbo@10"]["value"] < 1
    assert row["n"] == AUDITED
    assert [row["sensitive"] for row in found["overlap"]] == [["gender"]]
    assert found["protocol"]["reference"] == []


def test_exposure_finds_and_names_what_is_shown_to_one_gender_only():
    found = measured(planted(), "exposure")

    apart = row_of(found, "exposure", OPEN, "gender")
    assert apart["total_variation"]["value"] == 1
    assert apart["total_variation"]["between"] == ["F", "M"]
    assert apart["total_variation"]["permutation95"] < 0.2
    assert apart["groups"][0] == {"class": "F", "n": 320, "shares": {"drama": 0.0, "romance": 1.0, "war": 0.0}}
    even = row_of(found, "exposure", PROTECTED, "gender")
    assert even["total_variation"]["value"] == pytest.approx(0)
    by_age = row_of(found, "exposure", OPEN, "age")["total_variation"]
    assert by_age["value"] < by_age["permutation95"]


def test_parity_finds_who_is_shown_what_and_who_finds_what():
    found = measured(planted(), "parity")

    row = row_of(found, "parity", OPEN, "gender")
    women, men = row["groups"]
    assert women == {
        "class": "F",
        "n": 320,
        "positives": 320,
        "hit@10": 0.5,
        "shares": {"drama": 0.0, "romance": 1.0, "war": 0.0},
    }
    assert men["hit@10"] == 0.25
    assert (row["demographic"]["value"], row["demographic"]["item_group"]) == (1, "romance")
    assert row["demographic"]["between"] == ["F", "M"]
    assert row["opportunity"]["value"] == pytest.approx(0.25)
    assert row["opportunity"]["between"] == ["F", "M"]
    assert row["opportunity"]["ci95"][0] < 0.25 < row["opportunity"]["ci95"][1]
    assert row["opportunity"]["permutation95"] < 0.15
    assert row["differential"]["value"] == pytest.approx(np.log(320.5 / 0.5))
    assert row["differential"]["items"] == 20
    assert row_of(found, "parity", PROTECTED, "gender")["demographic"]["value"] == 0
    assert row_of(found, "parity", PROTECTED, "gender")["differential"]["value"] == pytest.approx(0)


def test_utility_is_over_intersections_and_item_groups():
    found = measured(planted(), "utility")

    row = row_of(found, "utility")
    assert row["attributes"] == "gender × age"
    assert row["users"][0]["group"] == "F × young"
    assert sum(each["n"] for each in row["users"]) == AUDITED
    assert row["items"] == [{"group": "drama", "n": 0}, {"group": "romance", "n": 320}, {"group": "war", "n": 320}]
    table = row["utility@10"]
    assert len(table) == len(row["users"])
    for user, line, counts in zip(row["users"], table, row["positives"], strict=True):
        own = 1 if user["group"].startswith("F") else 2
        assert [cell is None for cell in line] == [place != own for place in range(3)]
        assert counts[own] == user["n"]
        assert line[own] == pytest.approx(0.5 if own == 1 else 0.25, abs=0.07)
    cells = [cell for line in table for cell in line if cell is not None]
    assert row["cv"]["value"] == pytest.approx(np.std(cells) / np.mean(cells))
    assert row["min"]["value"] == pytest.approx(min(cells))
    for line, ends in zip(table, row["ci95"], strict=True):
        assert [pair is None for pair in ends] == [cell is None for cell in line]
        assert all(pair[0] <= cell <= pair[1] for cell, pair in zip(line, ends, strict=True) if cell is not None)
    assert "icv" not in row  # no user group has two item groups that it could be measured on
    errors = row["errors"][0]
    assert (errors["attribute"], errors["between"], errors["n"]) == ("gender", ["F", "M"], AUDITED)
    assert errors["precision_gap"] == pytest.approx(0.025)
    assert errors["e@10"] == pytest.approx(np.sqrt(0.025))


def test_activity_compares_the_most_active_twentieth_with_the_others():
    found = measured(planted(), "activity")

    row = row_of(found, "activity")
    assert row["interactions_at_least"] == 15
    assert (row["active"]["n"], row["others"]["n"]) == (32, 608)
    gap = abs(row["active"]["ndcg@10"] - row["others"]["ndcg@10"])
    assert row["gap"]["value"] == pytest.approx(gap)
    assert row["gap"]["ci95"][0] < gap < row["gap"]["ci95"][1]


def test_clients_are_the_classes_of_the_other_attribute():
    found = measured(planted(), "clients")

    row = row_of(found, "clients", OPEN, "gender")
    assert (row["clients"], row["item_group"], row["global"]) == ("age", "romance", 1)
    assert row["local"]["max"] == row["local"]["mean"] == 1
    assert row["local"]["permutation95"] < 0.5
    assert {each["client"]: each["value"] for each in row["by_client"]} == {"young": 1, "old": 1, "other": 1}
    assert row_of(found, "clients", OPEN, "age")["clients"] == "gender"


def test_chance_inside_clients_keeps_how_many_of_each_class_they_have():
    subject = planted()
    women, row = subject.population.labels[:, 0] == 0, np.arange(AUDITED + TRAINED)
    age = np.where(women, row >= AUDITED + TRAINED - 24, row // 2 % 2).astype(np.int16)  # of the old, twelve women
    lists = np.where((np.random.default_rng(0).random(len(row)) < 0.5)[:, None], ROMANCE[:10], WAR[:10])
    few = planted(labels=np.stack([~women, age], axis=1).astype(np.int16))
    few.planted_lists[OPEN] = lists.astype(np.int32)

    row = row_of(measured(few, "clients"), "clients", OPEN, "gender")

    assert row["local"]["permutation95"] > 0.2  # as many as half of all dealt anew would make it .1


def test_clients_are_the_classes_of_the_attribute_that_has_most():
    labels = planted().population.labels
    region = (np.arange(len(labels)) // 4 % 2).astype(np.int16)
    attributes = {"region": ["north", "south"], "gender": ["F", "M"], "age": ["young", "middle", "old", "very old"]}

    found = measured(planted(attributes=attributes, labels=np.column_stack([region, labels])), "clients")

    assert row_of(found, "clients", OPEN, "gender")["clients"] == "age"
    assert row_of(found, "clients", OPEN, "age")["clients"] == "region"


def test_calibration_is_against_the_history_without_the_held_out_item():
    found = measured(planted(), "calibration")

    own = row_of(found, "calibration", OPEN)
    assert own["user_kl"]["value"] == pytest.approx(0, abs=1e-9)  # they have seen, and are shown, one kind only
    assert own["n"] == AUDITED
    assert row_of(found, "calibration", PROTECTED)["user_kl"]["value"] > 0.5
    assert own["system_kl"] > row_of(found, "calibration", PROTECTED)["system_kl"] > 0


def test_the_held_out_item_is_no_part_of_the_history():
    subject = planted()
    mixed = subject.population.seen_indices.copy()
    mixed[subject.population.seen_indptr[1:] - 1] = 50  # a drama, held out

    found = measured(planted(seen_indices=mixed, test=np.full(AUDITED + TRAINED, 50, np.int32)), "calibration")

    assert row_of(found, "calibration", OPEN)["user_kl"]["value"] == pytest.approx(0, abs=1e-9)


def test_interactions_that_are_not_positive_are_no_part_of_the_history():
    subject = planted()
    mixed = subject.population.seen_indices.copy()
    first = subject.population.seen_indptr[:-1]
    mixed[first] = 50
    liked = np.ones(len(mixed), bool)
    liked[first] = False

    found = measured(planted(seen_indices=mixed, positive=liked), "calibration")

    assert row_of(found, "calibration", OPEN)["user_kl"]["value"] == pytest.approx(0, abs=1e-9)
    assert row_of(measured(planted(seen_indices=mixed), "calibration"), "calibration")["user_kl"]["value"] > 0.1


def test_the_catalogue_is_what_all_audit_users_are_shown():
    found = measured(planted(), "catalogue")

    assert row_of(found, "catalogue", OPEN)["coverage@10"] == pytest.approx(20 / 60)
    assert row_of(found, "catalogue", PROTECTED)["coverage@10"] == pytest.approx(10 / 60)
    assert row_of(found, "catalogue", PROTECTED)["gini@10"] > row_of(found, "catalogue", OPEN)["gini@10"]


def test_rare_classes_are_merged_and_withheld_by_name():
    found = measured(planted(), "exposure")

    withheld = {row["attribute"]: row for row in found["protocol"]["withheld"]}
    assert "very old" in withheld["age"]["classes"]
    assert [each["class"] for each in row_of(found, "exposure", OPEN, "age")["groups"]] == ["young", "old", "other"]


def test_only_audit_users_count():
    subject = planted()
    others = planted()
    for lists in others.planted_lists.values():
        lists[:TRAINED] = NEUTRAL[::-1]
    for ranks in others.planted_ranks.values():
        ranks[:TRAINED] = 3

    assert measured(subject) == measured(others)


@pytest.mark.parametrize("strict", [True, False])
def test_audit_users_count_in_reproduce_too(strict):
    assert measured(planted(strict=strict), "catalogue")["protocol"]["n"] == AUDITED


def test_users_that_are_left_out_or_folded_in_do_not_count():
    folded_in = np.arange(AUDITED + TRAINED) >= AUDITED + TRAINED - 40
    subject = planted(folded_in=folded_in)

    assert measured(subject, "catalogue")["protocol"]["n"] == AUDITED - 40
    few = planted()
    few.population = few.population.at_most(100, seed=1)
    assert measured(few, "catalogue")["protocol"]["n"] == 100


def test_the_same_seed_gives_the_same_card_and_another_one_other_intervals():
    one, again, other = (measured(planted(), "parity", seed=seed) for seed in (3, 3, 4))

    assert one == again
    gaps = [row_of(each, "parity", OPEN, "gender")["opportunity"] for each in (one, other)]
    assert gaps[0]["value"] == gaps[1]["value"]
    assert gaps[0]["ci95"] != gaps[1]["ci95"]


def test_a_step_is_told_for_each_mask_and_section():
    steps = []

    measured(planted(), "overlap", "parity", "catalogue", step=lambda: steps.append(1))

    assert len(steps) == 2 * 3


def test_what_is_not_wanted_is_not_there():
    found = measured(planted(), "catalogue")

    assert list(found) == ["protocol", "catalogue"]
    assert not {"rbo", "differential", "active", "clients", "calibration"} & set(found["protocol"])


@pytest.mark.parametrize("groups", [[[]] * ITEMS, [], [["film"]] * ITEMS])
def test_items_without_groups_leave_out_what_is_about_groups_of_them_and_say_so(groups):
    found = measured(planted(item_groups=groups))

    assert set(found) == {"protocol", "overlap", "parity", "activity", "catalogue"}
    assert {row["section"] for row in found["protocol"]["not_measured"]} == {
        "exposure",
        "utility",
        "clients",
        "calibration",
    }
    assert found["protocol"]["item_groups"] == []
    row = row_of(found, "parity", OPEN, "gender")
    assert "demographic" not in row
    assert row["opportunity"]["value"] == pytest.approx(0.25)


def test_one_attribute_has_no_clients():
    labels = planted().population.labels[:, :1]

    found = measured(planted(attributes={"gender": ["F", "M"]}, labels=labels))

    assert "clients" not in found
    assert found["protocol"]["not_measured"] == [
        {"section": "clients", "reason": "it takes two attributes with classes large enough"}
    ]


def test_too_few_audit_users_for_groups_still_have_lists():
    split = np.where(np.arange(AUDITED + TRAINED) < AUDITED + TRAINED - 40, TRAIN, AUDIT).astype(np.uint8)

    found = measured(planted(split=split))

    assert set(found) == {"protocol", "overlap", "calibration", "catalogue"}
    assert [row["attribute"] for row in found["protocol"]["withheld"]] == ["gender", "age"]
    assert "40 users" in found["protocol"]["withheld"][0]["reason"]
    assert {row["section"] for row in found["protocol"]["not_measured"]} == {
        "exposure",
        "parity",
        "utility",
        "activity",
        "clients",
    }


def test_users_without_a_held_out_item_leave_what_lists_are_like():
    subject = planted(test=np.full(AUDITED + TRAINED, -1, np.int32))
    for ranks in subject.planted_ranks.values():
        ranks[:] = -1

    found = measured(subject)

    assert set(found) == {"protocol", *SECTIONS} - {"activity"}
    parity = row_of(found, "parity", OPEN, "gender")
    assert "opportunity" not in parity
    assert "hit@10" not in parity["groups"][0]
    assert row_of(found, "utility")["errors"] == []
    assert {cell for line in row_of(found, "utility")["utility@10"] for cell in line} == {None}


def test_empty_lists_are_nothing_to_measure():
    subject = planted()
    for lists in subject.planted_lists.values():
        lists[:] = -1

    found = measured(subject)

    assert {"overlap", "exposure", "calibration", "catalogue"} & set(found) == set()


def test_an_audit_of_nobody_says_so_of_every_section():
    found = measured(planted(split=np.full(AUDITED + TRAINED, TRAIN, np.uint8)))

    assert found.keys() == {"protocol"}
    assert [each["section"] for each in found["protocol"]["not_measured"]] == list(SECTIONS)
