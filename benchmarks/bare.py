"""The route to be compared with: FastAPI, one typed query, one typed answer of the same size, no work."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query
from pydantic import BaseModel


class Item(BaseModel):
    """One line of a list."""

    item: str
    rank: int
    title: str


class Answer(BaseModel):
    """Ten lines."""

    user: str
    items: list[Item]


app = FastAPI()
ITEMS = [Item(item=str(rank), rank=rank, title=f"Title of item {rank} (1999)") for rank in range(1, 11)]


@app.get("/recommend")
async def recommend(
    user: Annotated[str, Query()], sensitive: Annotated[str | None, Query()] = None, k: Annotated[int, Query()] = 10
) -> Answer:
    """Answer with the same ten items."""
    return Answer(user=user, items=ITEMS[:k])
