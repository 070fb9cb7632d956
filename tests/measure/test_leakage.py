import json
from dataclasses import replace

import numpy as np
import pytest

from measure.attackers import ATTACKERS
from measure.errors import MeasureError, OutOfRangeError, OverlapError, ShapeError, UnknownAttackerError
from measure.features import Forms, list_features, noise_like, side_by_side, whitened
from measure.leakage import Users, leakage, refitted_null
from measure.profiles import FULL, PROFILES, PROTECTED, QUICK, Profile
from measure.tuning import DEFAULTS, GRIDS, tune

BRISK = Profile("brisk", tuple(ATTACKERS), 3, 1, 1, bootstrap=100, permutations=200, fit_rows=2_000, verdict=False)


def attack(population, features=None, profile=BRISK, **options):
    features = population.features if features is None else features
    options = {"attribute": "gender", "target": "fair"} | options
    return leakage(features, population.labels, population.users, profile, **options)


def test_every_attacker_finds_a_planted_leak(a_population):
    found = attack(a_population(signal=2.5))

    assert {name for name, result in found.attackers.items() if result.auc > 0.8} == set(ATTACKERS)
    assert found.permutation_p < 0.01
    low, high = found.attackers[found.strongest].ci95
    assert found.permutation95 < low < found.auc < high


def test_noise_stays_within_reach_of_the_permutation_null(a_population):
    leaky = a_population(signal=2.5, audit=400, train=400)

    found = attack(leaky, features=noise_like(leaky.features, seed=1))

    assert found.auc < found.permutation95 + 0.03
    assert found.attackers[found.strongest].ci95[0] < found.permutation95


def test_what_is_not_linear_is_found_by_the_attackers_that_are_not(a_population):
    found = attack(a_population(exclusive_or=True, audit=400, train=500)).attackers

    assert found["logistic"].auc < 0.62
    assert min(found[name].auc for name in ("mlp", "knn", "svm", "boosting")) > 0.8


def test_an_attribute_of_many_classes_is_found(a_population):
    found = attack(a_population(classes=5, signal=3.0, audit=400, train=400))

    assert len(found.merge.classes) == 5
    assert min(result.auc for result in found.attackers.values()) > 0.8


def test_fitting_on_train_users_finds_what_the_audit_users_do_not_show(a_population):
    twins = a_population()
    twins.features[twins.users.audit] = twins.features[twins.users.train] + 1e-3
    twins.labels[twins.users.audit] = twins.labels[twins.users.train]

    found = attack(twins).attackers["knn"]

    assert found.way == "fitted_on_train"
    assert found.fitted_on_train > 0.9
    assert abs(found.cross_validated - 0.5) < 0.15
    assert found.auc == found.fitted_on_train


def test_train_and_audit_users_together_show_what_neither_shows_alone(a_population):
    twins = a_population(width=24)
    audit, train = twins.users.audit, twins.users.train
    for some, others in ((audit[:100], train[:100]), (audit[100:200], audit[200:])):
        twins.features[some] = twins.features[others] + 1e-3
        twins.labels[some] = twins.labels[others]

    found = attack(twins, profile=replace(BRISK, attackers=("knn", "logistic"), both=("knn",))).attackers

    assert found["knn"].way == "fitted_on_both"
    assert found["knn"].auc > max(found["knn"].cross_validated, found["knn"].fitted_on_train) + 0.05
    assert "fitted_on_both" in found["knn"].as_row()
    assert "fitted_on_both" not in found["logistic"].as_row()


def test_an_attacker_that_learned_it_the_wrong_way_round_counts_too(a_population):
    upside_down = a_population(signal=2.5)
    upside_down.features[upside_down.users.train] *= -1

    found = attack(upside_down, profile=replace(BRISK, attackers=("logistic",))).attackers["logistic"]

    assert found.fitted_on_train < 0.1
    assert found.auc == pytest.approx(max(found.cross_validated, 1 - found.fitted_on_train))


def test_lists_give_away_what_their_items_give_away(a_population):
    users = a_population(audit=400, train=400)
    rng = np.random.default_rng(0)
    group = users.labels[:, None] ^ (rng.random((800, 10)) < 0.35)
    lists = rng.integers(0, 60, (800, 10)) + 60 * group

    telling = attack(users, features=list_features(lists, 120))
    constant = attack(users, features=list_features(np.tile(np.arange(10), (800, 1)), 120))

    assert min(result.auc for result in telling.attackers.values()) > 0.8
    assert constant.auc == 0.5


def test_two_views_side_by_side_give_away_what_neither_does(a_population):
    users = a_population()
    hidden = users.features + 1e-3 * users.labels[:, None]

    alone, together = (attack(users, features=f) for f in (hidden, side_by_side([users.features, hidden])))

    assert alone.auc < 0.65
    assert together.auc > 0.99


def test_the_row_has_the_shape_of_the_card(a_population):
    row = attack(a_population(signal=1.0), base_auc=0.9, target="list@10").as_row()

    assert {"attribute", "target", "n", "base_auc", "attackers", "strongest", "permutation95"} <= set(row)
    assert (row["attribute"], row["target"], row["n"], row["base_auc"]) == ("gender", "list@10", 300, 0.9)
    assert set(row["strongest"]) == {"attacker", "auc", "ci95"}
    assert row["strongest"]["auc"] == max(entry["auc"] for entry in row["attackers"].values())
    assert json.loads(json.dumps(row)) == row


def test_what_was_not_measured_is_absent(a_population):
    row = attack(a_population(train=0), profile=replace(BRISK, attackers=("logistic", "knn"))).as_row()

    assert "base_auc" not in row
    assert set(row["attackers"]) == {"logistic", "knn"}
    assert "fitted_on_train" not in row["attackers"]["knn"]
    assert row["n_train"] == 0


def test_the_same_seed_measures_the_same(a_population):
    users = a_population(signal=0.5)

    once, again, other = (attack(users, seed=seed).as_row() for seed in (3, 3, 4))

    assert once == again
    assert once != other


def test_an_attacker_scores_the_same_whoever_else_runs(a_population):
    users = a_population(signal=0.5)

    alone = attack(users, profile=replace(BRISK, attackers=("svm",)))

    assert alone.attackers["svm"] == attack(users).attackers["svm"]


def test_users_without_a_label_change_nothing_but_the_count(a_population):
    users = a_population(signal=1.0)
    silent = users.users.audit[:20]
    users.labels[silent] = -1
    rest = replace(users, users=Users(users.users.audit[20:], users.users.train))

    assert attack(users) == attack(rest)
    assert attack(users).n == 280


def test_rare_classes_are_merged_and_the_row_says_so(a_population):
    users = a_population(classes=3, signal=2.0)
    users.labels[users.users.audit[users.labels[users.users.audit] == 2][25:]] = 1

    row = attack(users, profile=replace(BRISK, attackers=("logistic",))).as_row()

    assert row["classes"] == [[1], [0, 2]]


def test_a_class_that_train_users_never_show_is_no_obstacle(a_population):
    users = a_population(classes=3, signal=2.0)
    users.labels[users.users.train[users.labels[users.users.train] == 2]] = -1

    found = attack(users)

    assert min(result.auc for result in found.attackers.values()) > 0.7


def test_attackers_fit_on_no_more_users_than_the_profile_allows(a_population):
    users = a_population(signal=1.0)

    found = attack(users, profile=replace(BRISK, fit_rows=60))

    assert found.auc != attack(users).auc
    assert found.n_train == 300


def test_refitting_on_shuffled_labels_agrees_with_the_null(a_population):
    users = a_population(signal=2.5)
    brief = replace(BRISK, attackers=("logistic", "knn"))

    null = refitted_null(users.features, users.labels, users.users, brief, tuned=DEFAULTS, refits=8, seed=0)

    assert len(null) == 8
    assert np.median(null) < attack(users, profile=brief).permutation95


def test_tuning_picks_from_the_grids_and_repeats_itself(a_population):
    users = a_population(exclusive_or=True, audit=300, train=0)

    tuned = tune(users.features, users.labels, seed=0)

    assert tuned == tune(users.features, users.labels, seed=0)
    for name, settings in tuned.settings.items():
        assert all(settings[key] in values for key, values in GRIDS[name].items())
    assert tuned.aucs["svm"] > 0.8
    assert tuned.aucs["logistic"] < 0.65


def test_tuning_some_attackers_leaves_the_defaults_of_the_others(a_population):
    users = a_population(signal=1.0, train=0)

    tuned = tune(users.features, users.labels, seed=0, attackers=("knn",))

    assert set(tuned.aucs) == {"knn"}
    assert tuned.settings["svm"] == DEFAULTS.settings["svm"]


def test_a_quick_look_gives_no_verdict():
    assert PROFILES == {"quick": QUICK, "protected": PROTECTED, "full": FULL}
    assert not QUICK.verdict
    assert not PROTECTED.verdict
    assert FULL.verdict
    assert FULL.attackers == tuple(ATTACKERS)
    assert FULL.bootstrap >= 1_000


def test_an_unknown_attacker_is_refused_with_the_known_ones(a_population):
    users = a_population()

    with pytest.raises(UnknownAttackerError) as refused:
        replace(QUICK, attackers=("oracle",))
    with pytest.raises(UnknownAttackerError):
        tune(users.features, users.labels, seed=0, attackers=("oracle",))

    assert refused.value.known == tuple(ATTACKERS)


def test_a_profile_of_no_folds_is_refused():
    with pytest.raises(OutOfRangeError):
        replace(QUICK, folds=1)


def test_labels_of_another_length_are_refused(a_population):
    users = a_population()

    with pytest.raises(ShapeError) as refused:
        leakage(users.features, users.labels[:-1], users.users, BRISK, attribute="gender", target="fair")

    assert refused.value.shape == (599,)


def test_audit_users_may_not_have_trained(a_population):
    users = a_population()
    both = Users(users.users.audit, np.r_[users.users.train, users.users.audit[:2]])

    with pytest.raises(OverlapError) as refused:
        attack(replace(users, users=both))

    assert refused.value.users == 2


def test_rows_outside_the_features_are_refused(a_population):
    users = a_population()

    with pytest.raises(MeasureError):
        attack(replace(users, users=Users(np.array([0, 600]))))


@pytest.mark.parametrize("classes", [2, 7, 53])
def test_where_there_is_nothing_to_find_few_sets_look_as_if_there_were(a_population, classes):
    alone = replace(BRISK, attackers=("logistic",), bootstrap=1)
    sets = [a_population(classes=classes, audit=120, train=0, width=16, seed=seed) for seed in range(150)]

    found = np.array([attack(each, profile=alone, seed=seed).permutation_p for seed, each in enumerate(sets)])

    assert 0.01 <= (found < 0.05).mean() <= 0.09  # with nothing made up for what is learned inside: .12 - .20
    assert (found < 0.01).mean() <= 0.03
    assert 0.4 <= (found < 0.5).mean() <= 0.6


def test_so_do_few_where_train_and_audit_users_are_taken_together(a_population):
    alone = replace(BRISK, attackers=("logistic",), both=("logistic",), bootstrap=1)
    sets = [a_population(audit=120, train=240, width=16, seed=seed) for seed in range(150)]

    found = np.array([attack(each, profile=alone, seed=seed).permutation_p for seed, each in enumerate(sets)])

    assert (found < 0.05).mean() <= 0.09
    assert 0.4 <= (found < 0.5).mean() <= 0.6


def two_masks(population, strength=0.02, width=24):
    """Fair vectors under two masks that differ by little, and by least along one direction, which tells the label."""
    rng = np.random.default_rng(9)
    n = len(population.labels)
    basis = np.linalg.qr(rng.normal(size=(width, width)))[0]
    loud = rng.normal(size=(n, width - 1)) @ basis[:-1]
    quiet = (2.0 * population.labels[:, None] - 1 + rng.normal(size=(n, 1))) @ basis[-1:]
    first = rng.normal(size=(n, width))
    return [first.astype(np.float32), (first + 0.1 * loud + 0.1 * strength * quiet).astype(np.float32)]


def test_what_two_masks_differ_in_least_is_found_once_they_are_whitened(a_population):
    users = a_population(audit=400, train=600, width=24)
    joined = side_by_side(two_masks(users))

    plain, both = (attack(users, features=features) for features in (joined, Forms((joined, whitened(joined)))))

    assert plain.auc < 0.62
    assert both.auc > 0.8
    assert both.as_row()["attackers"]["logistic"]["form"] == "whitened"
    assert "form" not in plain.as_row()["attackers"]["logistic"]


def test_whitening_hides_nothing_that_is_plain(a_population):
    users = a_population(signal=1.0)
    joined = side_by_side([users.features, users.features])

    plain, both = (attack(users, features=features) for features in (joined, Forms((joined, whitened(joined)))))

    assert both.auc >= plain.auc
    assert both.permutation95 >= plain.permutation95 - 0.005
