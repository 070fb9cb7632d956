"""SASRec and BERT4Rec: what they are asked, what they are told, and what they hand on."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from bundle import SequenceEncoder
from measure.accuracy import ndcg_at, sampled_ranks
from measure.scoring import Scorer
from training.base.sequence.config import Bert4recConfig, SasrecConfig
from training.base.sequence.losses import binary_loss, softmax_loss
from training.base.sequence.stage import SequenceModel, SequenceStage
from training.base.sequence.windows import Histories
from training.base.train import train_base
from training.data.split import hold_out, split_users
from training.experiment import Experiment
from training.negatives import NegativeSampler

CPU = torch.device("cpu")
CONFIGS = {"sasrec": SasrecConfig, "bert4rec": Bert4recConfig}
KINDS, LOSSES = tuple(CONFIGS), ("positions", "binary", "last")
SMALL = {"dimensions": 8, "length": 6, "hidden": 8, "negatives": 16, "batch": 32, "learning_rate": 1e-2}


def a_config(kind, **changes):
    return CONFIGS[kind](**(SMALL | {"schedule": {"epochs": 2}} | changes))


def an_experiment(dataset, mode="strict", new_users=0.1):
    split = split_users(dataset.users, "salt")
    return Experiment(dataset, hold_out(dataset), split, mode, 5, new_users, "salt")


def csr(histories):
    indptr = np.cumsum([0, *(len(history) for history in histories)]).astype(np.int64)
    return indptr, np.array([item for history in histories for item in history], np.int32)


def a_stage(kind, histories, items=50, **changes):
    config = a_config(kind, **changes)
    model = SequenceModel(items, config, seed=1)
    train = csr(histories)
    return SequenceStage(model, config, Histories(*train, CPU), NegativeSampler(*train, items, CPU), lambda: 0.0), model


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


HISTORIES = [[10, 11, 12, 13], [20], [], [30, 31, 32, 33, 34, 35, 36, 37, 38, 39], [40, 41]]


# --- windows -------------------------------------------------------------------------------------------------------


def test_windows_lie_side_by_side_from_a_shifted_end_and_miss_nothing_before_it():
    length, seen = 4, set()
    histories = Histories(*csr(HISTORIES), CPU)
    for seed in range(200):
        windows = histories.draw(length, rng(seed))
        for user in (0, 3, 4):
            ends = windows.ends[windows.users == user] - windows.starts[windows.users == user]
            last, n = int(ends[0]), len(HISTORIES[user])
            assert ends.tolist() == list(range(last, 1, -length))
            seen.add((user, n - last))
        assert set(windows.users.tolist()) == {0, 3, 4}

    assert seen == {(0, 0), (0, 1), (0, 2), (3, 0), (3, 1), (3, 2), (3, 3), (4, 0)}


def test_a_cut_window_holds_the_items_before_its_end_padded_on_the_left():
    histories = Histories(*csr(HISTORIES), CPU)

    windows = histories.moments()
    rows, present = histories.cut(windows, 3)

    found = [row[here].tolist() for row, here in zip(rows, present, strict=True)]
    assert found == [h[max(0, end - 3) : end] for h in HISTORIES for end in range(2, len(h) + 1)]
    assert present.sort(dim=1).values.equal(present)


def test_every_window_is_in_one_batch_among_others_of_its_length():
    histories = [list(range(n)) for n in np.random.default_rng(1).integers(2, 30, size=500)]
    windows = Histories(*csr(histories), CPU).draw(10, rng())

    batches = list(windows.batches(16, 10, rng(1)))

    assert sorted(torch.cat([batch.users * 1000 + batch.ends for batch in batches]).tolist()) == sorted(
        (windows.users * 1000 + windows.ends).tolist()
    )
    spread = [(b.ends - b.starts).clamp(max=10).max() - (b.ends - b.starts).clamp(max=10).min() for b in batches]
    assert max(len(batch.users) for batch in batches) == 16
    assert np.mean(spread) < 3


# --- what is asked, and what is told -------------------------------------------------------------------------------


def test_sasrec_answers_at_each_position_with_the_item_that_came_next():
    stage, model = a_stage("sasrec", HISTORIES, dropout=0.0)
    windows = Histories(*csr(HISTORIES), CPU).moments()

    answers = stage.answers(windows, rng())

    vectors = model.items.detach().numpy()
    place = 0
    for user, end in zip(windows.users.tolist(), (windows.ends - windows.starts).tolist(), strict=True):
        window = HISTORIES[user][max(0, end - 7) : end]
        mine = slice(place, place + len(window) - 1)
        assert answers.items[mine].tolist() == window[1:]
        assert set(answers.users[mine].tolist()) == {user}
        # the state at the end is what serving computes for the items before, none of which is the answer
        served = model.encoder.user_vectors([np.array(window[:-1], np.int32)], vectors)[0]
        place += len(window) - 1
        np.testing.assert_allclose(answers.states[place - 1].detach(), served, atol=1e-5)
    assert place == len(answers.items)


def test_bert4rec_answers_at_masks_with_what_they_hide_and_sees_the_rest():
    stage, model = a_stage("bert4rec", HISTORIES, dropout=0.0, masked=0.0)
    windows = Histories(*csr(HISTORIES), CPU).moments()

    answers = stage.answers(windows, rng())

    ends = (windows.ends - windows.starts).tolist()
    before = [
        np.array(HISTORIES[user][max(0, end - 6) : end - 1], np.int32)
        for user, end in zip(windows.users, ends, strict=True)
    ]
    served = model.encoder.user_vectors(before, model.items.detach().numpy())
    assert answers.items.tolist() == [HISTORIES[user][end - 1] for user, end in zip(windows.users, ends, strict=True)]
    np.testing.assert_allclose(answers.states.detach(), served, atol=1e-5)


def test_bert4rec_masks_the_configured_share_besides_the_last_and_no_padding():
    histories = [[1, 2, 3]] * 1000 + [[1, 2, 3, 4, 5, 6]] * 1000
    stage, _ = a_stage("bert4rec", histories, masked=0.3)
    windows = Histories(*csr(histories), CPU).moments()
    full = windows[
        torch.nonzero((windows.ends - windows.starts == 6) | ((windows.users < 1000) & (windows.ends % 3 == 0)))[:, 0]
    ]

    answers = stage.answers(full, rng())

    last = torch.where(answers.users < 1000, 3, 6)
    assert (answers.items == last).sum() == 2000
    assert (answers.items != last).sum() == pytest.approx(0.3 * (2000 + 5000), rel=0.06)
    assert (answers.items <= last).all()


def test_what_a_mask_hides_does_not_reach_its_answer():
    both = []
    for hidden in (12, 47):
        stage, _ = a_stage("bert4rec", [[10, 11, hidden]], dropout=0.0, masked=0.0)
        windows = Histories(*csr([[10, 11, hidden]]), CPU).moments()
        both.append(stage.answers(windows[torch.tensor([1])], rng()))

    torch.testing.assert_close(both[0].states, both[1].states)
    assert [answers.items.tolist() for answers in both] == [[12], [47]]


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_of_the_reference_asks_once_for_every_moment(kind):
    stage, model = a_stage(kind, HISTORIES, dropout=0.0, loss="last")
    windows = Histories(*csr(HISTORIES), CPU).moments()

    answers = stage.answers(windows, rng())

    prefixes = [np.array(h[:end], np.int32) for h in HISTORIES for end in range(1, len(h))]
    served = model.encoder.user_vectors(prefixes, model.items.detach().numpy())
    np.testing.assert_allclose(answers.states.detach(), served, atol=1e-5)
    assert answers.items.tolist() == [item for h in HISTORIES for item in h[1:]]
    assert stage.epoch(rng()) == len(prefixes)


def test_the_softmax_is_over_the_positive_and_the_allowed_others():
    answers, positives, others = torch.randn(3, 4), torch.randn(3, 4), torch.randn(5, 4)
    allowed = torch.tensor([[True] * 5, [True, False, True, False, True], [False] * 5])

    loss = softmax_loss(answers, positives, others, allowed)

    each = []
    for row in range(3):
        own = float(answers[row] @ positives[row])
        rest = [float(answers[row] @ others[k]) for k in range(5) if allowed[row, k]]
        each.append(np.log(np.exp([own, *rest]).sum()) - own)
    assert loss.item() == pytest.approx(np.mean(each), rel=1e-5)


def test_the_binary_loss_is_that_of_the_paper():
    answers, positives, negatives = torch.randn(3, 3, 4)

    loss = binary_loss(answers, positives, negatives)

    liked = torch.sigmoid((answers * positives).double().sum(-1))
    other = torch.sigmoid((answers * negatives).double().sum(-1))
    assert loss.item() == pytest.approx(-(liked.log() + (1 - other).log()).mean().item(), rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_loss_learns_which_item_follows_which(kind, loss):
    draw = np.random.default_rng(4)
    histories = [[(start + step) % 30 for step in range(8)] for start in draw.integers(30, size=300)]
    masks = {"masked": 0.0} if kind == "bert4rec" else {}
    stage, model = a_stage(kind, histories, items=30, loss=loss, negatives=29, length=5, dropout=0.0, **masks)

    for epoch in range(3 if loss == "last" else 12):
        stage.epoch(rng(epoch))

    vectors = model.items.detach().numpy()
    u = model.encoder.user_vectors([np.arange(start, start + 4, dtype=np.int32) for start in range(25)], vectors)
    best = (u @ vectors.T).argsort(axis=1)[:, -3:]
    assert np.mean([start + 4 in best[start] for start in range(25)]) > 0.4  # chance: 3 of 30


# --- a trained base ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=KINDS)
def trained(request, small_data, tmp_path_factory):
    experiment = an_experiment(small_data)
    config = a_config(request.param, contexts_per_user=3, schedule={"epochs": 6, "validate_every": 2})
    return experiment, config, train_base(experiment, config, tmp_path_factory.mktemp("base") / "a.safetensors", CPU)


def test_vectors_are_what_serving_makes_of_a_users_history(trained):
    experiment, _, base = trained
    served = SequenceEncoder.load(base.history.network, 8, base.history.arrays())

    for row in (0, 57, int(np.flatnonzero(experiment.folded_in)[0])):
        before_test = experiment.held_out.history(row, with_validation=True)
        training = experiment.held_out.history(row)
        assert len(before_test) == len(training) + 1
        u = served.user_vectors([before_test, training], base.items)
        np.testing.assert_allclose([base.users[row], base.selection[row]], u, atol=1e-6)


def test_contexts_are_what_serving_makes_of_the_items_before(trained):
    experiment, _, base = trained
    contexts = base.contexts

    assert (np.diff(contexts.indptr) == 1).all()
    assert len(contexts.vectors) == len(contexts.users) == len(contexts.indices)
    for user in np.unique(contexts.users)[::20]:
        history = experiment.held_out.history(user)
        mine = contexts.users == user
        count = min(3, len(history) - 1)
        moments = [(place + 1) * (len(history) - 1) // count for place in range(count)]
        assert contexts.indices[mine].tolist() == history[moments].tolist()
        before = base.history.user_vectors([history[:moment] for moment in moments], base.items)
        np.testing.assert_allclose(contexts.vectors[mine], before, atol=1e-6)


def test_new_users_have_vectors_but_no_contexts(trained):
    experiment, _, base = trained
    new = np.flatnonzero(experiment.folded_in)

    assert len(new)
    assert not np.isin(base.contexts.users, new).any()
    assert base.users[new].any(axis=1).all()


def test_zero_contexts_a_user_means_all_of_them(small_data, tmp_path):
    experiment = an_experiment(small_data)

    base = train_base(experiment, a_config("sasrec", contexts_per_user=0), tmp_path / "a.safetensors", CPU)

    indptr, indices = experiment.train
    later = np.concatenate([indices[a + 1 : b] for a, b in pairwise(indptr)])
    np.testing.assert_array_equal(base.contexts.indices, later)


def test_a_seeded_run_repeats_and_a_broken_one_goes_on_as_if_unbroken(trained, tmp_path, broken_off):
    experiment, config, once = trained

    again = train_base(experiment, config, tmp_path / "again.safetensors", CPU)
    unfinished = config.model_copy(update={"schedule": config.schedule.model_copy(update={"epochs": 2})})
    train_base(experiment, unfinished, tmp_path / "resumed.safetensors", CPU)
    broken_off(tmp_path / "resumed.safetensors")
    resumed = train_base(experiment, config, tmp_path / "resumed.safetensors", CPU)

    for other in (again, resumed):
        assert np.array_equal(once.items, other.items)
        assert np.array_equal(once.users, other.users)
        assert np.array_equal(once.contexts.vectors, other.contexts.vectors)


@pytest.mark.parametrize("kind", KINDS)
def test_the_base_of_the_others_does_not_depend_on_what_new_users_did(small_data, tmp_path, kind):
    experiment = an_experiment(small_data)
    new = experiment.folded_in
    mine = new[np.repeat(np.arange(len(small_data.users)), np.diff(small_data.indptr))]
    turned = np.where(mine, len(small_data.items) - 1 - small_data.indices, small_data.indices).astype(np.int32)
    changed = an_experiment(replace(small_data, indices=turned, positive=small_data.positive | mine))

    one = train_base(experiment, a_config(kind), tmp_path / "a.safetensors", CPU)
    other = train_base(changed, a_config(kind), tmp_path / "b.safetensors", CPU)

    assert np.array_equal(one.items, other.items)
    assert np.array_equal(one.users[~new], other.users[~new])
    assert not np.array_equal(one.users[new], other.users[new])


@pytest.mark.parametrize("kind", KINDS)
def test_it_ranks_better_than_chance_by_far(small_data, tmp_path, kind):
    experiment = an_experiment(small_data, new_users=0.0)
    config = a_config(kind, schedule={"epochs": 20, "validate_every": 2, "patience": 4})

    base = train_base(experiment, config, tmp_path / "a.safetensors", CPU)

    # against the rest of 80 items, chance is .16 or so
    ranks = sampled_ranks(base.users, Scorer(base.items), experiment.held_out.test, experiment.validation_negatives)
    assert np.nanmean(ndcg_at(10, ranks)) > 0.2


def test_heads_that_do_not_divide_the_dimensions_are_refused():
    with pytest.raises(ValueError, match="3 heads do not divide 8"):
        a_config("sasrec", heads=3)
