"""MMGCN against its page: dense matrices give the same vectors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.training.features import ITEMS, POSITIVES, USERS, learns_from_its_loss, modality
from training.base.mmgcn import Means, Mmgcn, MmgcnConfig
from training.base.modal_inputs import ModalInputs

CPU = torch.device("cpu")
MODALITIES = modality("plot", 5), modality("sound", 3, lacking=(1, 6))
CONFIG = MmgcnConfig(dimensions=3, feature_dimensions=4)


def built(config=CONFIG):
    features = tuple(torch.from_numpy(np.nan_to_num(each.values)) for each in MODALITIES)
    present = torch.from_numpy(np.column_stack([each.present for each in MODALITIES]))
    known = ModalInputs(MODALITIES, features, present, ITEMS).of_items()
    model = Mmgcn(Means(POSITIVES, ITEMS, CPU), known, USERS, config, seed=4)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(generator=torch.Generator().manual_seed(3))
    return model


def leaky(x):
    return np.where(x > 0, x, 0.01 * x)


def applied(layer, x):
    bias = 0 if layer.bias is None else layer.bias.detach().numpy()
    return x @ layer.weight.detach().numpy().T + bias


def by_the_page(model, layers):
    """(U + I, d)."""
    indptr, indices = POSITIVES
    edges = np.zeros((USERS + ITEMS, USERS + ITEMS))
    for user in range(USERS):
        edges[user, USERS + indices[indptr[user] : indptr[user + 1]]] = 1
    edges += edges.T
    means = edges / np.maximum(edges.sum(1, keepdims=True), 1)
    ids = torch.cat([model.users, model.items]).detach().numpy()
    total = 0
    for place, each in enumerate(MODALITIES):
        x = applied(model.maps[place], np.nan_to_num(each.values[:ITEMS]))
        x = np.concatenate([model.tastes[place].detach().numpy(), x])
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        x[USERS:][~each.present[:ITEMS]] = 0
        for layer in model.layers[place * layers : (place + 1) * layers]:
            heard = leaky(applied(layer.neighbours, means @ x))
            x = leaky(applied(layer.heard, heard) + leaky(applied(layer.own, x)) + ids)
        total = total + x / len(MODALITIES)
    return total


@pytest.mark.parametrize("layers", [1, 2])
def test_vectors_are_those_of_the_page(layers):
    model = built(CONFIG.model_copy(update={"layers": layers}))

    found = np.concatenate(model.vectors())

    np.testing.assert_allclose(found, by_the_page(model, layers), rtol=1e-4, atol=1e-5)


def test_everything_trained_learns_from_the_loss():
    learns_from_its_loss(built())


def test_means_are_over_neighbours_and_zeros_without_any():
    users, items = torch.ones(USERS, 1), torch.arange(1.0, ITEMS + 1)[:, None]

    to_users, to_items = Means(POSITIVES, ITEMS, CPU)(users, items)

    assert to_users[:, 0].tolist() == pytest.approx([1.5, 5, 0, (1 + 2 + 5) / 3])
    assert to_items[:, 0].tolist() == pytest.approx([1, 1, 0, 0, 1, 0])
