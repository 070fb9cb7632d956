"""What one would write first: a FastAPI handler that runs the encoder with torch and asks FAISS, request by request.

The same bundle, query, list and answer as Evenhand's; no log, no keys, no batches, no exact order, no check of the
query's words. `app` leaves it to FastAPI's threads, as its documentation wants it for work that blocks; `blocking` does
it in the event loop, which nothing else can use meanwhile and which is quicker while nothing else wants it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import faiss
import numpy as np
import torch
from bare import Item
from fastapi import FastAPI, HTTPException, Query
from pydantic import BaseModel

from bundle import read_bundle

BUNDLE = read_bundle(Path(os.environ["NAIVE_BUNDLE"]))
ROW = {user: row for row, user in enumerate(BUNDLE.users.ids)}
assert BUNDLE.audit is not None
VECTORS = BUNDLE.audit.base
"""User vectors (U, d), which the encoder is run on."""
INDEX = faiss.IndexFlatIP(BUNDLE.description.dimensions)
INDEX.add(np.ascontiguousarray(BUNDLE.items.vectors))
app, blocking = FastAPI(), FastAPI()


class Answer(BaseModel):
    """A list."""

    user: str
    sensitive: list[str]
    items: list[Item]


User = Annotated[str, Query()]
Sensitive = Annotated[str, Query()]
K = Annotated[int, Query(ge=1, le=1000)]


@app.get("/recommend")
def recommend(user: User, sensitive: Sensitive = "", k: K = 10) -> Answer:
    """Top-N items for one user, without what the attributes named in ``sensitive`` bring."""
    row = ROW.get(user)
    if row is None:
        raise HTTPException(404, "unknown user")
    named = sensitive.split(",") if sensitive else []
    mask = [name in named for name in BUNDLE.description.attribute_names]
    with torch.no_grad():
        parts = BUNDLE.encoder.split(torch.tensor(VECTORS[row]).unsqueeze(0))
        fair = BUNDLE.encoder.combine(parts, torch.tensor([mask])).numpy()
    seen = set(BUNDLE.seen.of(row).tolist())
    _, found = INDEX.search(fair, k + len(seen))
    kept = [item for item in found[0].tolist() if item not in seen][:k]
    ids, titles = BUNDLE.items.ids, BUNDLE.items.titles
    items = [Item(item=ids[item], rank=rank, title=titles[item]) for rank, item in enumerate(kept, 1)]
    return Answer(user=user, sensitive=named, items=items)


@blocking.get("/recommend")
async def recommend_blocking(user: User, sensitive: Sensitive = "", k: K = 10) -> Answer:
    """The same."""
    return recommend(user, sensitive, k)
