"""DifFaiRec's denoiser against docs/bundle-format.md, over whole rows of items."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle import Network, build_encoder
from bundle.errors import DamagedError
from bundle.history import HISTORIES
from bundle.networks.identity import identity_parts

ITEMS, D, CLASSES, TOKENS = 6, 3, 3, 2
SIZES = {"layers": [ITEMS, 5, 7, 4, D], "steps": [3], "tokens": [TOKENS], "classes": [CLASSES]}
NETWORK = Network(kind="diffairec", sizes=SIZES)
VARIANCES = np.array([0.1, 0.2, 0.4])
KIND = HISTORIES["diffairec"]
VECTORS = np.random.default_rng(5).standard_normal((ITEMS, D)).astype(np.float32)


def arrays():
    rng = np.random.default_rng(4)
    specs = KIND.contract(NETWORK, D, ITEMS)
    found = {name: rng.standard_normal(spec.shape).astype(np.float32) for name, spec in specs.items()}
    echo = found["table"].T @ VECTORS
    return found | {"variances": VARIANCES.astype(np.float32), "echo": echo, "echo_bias": np.zeros(5, np.float32)}


def an_encoder(**changes):
    return KIND.load(NETWORK, D, arrays() | changes)


def rows(*numbers):
    return np.array(numbers, np.int32)


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def by_the_page(history, weights=None):
    a = {name: value.astype(np.float64) for name, value in arrays().items()}
    x = np.isin(np.arange(ITEMS), history).astype(np.float64)
    if weights is None:
        weights = softmax(x @ a["logits"] / np.sqrt(x.sum()) + a["logits_bias"])
    query = (a["query.weight"] @ np.tanh(weights @ a["conditions"]) + a["query.bias"]).reshape(TOKENS, -1)
    kept = 1 - VARIANCES
    one = kept / np.append(1, kept[:-1])
    x = np.sqrt(kept[-1]) * x
    for step in (2, 1, 0):
        hidden = np.tanh(x @ a["table"] + a["bias"] + a["times"][step])
        value = (a["value.weight"] @ hidden + a["value.bias"]).reshape(TOKENS, -1)
        read = softmax(query @ value.T / np.sqrt(value.shape[1])) @ value
        u = np.tanh(a["last.weight"] @ read.ravel() + a["last.bias"])
        if step:
            before = kept[step - 1]
            x = ((1 - one[step]) * np.sqrt(before) * VECTORS @ u + (1 - before) * np.sqrt(one[step]) * x) / (
                1 - kept[step]
            )
    return u


def test_a_vector_is_that_of_the_page_in_any_company():
    histories = [rows(2), rows(), rows(5, 0, 3), rows(0, 1, 2, 3, 4, 5)]

    together = an_encoder().user_vectors(histories, VECTORS)
    alone = np.concatenate([an_encoder().user_vectors([history], VECTORS) for history in histories])

    np.testing.assert_allclose(
        together, [by_the_page(history) if len(history) else np.zeros(D) for history in histories], rtol=1e-5
    )
    np.testing.assert_allclose(alone, together, rtol=1e-6)


def test_the_classes_can_be_weighed_by_hand():
    weights = np.array([[0, 1, 0], [0.2, 0.3, 0.5]], np.float32)

    found = an_encoder().vectors_under([rows(1, 4), rows(1, 4)], weights)

    np.testing.assert_allclose(found, [by_the_page([1, 4], each) for each in weights], rtol=1e-5)
    assert np.abs(found[0] - found[1]).max() > 1e-2


def test_what_a_history_says_of_the_classes_is_a_distribution():
    weights = an_encoder().weights_of([rows(1, 4), rows()])

    np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
    np.testing.assert_allclose(weights[1], softmax(arrays()["logits_bias"]), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("layers", [ITEMS, 5, 4, D]),
        ("tokens", [3]),
        ("tokens", [8]),
        ("classes", []),
        ("classes", [10_001]),
        ("steps", [1001]),
    ],
)
def test_sizes_that_do_not_fit_are_refused(name, sizes):
    with pytest.raises(DamagedError, match=name):
        KIND.contract(Network(kind="diffairec", sizes=SIZES | {name: sizes}), D, ITEMS)


def test_what_is_written_reads_as_the_same_encoder():
    again = KIND.load(NETWORK, D, an_encoder().arrays())

    assert (again.user_vectors([rows(1, 2)], VECTORS) == an_encoder().user_vectors([rows(1, 2)], VECTORS)).all()


def test_an_identity_encoder_gives_back_what_it_gets():
    encoder = build_encoder(Network(kind="identity", sizes={}), D, ["gender"], identity_parts())
    u = torch.randn(4, D)

    parts = encoder.split(u)

    assert parts.shape == (4, 1, D)
    assert torch.equal(encoder.combine(parts, torch.ones(4, 1, dtype=torch.bool)), u)


def test_an_identity_encoder_has_no_other_parts():
    with pytest.raises(DamagedError, match="parts of an identity encoder"):
        build_encoder(Network(kind="identity", sizes={}), D, ["gender"], [])
