"""A user vector from a history as a set, against docs/bundle-format.md."""

from __future__ import annotations

import numpy as np
import pytest

from bundle import Network
from bundle.errors import DamagedError
from bundle.history import HISTORIES, history_kind

ITEMS = 6
SIZES = {"autorec": [ITEMS, 3], "multvae": [ITEMS, 5, 2, 3]}


def network(kind):
    return Network(kind=kind, sizes={"layers": SIZES[kind]})


def arrays_of(kind):
    rng = np.random.default_rng(4)
    contract = HISTORIES[kind].contract(network(kind), SIZES[kind][-1], ITEMS)
    return {name: rng.standard_normal(spec.shape).astype(np.float32) for name, spec in contract.items()}


def an_encoder(kind):
    return history_kind(network(kind)).load(network(kind), SIZES[kind][-1], arrays_of(kind))


def item_vectors(constants=0):
    return np.random.default_rng(5).standard_normal((ITEMS, 3 + constants)).astype(np.float32)


def rows(*numbers):
    return np.array(numbers, np.int32)


def by_the_page(kind, history):
    a = {name: value.astype(np.float64) for name, value in arrays_of(kind).items()}
    read = a["table"][history].sum(0)
    if kind == "autorec":
        return 1 / (1 + np.exp(-(read + a["bias"])))
    x = np.tanh(read / np.sqrt(len(history)) + a["bias"])
    return np.tanh(a["last.weight"] @ (a["mean.weight"] @ x + a["mean.bias"]) + a["last.bias"])


@pytest.mark.parametrize("kind", SIZES)
def test_a_vector_is_that_of_the_page_in_any_company(kind):
    histories = [rows(2), rows(), rows(0, 5, 3), rows(0, 1, 2, 3, 4, 5)]

    together = an_encoder(kind).user_vectors(histories, item_vectors())
    alone = np.concatenate([an_encoder(kind).user_vectors([history], item_vectors()) for history in histories])

    expected = [by_the_page(kind, history) if len(history) else np.zeros(3) for history in histories]
    np.testing.assert_allclose(together, expected, rtol=1e-6)
    np.testing.assert_allclose(alone, together, rtol=1e-6)
    assert together.dtype == np.float32


@pytest.mark.parametrize("kind", SIZES)
def test_neither_order_nor_repetition_plays_a_part(kind):
    one, other = an_encoder(kind).user_vectors([rows(4, 0, 2), rows(0, 4, 2, 4)], item_vectors())

    assert (one == other).all()


@pytest.mark.parametrize("kind", SIZES)
def test_constant_dimensions_are_ones_where_there_is_a_history(kind):
    vectors = an_encoder(kind).user_vectors([rows(1), rows()], item_vectors(constants=2))

    assert vectors[:, 3:].tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize("kind", SIZES)
def test_no_histories_give_no_vectors(kind):
    assert an_encoder(kind).user_vectors([], item_vectors()).shape == (0, 3)


@pytest.mark.parametrize("kind", SIZES)
def test_what_is_written_reads_as_the_same_encoder(kind):
    encoder, history = an_encoder(kind), [rows(1, 2, 3)]

    again = history_kind(encoder.network).load(encoder.network, 3, encoder.arrays())

    assert (again.user_vectors(history, item_vectors()) == encoder.user_vectors(history, item_vectors())).all()


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize(
    ("sizes", "what"),
    [
        ({"layers": [ITEMS]}, "history.sizes.layers"),
        ({"layers": [ITEMS, 3, 3, 3, 3, 3]}, "history.sizes.layers"),
        ({"heads": [ITEMS]}, "history.sizes"),
        ("first", "history.sizes.layers, the first"),
        ("last", "history.sizes.layers, the last"),
    ],
    ids=str,
)
def test_sizes_that_do_not_fit_are_refused(kind, sizes, what):
    if isinstance(sizes, str):
        layers = list(SIZES[kind])
        layers[0 if sizes == "first" else -1] += 1
        sizes = {"layers": layers}

    with pytest.raises(DamagedError) as refusal:
        HISTORIES[kind].contract(Network(kind=kind, sizes=sizes), 3, ITEMS)

    assert refusal.value.what == what


@pytest.mark.parametrize("kind", SIZES)
def test_weights_that_could_overflow_are_refused(kind):
    arrays = arrays_of(kind)
    arrays["table"][0, 0] = -1e7
    encoder = HISTORIES[kind].load(network(kind), 3, arrays)

    with pytest.raises(DamagedError, match="table"):
        encoder.check()
