"""Dimensions that are 1 for every user: outside the encoder and the fold-in, and said by the manifest."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bundle import FoldIn, NoHistory, build_encoder, left_alone, read_bundle
from bundle.errors import BundleError, UnsupportedError


def test_an_encoder_acts_on_the_other_dimensions(a_bundle):
    inner = a_bundle().encoder
    d = a_bundle().description.dimensions
    u = torch.randn(5, d, generator=torch.Generator().manual_seed(1))
    wide = torch.cat([u, torch.ones(5, 2)], dim=1)
    mask = torch.zeros(5, inner.attribute_count, dtype=torch.bool)
    mask[:, 0] = True
    encoder = left_alone(inner, 2)

    parts = encoder.split(wide)
    fair = encoder.combine(parts, mask)

    assert torch.equal(parts[..., :d], inner.split(u))
    assert torch.equal(fair[:, :d], inner.combine(inner.split(u), mask))
    assert torch.equal(fair[:, d:], torch.ones(5, 2))
    assert left_alone(inner, 0) is inner


def test_the_encoder_of_a_manifest_has_the_weights_of_its_kind_for_fewer_dimensions(a_bundle):
    description = a_bundle().description
    names, d = description.attribute_names, description.dimensions

    encoder = build_encoder(description.encoder, d + 1, names, description.parts, constants=1)

    plain = build_encoder(description.encoder, d, names, description.parts)
    assert {name: value.shape for name, value in encoder.state_dict().items()} == {
        f"inner.{name}": value.shape for name, value in plain.state_dict().items()
    }


def test_a_fold_in_solves_for_the_other_dimensions_and_says_1_for_the_rest():
    rng = np.random.default_rng(2)
    items = rng.normal(size=(9, 4)).astype(np.float32)
    gram = items.T @ items
    wide = np.hstack([items, rng.normal(size=(9, 1))]).astype(np.float32)
    histories = [np.array([1, 5], np.int32), np.array([], np.int32)]
    fold_in = FoldIn(gram, 2.0, 1.0, 1.0)

    folded = fold_in.user_vectors(histories, wide)

    assert np.array_equal(folded[:, :4], fold_in.user_vectors(histories, items))
    assert folded[:, 4].tolist() == [1, 0]


def test_no_history_is_read_where_there_is_none():
    with pytest.raises(UnsupportedError, match="none"):
        NoHistory().user_vectors([np.array([1], np.int32)], np.zeros((2, 3), np.float32))


@pytest.mark.parametrize("constants", [-1, 1000])
def test_more_constant_dimensions_than_there_are_dimensions_are_refused(constants, a_bundle_folder, forger):
    folder = a_bundle_folder()
    forger.edit(folder, lambda manifest: manifest.update(constant_dimensions=constants))

    with pytest.raises(BundleError, match=r"constant.dimensions"):
        read_bundle(folder)


def test_a_manifest_without_the_field_has_none(a_bundle_folder, forger):
    folder = a_bundle_folder()
    forger.as_of(folder, 3)
    forger.edit(folder, lambda manifest: manifest.pop("constant_dimensions"))

    assert read_bundle(folder).description.constant_dimensions == 0
