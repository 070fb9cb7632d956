"""A bundle of MovieLens-1M's size that everyone can make: taste and weights are noise, so its lists mean nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import torch

from bundle import (
    SCHEMA_VERSION,
    Attribute,
    Audit,
    Bundle,
    DataSource,
    Description,
    FoldIn,
    Items,
    Network,
    Part,
    Seen,
    SupportedMasks,
    Users,
    build_encoder,
)

USERS, ITEMS, SEEN, D = 6_040, 3_533, 165, 64
CLASSES = {"gender": 2, "age": 7, "occupation": 21}
GENRES = 18


def generated_bundle(version: int = 1) -> Bundle:
    """6,040 users, 3,533 items, 996,600 interactions, 64 dimensions, three attributes, an AFRL encoder."""
    rng = np.random.default_rng(version)
    names = list(CLASSES)
    parts = [Part(name="shared", attributes=[], taken="always")]
    parts += [Part(name=name, attributes=[name], taken="none_protected") for name in names]
    wide = len(parts) * D
    network = Network(kind="afrl", sizes={"split": [D, 2 * D, D], "combine": [wide, 2 * wide, wide, D]})
    encoder = build_encoder(network, D, names, parts)
    generator = torch.Generator().manual_seed(version)
    base = torch.from_numpy(rng.normal(size=(USERS, D)).astype(np.float32))
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.normal_(0, 0.05, generator=generator)
        split = encoder.split(base).contiguous().numpy()
    items = rng.normal(size=(ITEMS, D)).astype(np.float32)
    seen = np.sort(np.argpartition(rng.random((USERS, ITEMS)), SEEN, axis=1)[:, :SEEN], axis=1)
    audit = Audit(
        base=base.numpy(),
        labels=np.stack([rng.integers(count, size=USERS) for count in CLASSES.values()], axis=1).astype(np.int16),
        validation=np.full(USERS, -1, np.int32),
        test=seen[np.arange(USERS), rng.integers(SEEN, size=USERS)].astype(np.int32),
        split=rng.choice(3, size=USERS, p=(0.6, 0.1, 0.3)).astype(np.uint8),
        folded_in=np.zeros(USERS, np.bool_),
        positive=np.ones(USERS * SEEN, np.bool_),
    )
    attributes = [Attribute(name=name, classes=list(map(str, range(count)))) for name, count in CLASSES.items()]
    description = Description(
        schema_version=SCHEMA_VERSION,
        name="generated",
        version=str(version),
        created=datetime(2026, 1, 1, tzinfo=UTC),
        method="afrl",
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
        data=DataSource(source="generated", fingerprint="0" * 64, users=USERS, items=ITEMS, interactions=USERS * SEEN),
        code_revision="benchmark",
    )
    return Bundle(
        description=description,
        items=Items(
            tuple(map(str, range(ITEMS))),
            tuple(f"Title of item {row} (1999)" for row in range(ITEMS)),
            tuple((f"genre {row % GENRES}",) for row in range(ITEMS)),
            np.bincount(seen.ravel(), minlength=ITEMS).astype(np.int64),
            items,
        ),
        users=Users(tuple(map(str, range(USERS))), split),
        encoder=encoder,
        history=FoldIn((items.T @ items).astype(np.float32), 1.0, 1.0, 1.0),
        seen=Seen(np.arange(USERS + 1, dtype=np.int64) * SEEN, seen.astype(np.int32).ravel()),
        card={},
        audit=audit,
    )


def array_bytes(bundle: Bundle) -> int:
    """Bytes of the arrays that serving reads."""
    weights: int = sum(weight.nbytes for weight in bundle.encoder.state_dict().values())
    arrays = (bundle.items.vectors, bundle.items.popularity, bundle.users.parts, bundle.seen.indptr)
    return weights + sum(array.nbytes for array in (*arrays, bundle.seen.indices))
