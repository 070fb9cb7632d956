"""Items that are never recommended while hidden."""

from __future__ import annotations

from sqlalchemy import Connection, select

from service.store.database import Transaction
from service.store.schema import hidden_items
from service.store.upsert import upsert


def hide_item(tx: Transaction, item: str, hidden: bool) -> bool:
    """Hide an item, or show it again; False where nothing changes. A change for `Writer`."""
    revision = tx.next_revision()
    known = select(hidden_items.c.hidden).where(hidden_items.c.item_id == item)
    if bool(tx.connection.execute(known).scalar_one_or_none()) == hidden:
        return False
    row = {"hidden": hidden, "changed_us": tx.now_us, "revision": revision}
    upsert(tx.connection, hidden_items, {"item_id": item}, row)
    return True


def hidden_ids(connection: Connection) -> list[str]:
    """Items that are hidden now. A read."""
    hidden = select(hidden_items.c.item_id).where(hidden_items.c.hidden).order_by(hidden_items.c.item_id)
    return list(connection.execute(hidden).scalars())
