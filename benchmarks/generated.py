"""Bundles that everyone can make, of any size; that of MovieLens-1M's is noise, and its lists mean nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from tastes import faithful, seen_nearby, user_and_item_vectors

from bundle import (
    SCHEMA_VERSION,
    Attribute,
    Audit,
    Bundle,
    DataSource,
    Description,
    FairEncoder,
    FoldIn,
    Items,
    Network,
    Part,
    Seen,
    SupportedMasks,
    Users,
    build_encoder,
)
from training.fair.lattice.fit import lattice_parts

USERS, ITEMS, SEEN, D = 6_040, 3_533, 165, 64
CLASSES = {"gender": 2, "age": 7, "occupation": 21}
GENRES = 18
AT_A_TIME = 50_000
"""Users whose parts are made at once."""


Taste = Literal["noise", "clustered", "gaussian"]
Method = Literal["afrl", "lattice"]


@dataclass(frozen=True)
class Size:
    """What a generated bundle holds; without arguments, as much as MovieLens-1M."""

    users: int = USERS
    items: int = ITEMS
    seen: int = SEEN
    """Items that a user has seen; at most, where the taste is not noise."""
    classes: Mapping[str, int] = field(default_factory=lambda: CLASSES)
    """Attribute → how many classes it has."""
    taste: Taste = "noise"
    """Noise: vectors and networks are. Else vectors are clustered or iid Gaussian, and fair vectors near the users'."""
    method: Method = "afrl"
    """A lattice has a part for each attribute, one coordinate an attribute; its weights are noise in any case."""


def generated_bundle(version: int = 1, size: Size | None = None) -> Bundle:
    """64 dimensions; the same version and size give the same bundle."""
    size = size or Size()
    rng = np.random.default_rng(version)
    names = list(size.classes)
    network, parts = _network(size.method, names)
    encoder = build_encoder(network, D, names, parts)
    generator = torch.Generator().manual_seed(version)
    if size.taste == "noise":
        base = rng.normal(size=(size.users, D)).astype(np.float32)
        items = rng.normal(size=(size.items, D)).astype(np.float32)
        seen = _seen_anywhere(rng, size)
    else:
        base, items = user_and_item_vectors(rng, size.users, size.items, D, clustered=size.taste == "clustered")
        seen = seen_nearby(rng, size.users, size.items, size.seen, clustered=size.taste == "clustered")
    if size.taste == "noise" or size.method == "lattice":
        _fill(encoder, generator)
    else:
        faithful(encoder, generator)
    return Bundle(
        description=_description(version, size, network, parts, len(seen.indices)),
        items=Items(
            tuple(map(str, range(size.items))),
            tuple(f"Title of item {row} (1999)" for row in range(size.items)),
            tuple((f"genre {row % GENRES}",) for row in range(size.items)),
            np.bincount(seen.indices, minlength=size.items).astype(np.int64),
            items,
            np.zeros(size.items, np.bool_),
        ),
        users=Users(tuple(map(str, range(size.users))), _split(encoder, base, len(parts))),
        encoder=encoder,
        history=FoldIn((items.T @ items).astype(np.float32), 1.0, 1.0, 1.0),
        seen=seen,
        card={},
        audit=_audit(rng, size, base, seen),
    )


def array_bytes(bundle: Bundle) -> int:
    """Bytes of the arrays that serving reads."""
    weights: int = sum(weight.nbytes for weight in bundle.encoder.state_dict().values())
    arrays = (bundle.items.vectors, bundle.items.popularity, bundle.users.parts, bundle.seen.indptr)
    return weights + sum(array.nbytes for array in (*arrays, bundle.seen.indices))


def _network(method: str, names: list[str]) -> tuple[Network, list[Part]]:
    if method == "lattice":
        sizes = {"coordinates": [1] * len(names), "leading": [1] * len(names), "layers": [32, 8, 16, 2]}
        return Network(kind="dithered_lattice" if len(names) > 1 else "joint_lattice", sizes=sizes), lattice_parts(
            names
        )
    parts = [Part(name="shared", attributes=[], taken="always")]
    parts += [Part(name=name, attributes=[name], taken="none_protected") for name in names]
    wide = len(parts) * D
    return Network(kind="afrl", sizes={"split": [D, 2 * D, D], "combine": [wide, 2 * wide, wide, D]}), parts


def _fill(encoder: FairEncoder, generator: torch.Generator) -> None:
    """Noise for weights and constants; where values have to ascend, they do."""
    with torch.no_grad():
        for name, weight in encoder.state_dict().items():
            weight.normal_(0, 0.05, generator=generator)
            if name.endswith(("knots", "levels", "centres")):
                weight.copy_(weight.sort().values)


def _seen_anywhere(rng: np.random.Generator, size: Size) -> Seen:
    """So many items for each user, any of them; drawn from a number for each pair of the two."""
    seen = np.sort(np.argpartition(rng.random((size.users, size.items)), size.seen, axis=1)[:, : size.seen], axis=1)
    return Seen(np.arange(size.users + 1, dtype=np.int64) * size.seen, seen.astype(np.int32).ravel())


def _split(encoder: FairEncoder, base: NDArray[np.float32], parts: int) -> NDArray[np.float32]:
    split = np.empty((len(base), parts, D), np.float32)
    with torch.no_grad():
        for start in range(0, len(base), AT_A_TIME):
            block = slice(start, start + AT_A_TIME)
            split[block] = encoder.split(torch.from_numpy(base[block])).numpy()
    return split


def _audit(rng: np.random.Generator, size: Size, base: NDArray[np.float32], seen: Seen) -> Audit:
    starts, users = seen.indptr[:-1], size.users
    fewest = int(np.diff(seen.indptr).min())
    return Audit(
        base=base,
        labels=np.stack([rng.integers(count, size=users) for count in size.classes.values()], 1).astype(np.int16),
        validation=np.full(users, -1, np.int32),
        test=seen.indices[starts + rng.integers(fewest, size=users)],
        split=rng.choice(3, size=users, p=(0.6, 0.1, 0.3)).astype(np.uint8),
        folded_in=np.zeros(users, np.bool_),
        positive=np.ones(len(seen.indices), np.bool_),
    )


def _description(version: int, size: Size, network: Network, parts: list[Part], interactions: int) -> Description:
    attributes = [Attribute(name=name, classes=list(map(str, range(count)))) for name, count in size.classes.items()]
    counts = {"users": size.users, "items": size.items, "interactions": interactions}
    return Description(
        schema_version=SCHEMA_VERSION,
        name="generated",
        version=str(version),
        created=datetime(2026, 1, 1, tzinfo=UTC),
        method=size.method,
        mode="strict",
        base_model="pmf",
        dimensions=D,
        attributes=attributes,
        supported_masks=SupportedMasks(kind="all"),
        always_protected=[],
        empty_mask="fair",
        scorer="inner",
        encoder=network,
        history=Network(kind="fold_in", sizes={}),
        reranker=None,
        user_layout="parts",
        parts=parts,
        seeds={"run": version},
        user_split_salt="",
        data=DataSource(source="generated", fingerprint="0" * 64, **counts),
        code_revision="benchmark",
    )
