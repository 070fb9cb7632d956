"""PRISM's reading of a history against its page, one position and one expert at a time, and what callers rely on."""

import math

import numpy as np
import pytest
import torch

from bundle import Network, PrismEncoder, SequenceEncoder
from bundle.errors import DamagedError
from bundle.history import HISTORIES, history_kind

KINDS = ("prism_sasrec", "prism_bert4rec")
D, ITEMS, E = 4, 9, 3
SIZES = {"blocks": [2], "heads": [2], "hidden": [6], "length": [5], "experts": [E], "gate": [7]}


def arrays_of(kind, seed=1):
    """Random weights large enough that every one of them matters."""
    rng = np.random.default_rng(seed)
    contract = PrismEncoder.contract(Network(kind=kind, sizes=SIZES), D, ITEMS)
    arrays = {name: rng.normal(0, 0.7, spec.shape).astype(np.float32) for name, spec in contract.items()}
    return arrays | {"fusion.temperature": np.array([0.6], np.float32)}


def an_encoder(kind, **changed):
    return PrismEncoder.load(Network(kind=kind, sizes=SIZES), D, arrays_of(kind) | changed)


def item_vectors():
    return np.random.default_rng(2).normal(size=(ITEMS, D)).astype(np.float32)


def rows(*items):
    return np.array(items, np.int32)


def gelu(x):
    return np.array([0.5 * value * (1 + math.erf(value / math.sqrt(2))) for value in x])


def read_by_hand(kind, arrays, history):
    """What stands for each item of a history."""
    w = {name: value.astype(np.float64) for name, value in arrays.items()}
    v = item_vectors().astype(np.float64)
    found = []
    for place, item in enumerate(history):
        seen = history[: place + 1] if kind == "prism_sasrec" else history
        asked = [*w["experts"][item], math.sqrt(D) * np.mean([v[each] for each in seen], axis=0)]
        hidden = gelu(w["fusion.gate.weight"] @ np.concatenate(asked) + w["fusion.gate.bias"])
        logits = (w["fusion.weigh.weight"] @ hidden + w["fusion.weigh.bias"]) / w["fusion.temperature"]
        shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        said = w["modal"][item] + sum(share * f for share, f in zip(shares, w["experts"][item], strict=True))
        found.append(v[item] + w["fusion.scale"] * said)
    return np.array(found)


@pytest.mark.parametrize("history", [[3], [3, 1], [0, 8, 4, 2]], ids=len)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_equals_the_page_by_hand(kind, history):
    arrays, encoder = arrays_of(kind), an_encoder(kind)
    by_hand = read_by_hand(kind, arrays, history)

    present = torch.ones(1, len(history), dtype=torch.bool)
    read = encoder.read(np.array([history]), present, item_vectors())[0]
    (u,) = encoder.user_vectors([rows(*history)], item_vectors())

    np.testing.assert_allclose(read, by_hand, rtol=1e-6)
    plain = {name: value for name, value in arrays.items() if not name.startswith(("fusion", "modal", "experts"))}
    sizes = {name: size for name, size in SIZES.items() if name not in ("experts", "gate")}
    below = SequenceEncoder.load(Network(kind=kind.removeprefix("prism_"), sizes=sizes), D, plain)
    table = np.concatenate([item_vectors(), by_hand.astype(np.float32)])
    expected = below.user_vectors([np.arange(ITEMS, ITEMS + len(history), dtype=np.int32)], table)[0]
    np.testing.assert_allclose(u, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_takes_no_part(kind):
    encoder = an_encoder(kind)
    present = torch.tensor([[False, False, True, True, True]])

    one, other = (encoder.read(np.array([[first, first, 3, 1, 7]]), present, item_vectors())[0, 2:] for first in (0, 8))

    torch.testing.assert_close(one, other)
    np.testing.assert_allclose(one, read_by_hand(kind, arrays_of(kind), [3, 1, 7]), rtol=1e-6)


def test_sasrec_never_looks_ahead_and_bert4rec_does():
    present = torch.ones(1, 4, dtype=torch.bool)

    moved = {}
    for kind in KINDS:
        one, other = (
            an_encoder(kind).read(np.array([items]), present, item_vectors())[0]
            for items in ([1, 2, 3, 4], [1, 2, 5, 6])
        )
        moved[kind] = (one - other)[:2].abs().max()

    assert moved["prism_sasrec"] < 1e-12
    assert moved["prism_bert4rec"] > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_a_history_has_the_same_vector_whatever_else_is_asked_for(kind):
    rng = np.random.default_rng(3)
    histories = [rng.integers(ITEMS, size=size).astype(np.int32) for size in rng.integers(0, 12, size=100)]
    encoder, items = an_encoder(kind), item_vectors()

    together = encoder.user_vectors(histories, items)
    alone = np.concatenate([encoder.user_vectors([history], items) for history in histories])

    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-6)
    assert not together[[len(history) == 0 for history in histories]].any()
    assert encoder.user_vectors([], items).shape == (0, D)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_item_is_read_another_way_by_another_reader(kind):
    """The weights are the reader's."""
    encoder, present = an_encoder(kind), torch.ones(ITEMS, 3, dtype=torch.bool)

    one, other = (
        encoder.read(np.array([[*before, item] for item in range(ITEMS)]), present, item_vectors())[:, -1]
        for before in ([1, 2], [4, 5])
    )

    assert (one - other).abs().amax(1).max() > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_reads_as_the_same_encoder(kind):
    encoder, items = an_encoder(kind), item_vectors()

    arrays = encoder.arrays()
    again = history_kind(encoder.network).load(encoder.network, D, arrays)

    contract = PrismEncoder.contract(encoder.network, D, ITEMS)
    assert {name: list(value.shape) for name, value in arrays.items()} == {
        n: spec.shape for n, spec in contract.items()
    }
    assert {value.dtype for value in arrays.values()} == {np.dtype("float32")}
    history = [rows(1, 2, 3)]
    np.testing.assert_array_equal(again.user_vectors(history, items), encoder.user_vectors(history, items))


@pytest.mark.parametrize(
    ("sizes", "what"),
    [
        ({"heads": [3]}, "history.sizes.heads"),
        ({"experts": [65]}, "history.sizes.experts"),
        ({"experts": []}, "history.sizes.experts"),
        ({"gate": [1, 1]}, "history.sizes.gate"),
        ({"colour": [1]}, "history.sizes"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", KINDS)
def test_sizes_that_do_not_fit_are_refused(kind, sizes, what):
    with pytest.raises(DamagedError) as refusal:
        HISTORIES[kind].contract(Network(kind=kind, sizes=SIZES | sizes), D, 9)

    assert refusal.value.what == what


def test_a_plain_kind_has_no_experts():
    with pytest.raises(DamagedError) as refusal:
        HISTORIES["sasrec"].contract(Network(kind="sasrec", sizes=SIZES), D, 9)

    assert refusal.value.what == "history.sizes"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "value"), [("experts", -1e7), ("modal", 1e7), ("fusion.scale", 1e7), ("fusion.temperature", 0)]
)
def test_values_that_leave_some_history_without_a_vector_are_refused(kind, name, value):
    damaged = arrays_of(kind)[name].copy()
    damaged.flat[0] = value

    with pytest.raises(DamagedError, match=name.replace(".", r"\.")):
        an_encoder(kind, **{name: damaged}).check()


@pytest.mark.parametrize("kind", KINDS)
def test_the_largest_weights_and_items_still_give_numbers(kind):
    largest = {name: np.sign(value) * np.float32(1e6) for name, value in arrays_of(kind).items()}
    encoder = an_encoder(kind, **largest | {"fusion.temperature": np.array([2e-6], np.float32)})
    items = np.sign(item_vectors()) * np.finfo(np.float32).max

    encoder.check()

    assert np.isfinite(encoder.user_vectors([rows(0, 1, 2, 3, 4)], items)).all()
