"""DRAGON against its page: dense matrices give the same vectors, neighbours and cold items."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import training.base.dragon as module
from tests.training.features import COLD, ITEMS, POSITIVES, USERS, learns_from_its_loss, modality
from training.base.dragon import Dragon, DragonConfig, users_alike
from training.base.item_graph import FrozenItemGraph
from training.base.lightgcn import Graph
from training.base.modal_inputs import ModalInputs
from training.base.sparse import Product
from training.data.split import hold_out

CPU = torch.device("cpu")
MODALITIES = modality("plot", 5, lacking=(6,)), modality("sound", 3, lacking=(1, 6))
CONFIG = DragonConfig(dimensions=5, layers=2, neighbours=2, user_neighbours=1, hidden=4)
WIDTHS = (3, 2)


def inputs():
    features = tuple(torch.from_numpy(np.nan_to_num(each.values)) for each in MODALITIES)
    present = torch.from_numpy(np.column_stack([each.present for each in MODALITIES]))
    return ModalInputs(MODALITIES, features, present, ITEMS)


def built(config=CONFIG):
    graph = Graph(POSITIVES, ITEMS, config.layers, CPU)
    of_items = FrozenItemGraph(MODALITIES, ITEMS, config.neighbours, CPU)
    of_users = Product(users_alike(POSITIVES, ITEMS, config.user_neighbours), CPU)
    model = Dragon(graph, of_items, of_users, inputs(), USERS, config, seed=4)
    with torch.no_grad():
        model.attention.normal_(generator=torch.Generator().manual_seed(5))
    return model


def unit(x):
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def directions(model):
    """(U, d) and (I + C, d) by the page (D2)."""
    users = np.hstack([unit(part) for part in np.split(model.users.detach().numpy(), [WIDTHS[0]], axis=1)])
    parts = []
    for each, map_ in zip(MODALITIES, model.maps, strict=True):
        first, last = map_[0], map_[2]
        x = np.nan_to_num(each.values) @ first.weight.detach().numpy().T + first.bias.detach().numpy()
        x = np.where(x > 0, x, 0.01 * x) @ last.weight.detach().numpy().T + last.bias.detach().numpy()
        parts.append(unit(x) * each.present[:, None])
    return users, np.hstack(parts)


def along_interactions(model, layers=2):
    """(U, d) and (I, d): the sum of the layers 0 … K (D3)."""
    indptr, indices = POSITIVES
    edges = np.zeros((USERS, ITEMS))
    for user in range(USERS):
        edges[user, indices[indptr[user] : indptr[user + 1]]] = 1
    step = edges / np.sqrt(np.maximum(edges.sum(1, keepdims=True) * edges.sum(0), 1))
    users, items = directions(model)
    items = items[:ITEMS]
    totals = [users, items]
    for _ in range(layers):
        users, items = step @ items, step.T @ users
        totals = [totals[0] + users, totals[1] + items]
    return totals


def items_alike(model):
    """(I + C, I) dense."""
    dense = np.zeros((ITEMS + COLD, ITEMS))
    np.add.at(dense, (np.arange(ITEMS + COLD)[:, None], model._of_items.rows.numpy()), model._of_items.weights.numpy())
    return dense


@pytest.mark.parametrize("steps", [1, 2])
def test_vectors_are_those_of_the_page(steps):
    model = built(CONFIG.model_copy(update={"item_layers": steps}))
    users, items = along_interactions(model)
    attention = np.exp(model.attention.detach().numpy())
    shares = len(MODALITIES) * attention / attention.sum(1, keepdims=True)
    users = users * np.repeat(shares, WIDTHS, axis=1)
    alike = users_alike(POSITIVES, ITEMS, 1).toarray()

    found_users, found_items = model.vectors()

    np.testing.assert_allclose(found_users, users + alike @ users, rtol=1e-4, atol=1e-5)
    graph = np.linalg.matrix_power(items_alike(model)[:ITEMS], steps)
    np.testing.assert_allclose(found_items, items + graph @ items, rtol=1e-4, atol=1e-5)


def test_a_cold_item_has_its_own_features_and_what_its_neighbours_hear():
    model = built()
    _, own = directions(model)
    _, items = along_interactions(model)
    near = items_alike(model)[ITEMS:]

    found = model.cold_vectors()

    expected = own[ITEMS:] + near @ (items - own[:ITEMS]) + near @ items
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert not found[0].any(), "nothing is known of it"
    assert found[1].any()


def test_everything_trained_learns_from_the_loss():
    learns_from_its_loss(built())


def test_the_gradient_of_a_product_is_that_of_the_dense_one():
    matrix = users_alike(POSITIVES, ITEMS, 2)
    table = torch.randn(USERS, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float32)
    ours, dense = table.clone().requires_grad_(), table.clone().requires_grad_()

    (Product(matrix, CPU)(ours) ** 2).sum().backward()
    ((torch.from_numpy(matrix.toarray()) @ dense) ** 2).sum().backward()

    torch.testing.assert_close(ours.grad, dense.grad)


def test_users_alike_have_the_most_items_in_common_and_weigh_their_shares():
    """User 0 has {0, 1}, 1 has {4}, 2 nothing, 3 has {0, 1, 4}."""
    alike = users_alike(POSITIVES, ITEMS, 2).toarray()

    np.testing.assert_allclose(alike[3], [2 / 3, 1 / 3, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(alike[0], [0, 0, 0, 1])
    assert not alike[2].any()


def test_who_is_alike_is_the_same_however_many_are_counted_at_once(small_data, monkeypatch):
    held_out, items = hold_out(small_data), len(small_data.items)
    positives = held_out.train_indptr, held_out.train_indices
    whole = users_alike(positives, items, 7).toarray()

    monkeypatch.setattr(module, "PAIRS_AT_ONCE", 5_000)
    parts = users_alike(positives, items, 7).toarray()

    assert (parts == whole).all()
    indptr, indices = positives
    dense = np.zeros((len(small_data.users), items))
    dense[np.repeat(np.arange(len(dense)), np.diff(indptr)), indices] = 1
    common = dense @ dense.T
    np.fill_diagonal(common, -1)
    least = np.sort(common, axis=1)[:, -7:].sum(1)
    np.testing.assert_array_equal(np.where(whole > 0, common, 0).sum(1), least)
