"""A user vector from a history as a set, against docs/bundle-format.md."""

from __future__ import annotations

import numpy as np
import pytest

from bundle import Network
from bundle.errors import DamagedError
from bundle.history import HISTORIES, history_kind

ITEMS = 6
SIZES = {
    "autorec": {"layers": [ITEMS, 3]},
    "multvae": {"layers": [ITEMS, 5, 2, 3]},
    "diffrec": {"layers": [ITEMS, 5, 3], "steps": [4]},
}
VARIANCES = np.array([0.1, 0.2, 0.4, 0.5])


def network(kind):
    return Network(kind=kind, sizes=SIZES[kind])


def arrays_of(kind):
    rng = np.random.default_rng(4)
    contract = HISTORIES[kind].contract(network(kind), 3, ITEMS)
    arrays = {name: rng.standard_normal(spec.shape).astype(np.float32) for name, spec in contract.items()}
    if kind == "diffrec":
        vectors = item_vectors(constants=1)
        echo = arrays["table"].T @ vectors
        arrays |= {"variances": VARIANCES.astype(np.float32), "echo": echo[:, :3], "echo_bias": echo[:, 3]}
    return arrays


def an_encoder(kind):
    return history_kind(network(kind)).load(network(kind), 3, arrays_of(kind))


def item_vectors(constants=0):
    return np.random.default_rng(5).standard_normal((ITEMS, 3 + constants)).astype(np.float32)


def rows(*numbers):
    return np.array(numbers, np.int32)


def by_the_page(kind, history):
    a = {name: value.astype(np.float64) for name, value in arrays_of(kind).items()}
    read = a["table"][history].sum(0)
    if kind == "autorec":
        return 1 / (1 + np.exp(-(read + a["bias"])))
    if kind == "diffrec":
        return reversed_by_the_page(a, np.isin(np.arange(ITEMS), history))
    x = np.tanh(read / np.sqrt(len(history)) + a["bias"])
    return np.tanh(a["last.weight"] @ (a["mean.weight"] @ x + a["mean.bias"]) + a["last.bias"])


def reversed_by_the_page(a, x):
    """Reverse steps over whole rows, as the paper has them: F2 of docs/algorithms/diffusion.md."""
    kept = np.cumprod(1 - noise_of_steps())
    x = np.sqrt(kept[-1]) * x
    for step in reversed(range(len(kept))):
        u = np.tanh(a["last.weight"] @ np.tanh(a["table"].T @ x + a["bias"] + a["times"][step]) + a["last.bias"])
        answer = item_vectors(constants=1).astype(np.float64) @ np.append(u, 1)
        if step:
            beta = noise_of_steps()[step]
            x = (beta * np.sqrt(kept[step - 1]) * answer + (1 - kept[step - 1]) * np.sqrt(1 - beta) * x) / (
                1 - kept[step]
            )
    return u


def noise_of_steps():
    """β of each step, whose 1 - ᾱ are `VARIANCES`."""
    kept = 1 - VARIANCES
    return 1 - kept / np.append(1, kept[:-1])


@pytest.mark.parametrize("kind", SIZES)
def test_a_vector_is_that_of_the_page_in_any_company(kind):
    histories = [rows(2), rows(), rows(0, 5, 3), rows(0, 1, 2, 3, 4, 5)]

    together = an_encoder(kind).user_vectors(histories, item_vectors())
    alone = np.concatenate([an_encoder(kind).user_vectors([history], item_vectors()) for history in histories])

    expected = [by_the_page(kind, history) if len(history) else np.zeros(3) for history in histories]
    np.testing.assert_allclose(together, expected, rtol=1e-5)
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
        (lambda layers: layers[:1], "history.sizes.layers"),
        (lambda layers: [*layers, 3, 3, 3], "history.sizes.layers"),
        (None, "history.sizes"),
        (lambda layers: [layers[0] + 1, *layers[1:]], "history.sizes.layers, the first"),
        (lambda layers: [*layers[:-1], layers[-1] + 1], "history.sizes.layers, the last"),
    ],
    ids=["too few", "too many", "none", "another first", "another last"],
)
def test_sizes_that_do_not_fit_are_refused(kind, sizes, what):
    changed = {"layers": sizes(SIZES[kind]["layers"])} if sizes else {"heads": [1]}

    with pytest.raises(DamagedError) as refusal:
        HISTORIES[kind].contract(Network(kind=kind, sizes=SIZES[kind] | changed), 3, ITEMS)

    assert refusal.value.what == what


@pytest.mark.parametrize("kind", SIZES)
def test_weights_that_could_overflow_are_refused(kind):
    arrays = arrays_of(kind)
    arrays["table"][0, 0] = -1e7
    encoder = HISTORIES[kind].load(network(kind), 3, arrays)

    with pytest.raises(DamagedError, match="table"):
        encoder.check()


@pytest.mark.parametrize("steps", [[], [2, 2], [1001]])
def test_steps_that_are_none_or_too_many_are_refused(steps):
    sizes = SIZES["diffrec"] | {"steps": steps}

    with pytest.raises(DamagedError, match="steps"):
        HISTORIES["diffrec"].contract(Network(kind="diffrec", sizes=sizes), 3, ITEMS)


@pytest.mark.parametrize("variances", [[0.0, 0.1, 0.2, 0.3], [0.1, 0.2, 0.2, 0.3], [0.1, 0.2, 0.3, 1.0]])
def test_noise_that_does_not_rise_between_0_and_1_is_refused(variances):
    arrays = arrays_of("diffrec") | {"variances": np.array(variances, np.float32)}

    with pytest.raises(DamagedError, match="variances"):
        HISTORIES["diffrec"].load(network("diffrec"), 3, arrays).check()
