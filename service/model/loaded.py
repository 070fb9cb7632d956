"""One bundle in memory, ready to be searched. Built as a whole or not at all, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from time import perf_counter
from typing import cast

import numpy as np
from numpy.typing import NDArray

from balance.shares import ItemShares
from balance.targets import TargetError
from bundle import Bundle, BundleError, Manifest, Pause, go_on, read_bundle
from measure.scoring import to_unit
from service.balance import BalancePolicy
from service.errors import StartError
from service.index import (
    CandidateRanker,
    Device,
    Index,
    IndexReport,
    Kind,
    Neighbours,
    PopularOrder,
    Ranker,
    Sample,
    device_bytes,
    open_index,
)
from service.model.balanced import Targets, item_shares
from service.model.encoder import DeviceError, UserEncoder, UserVector
from service.model.item_lookup import ItemLookup
from service.model.kept_vectors import KeptVectors
from service.model.personal import PersonalTargets

HISTORY = 5
"""Items of a history that stands in for a user."""


@dataclass(frozen=True)
class Model:
    """One bundle in memory with its encoder and index."""

    bundle: Bundle
    content_hash: str
    encoder: UserEncoder
    vectors: KeptVectors
    """The fair vectors of requests, by that encoder."""
    index: Index
    index_report: IndexReport
    """The kind of index, and why it was chosen."""
    ranker: Ranker
    """Turns fair vectors into ranked lists."""
    item_lookup: ItemLookup
    device_note: str | None
    """Why something is on the CPU although a GPU was looked for, in one line; None where nothing is."""
    device_bytes: Mapping[str, int]
    """Memory that it holds on a GPU: kind of data → bytes; empty where it holds none."""
    loading_ms: Mapping[str, float]

    def index_facts(self) -> dict[str, object]:
        """For the log: the kind of index, why it was chosen, and why something is not on a GPU that was looked for."""
        return self.index_report.facts() | ({"not_on_gpu": self.device_note} if self.device_note else {})

    @property
    def reads_histories(self) -> bool:
        """Whether a list can be made from items alone: for sessions, and for users whom the bundle lacks."""
        return self.encoder.can_split and self.bundle.history.readable

    @cached_property
    def neighbours(self) -> Neighbours:
        """Finds similar items; the first use reads all vectors."""
        varying = self.bundle.description.dimensions - self.bundle.description.constant_dimensions
        return Neighbours(self.bundle.items.vectors[:, :varying])

    @cached_property
    def popular(self) -> PopularOrder:
        """Items by popularity; the first use orders them."""
        return PopularOrder(self.bundle.items.popularity)

    @cached_property
    def item_shares(self) -> ItemShares:
        """The groups of its items, for balanced lists; the first use lays them out."""
        return item_shares(self.bundle.items.groups)

    @cached_property
    def personal(self) -> PersonalTargets | None:
        """What makes a target for each user; None where the bundle brings nothing for that."""
        stored, described = self.bundle.balance, self.bundle.description.balance
        if stored is None or described is None:
            return None
        try:
            return PersonalTargets.of(self.item_shares, described, stored, self.bundle.description.mask)
        except TargetError as error:
            raise StartError(f"bundle {self.name}/{self.version} is refused: {error}") from error

    def targets(self, policy: BalancePolicy) -> Targets:
        """What lists may be balanced towards.

        Raises:
            StartError: it lacks item groups of the operator's target.
        """
        return Targets(self.item_shares, policy, self.personal)

    @property
    def name(self) -> str:
        """The bundle's name."""
        return self.bundle.description.name

    @property
    def version(self) -> str:
        """The bundle's version."""
        return self.bundle.description.version


def load_model(
    path: Path,
    device: Device,
    kind: Kind = "auto",
    *,
    milvus_url: str | None = None,
    trust_stamp: bool = True,
    pause: Pause = go_on,
) -> Model:
    """Read a bundle and make it searchable.

    Args:
        path: folder of a version; or of a bundle, and then its newest version is taken.
        device: the device that the index searches on. The encoder uses the same GPU if it fits (docs/decisions/0027).
        kind: the kind of index.
        milvus_url: address of Milvus, for that kind.
        trust_stamp: skip hashes and values if the same files have passed these checks before.
        pause: called between pieces of the work; to build an index is one piece.

    Raises:
        StartError: the bundle is refused or cannot be served, or the device is not there; one line.
    """
    started = perf_counter()
    try:
        bundle = read_bundle(path, trust_stamp=trust_stamp, pause=pause)
    except BundleError as error:
        raise StartError(f"bundle {path} is refused: {error}") from error
    read = perf_counter()
    manifest = cast(Manifest, bundle.description)  # a bundle read from a folder has files and their hash
    cosine = manifest.scorer == "cosine"
    vectors = to_unit(bundle.items.vectors) if cosine else bundle.items.vectors
    encoder = UserEncoder(bundle.encoder, bundle.users, unit_length=cosine)
    pause()
    can_ask = bool(bundle.users.ids) or encoder.can_split
    draw = partial(_sample, bundle, vectors, encoder) if can_ask and bundle.items.ids else None
    opened = open_index(vectors, device, kind, sample=draw, milvus_url=milvus_url, pause=pause)
    pause()
    ranker = opened.ranker if bundle.reranker is None else CandidateRanker(opened.ranker, bundle.reranker)
    item_lookup = ItemLookup(bundle.items.row, bundle.items.groups)
    _ = bundle.users.row  # built here, so that the first request does not wait for it
    pause()
    indexed = perf_counter()
    encoder, note = _beside(opened.index, encoder, opened.note)
    times_s = {"read_ms": read - started, "index_ms": indexed - read, "encoder_ms": perf_counter() - indexed}
    return Model(
        bundle,
        manifest.content_hash,
        encoder,
        KeptVectors(encoder, manifest.dimensions),
        opened.index,
        opened.report,
        ranker,
        item_lookup,
        note,
        {**device_bytes(opened.index, vectors), **encoder.device_bytes},
        {name: 1e3 * seconds for name, seconds in times_s.items()},
    )


def _beside(index: Index, encoder: UserEncoder, note: str | None) -> tuple[UserEncoder, str | None]:
    """The encoder, on the GPU if the index is on one; and why something is not on a GPU that was looked for."""
    if index.device != "cuda":
        return encoder, note and f"index and encoder: {note}"
    try:
        encoder = encoder.on("cuda")
    except DeviceError as error:
        return encoder, f"encoder: {error}"
    return encoder, encoder.note and f"users' parts: {encoder.note}"


def _sample(bundle: Bundle, vectors: NDArray[np.float32], encoder: UserEncoder, size: int) -> Sample:
    """Requests that this bundle answers, each under a supported mask; the same requests every time.

    They come from users all over the bundle; where it has none, from histories of items whose vector is not zero.
    """
    description, rng = bundle.description, np.random.default_rng(0)
    users: list[int | UserVector]
    if bundle.users.ids:
        rows = np.unique(np.linspace(0, len(bundle.users.ids) - 1, size).astype(np.int64)).tolist()
        users, seen = rows, [bundle.seen.of(user) for user in rows]
    else:
        known = np.flatnonzero(vectors.any(axis=1)).astype(np.int32)
        seen = [rng.choice(known, min(HISTORY, len(known)), replace=False) for _ in range(size if len(known) else 0)]
        users = [*bundle.history.user_vectors(seen, bundle.items.vectors)]
    listed = description.supported_masks.masks
    masks = []
    for _ in users:
        drawn = {name for name in description.attribute_names if rng.random() < 0.5} | {*description.always_protected}
        masks.append(description.mask(listed[rng.integers(len(listed))] if listed else drawn))
    fair, usable = encoder.finite_fair_vectors(users, masks)  # a request for another one fails, a start does not
    return Sample(fair, [seen[place] for place in usable])
