"""The sequence encoders against attention written out with loops, and what they promise to whoever calls them."""

import math

import numpy as np
import pytest
import torch

from bundle import Network, SequenceEncoder
from bundle.errors import DamagedError
from bundle.history import HISTORIES, history_kind

KINDS = ("sasrec", "bert4rec")
D, ITEMS = 4, 9
SIZES = {"blocks": [2], "heads": [2], "hidden": [6], "length": [5]}


def arrays_of(kind, sizes=SIZES, seed=1):
    """Random weights large enough that every one of them matters."""
    rng = np.random.default_rng(seed)
    contract = SequenceEncoder.contract(Network(kind=kind, sizes=sizes), D, 9)
    return {name: rng.normal(0, 0.7, spec.shape).astype(np.float32) for name, spec in contract.items()}


def an_encoder(kind, **changes):
    return SequenceEncoder.load(Network(kind=kind, sizes=SIZES | changes), D, arrays_of(kind, SIZES | changes))


def item_vectors():
    return np.random.default_rng(2).normal(size=(ITEMS, D)).astype(np.float32)


def rows(*items):
    return np.array(items, np.int32)


# --- by hand -------------------------------------------------------------------------------------------------------


def norm(x, weight, bias):
    return (x - x.mean()) / math.sqrt(x.var() + 1e-5) * weight + bias


def gelu(x):
    return np.array([0.5 * value * (1 + math.erf(value / math.sqrt(2))) for value in x])


def states_by_hand(kind, arrays, vectors, heads=2):
    """Hidden states of a list of vectors, one position, one head and one pair at a time."""
    w = {name: value.astype(np.float64) for name, value in arrays.items()}
    length = len(vectors)
    x = [math.sqrt(D) * v + p for v, p in zip(vectors, w["positions"][-length:], strict=True)]
    for block in range(2):
        own = {name.removeprefix(f"blocks.{block}."): v for name, v in w.items() if name.startswith(f"blocks.{block}.")}
        normal = [norm(state, own["attention_norm.weight"], own["attention_norm.bias"]) for state in x]
        after = []
        for i in range(length):
            read = []
            for head in range(heads):
                part = slice(head * D // heads, (head + 1) * D // heads)
                query = (own["query.weight"] @ normal[i] + own["query.bias"])[part]
                seen = [j for j in range(length) if kind == "bert4rec" or j <= i]
                both = [own["key_value.weight"] @ normal[j] + own["key_value.bias"] for j in seen]
                score = np.array([query @ kv[:D][part] for kv in both]) / math.sqrt(D / heads)
                weight = np.exp(score - score.max())
                read.append(sum(share * kv[D:][part] for share, kv in zip(weight / weight.sum(), both, strict=True)))
            y = x[i] + own["join.weight"] @ np.concatenate(read) + own["join.bias"]
            wide = own["widen.weight"] @ norm(y, own["hidden_norm.weight"], own["hidden_norm.bias"]) + own["widen.bias"]
            active = np.maximum(wide, 0) if kind == "sasrec" else gelu(wide)
            after.append(y + own["narrow.weight"] @ active + own["narrow.bias"])
        x = after
    return [norm(state, w["norm.weight"], w["norm.bias"]) for state in x]


@pytest.mark.parametrize("history", [[3], [3, 1], [0, 8, 4, 2, 2], [5, 6, 7, 0, 8, 4, 2]], ids=len)
@pytest.mark.parametrize("kind", KINDS)
def test_a_user_vector_equals_attention_by_hand(kind, history):
    items, arrays = item_vectors(), arrays_of(kind)
    newest = [items[row].astype(np.float64) for row in history]
    newest = newest[-5:] if kind == "sasrec" else [*newest[-4:], arrays["mask"].astype(np.float64)]

    by_hand = states_by_hand(kind, arrays, newest)[-1]

    np.testing.assert_allclose(an_encoder(kind).user_vectors([rows(*history)], items)[0], by_hand, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_every_state_equals_attention_by_hand_and_padding_takes_no_part(kind):
    items = item_vectors()
    vectors = torch.from_numpy(items[[0, 0, 3, 1, 7]]).double()[None]
    present = torch.tensor([[False, False, True, True, True]])

    states = an_encoder(kind)(vectors, present)[0, 2:]
    disturbed = an_encoder(kind)(vectors + 100 * ~present[..., None], present)[0, 2:]

    np.testing.assert_allclose(states, states_by_hand(kind, arrays_of(kind), items[[3, 1, 7]]), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(states, disturbed)


def test_sasrec_never_looks_ahead_and_bert4rec_does():
    vectors = torch.from_numpy(item_vectors()[[0, 3, 1, 7, 4]]).double()[None]
    present = torch.ones(1, 5, dtype=torch.bool)
    later = vectors.clone()
    later[:, 3:] = 0

    moved = {kind: an_encoder(kind)(vectors, present) - an_encoder(kind)(later, present) for kind in KINDS}

    assert moved["sasrec"][:, :3].abs().max() < 1e-12 < moved["sasrec"][:, 3:].abs().min()
    assert moved["bert4rec"].abs().amax(-1).min() > 1e-3


# --- what callers rely on ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_history_has_the_same_vector_whatever_else_is_asked_for(kind):
    rng = np.random.default_rng(3)
    histories = [rng.integers(ITEMS, size=size).astype(np.int32) for size in rng.integers(0, 12, size=300)]
    encoder, items = an_encoder(kind), item_vectors()

    together = encoder.user_vectors(histories, items)
    alone = np.concatenate([encoder.user_vectors([history], items) for history in histories])

    assert together.dtype == np.float32
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
    assert not together[[len(history) == 0 for history in histories]].any()
    assert together[[len(history) > 0 for history in histories]].any(axis=1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_newest_items_count_and_their_order_does(kind):
    encoder, items = an_encoder(kind), item_vectors()
    window = encoder.items

    long, short, turned = encoder.user_vectors(
        [rows(8, 8, 0, 1, 2, 3, 4), rows(8, 8, 0, 1, 2, 3, 4)[-window:], rows(8, 8, 0, 1, 2, 4, 3)], items
    )

    assert window == {"sasrec": 5, "bert4rec": 4}[kind]
    np.testing.assert_array_equal(long, short)
    assert np.abs(long - turned).max() > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_no_histories_give_no_vectors(kind):
    assert an_encoder(kind).user_vectors([], item_vectors()).shape == (0, D)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_reads_as_the_same_encoder(kind):
    encoder, items = an_encoder(kind), item_vectors()

    arrays = encoder.arrays()
    again = history_kind(encoder.network).load(encoder.network, D, arrays)

    assert {name: list(value.shape) for name, value in arrays.items()} == {
        name: spec.shape for name, spec in SequenceEncoder.contract(encoder.network, D, 9).items()
    }
    assert {value.dtype for value in arrays.values()} == {np.dtype("float32")}
    history = [rows(1, 2, 3)]
    np.testing.assert_array_equal(again.user_vectors(history, items), encoder.user_vectors(history, items))


@pytest.mark.parametrize(
    ("sizes", "what"),
    [
        ({"heads": [3]}, "history.sizes.heads"),
        ({"length": [1]}, "history.sizes.length"),
        ({"length": [2**24]}, "history.sizes.length"),
        ({"blocks": [2**24]}, "history.sizes.blocks"),
        ({"blocks": [1, 1]}, "history.sizes.blocks"),
        ({"hidden": []}, "history.sizes.hidden"),
        ({"colour": [1]}, "history.sizes"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
def test_sizes_that_do_not_fit_are_refused(kind, sizes, what):
    with pytest.raises(DamagedError) as refusal:
        HISTORIES[kind].contract(Network(kind=kind, sizes=SIZES | sizes), D, 9)

    assert refusal.value.what == what


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_could_overflow_are_refused(kind):
    arrays = arrays_of(kind)
    arrays["blocks.1.widen.weight"][0, 0] = -1e7
    encoder = SequenceEncoder.load(Network(kind=kind, sizes=SIZES), D, arrays)

    with pytest.raises(DamagedError, match=r"blocks.1.widen.weight"):
        encoder.check()


@pytest.mark.parametrize("kind", KINDS)
def test_the_largest_weights_and_items_still_give_numbers(kind):
    arrays = {name: np.sign(value) * np.float32(1e6) for name, value in arrays_of(kind).items()}
    encoder = SequenceEncoder.load(Network(kind=kind, sizes=SIZES), D, arrays)
    items = np.sign(item_vectors()) * np.finfo(np.float32).max

    encoder.check()

    assert np.isfinite(encoder.user_vectors([rows(0, 1, 2, 3, 4)], items)).all()
