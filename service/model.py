"""What start-up loaded: one bundle, ready to be searched. Built whole or not at all, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal, cast

from bundle import Bundle, BundleError, Manifest, read_bundle
from measure.scoring import to_unit
from service.catalogue import Catalogue
from service.encoder import UserEncoder
from service.errors import StartError
from service.index import CandidateRanker, Index, Neighbours, PopularOrder, Ranker, open_index


@dataclass(frozen=True)
class Model:
    """One bundle in memory with its encoder and index."""

    bundle: Bundle
    content_hash: str
    encoder: UserEncoder
    index: Index
    ranker: Ranker | CandidateRanker
    """Fair vectors in, what to show out."""
    neighbours: Neighbours
    popular: PopularOrder
    catalogue: Catalogue
    device_note: str | None
    """Why the index is on the CPU although a GPU was looked for."""
    loading_ms: Mapping[str, float]

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.bundle.description.name

    @property
    def version(self) -> str:
        """The bundle's version."""
        return self.bundle.description.version


def load_model(path: Path, device: Literal["auto", "cpu", "cuda"], *, trust_stamp: bool = True) -> Model:
    """Read a bundle and make it searchable.

    Args:
        path: folder of a version, or of a bundle, whose newest version is taken.
        device: where the index searches.
        trust_stamp: skip hashes and values where these very files passed before.

    Raises:
        StartError: the bundle is refused, cannot be served, or the device is not there; one line.
    """
    started = perf_counter()
    try:
        bundle = read_bundle(path, trust_stamp=trust_stamp)
    except BundleError as error:
        raise StartError(f"bundle {path} is refused: {error}") from error
    read = perf_counter()
    manifest = cast(Manifest, bundle.description)  # what is read from a folder has its files and their hash
    cosine = manifest.scorer == "cosine"
    vectors = to_unit(bundle.items.vectors) if cosine else bundle.items.vectors
    index, note = open_index(vectors, device)
    encoder = UserEncoder(bundle.encoder, bundle.users.parts, unit_length=cosine)
    inner = Ranker(index, vectors)
    ranker = inner if bundle.reranker is None else CandidateRanker(inner, bundle.reranker)
    catalogue = Catalogue(bundle.items.row, bundle.items.groups)
    orders = Neighbours(bundle.items.vectors), PopularOrder(bundle.items.popularity)
    _ = bundle.users.row  # built on first use; the first request should not pay
    loading_ms = {"read_ms": 1e3 * (read - started), "index_ms": 1e3 * (perf_counter() - read)}
    return Model(bundle, manifest.content_hash, encoder, index, ranker, *orders, catalogue, note, loading_ms)

