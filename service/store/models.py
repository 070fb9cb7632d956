"""Bundle versions that were served, and the one that is served now."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select, update

from service.store.database import Transaction
from service.store.schema import models
from service.store.state_cache import StoredModel, as_model


def register_model(
    tx: Transaction, name: str, version: str, content_hash: str, attributes: Sequence[str]
) -> StoredModel:
    """Register a bundle version; log records name it by its id. A change for `Writer`, or for start-up.

    Args:
        tx: the transaction.
        name: of the bundle.
        version: of the bundle.
        content_hash: the manifest's; the same name and version with other content is another model.
        attributes: in manifest order.
    """
    revision = tx.next_revision()  # other registrations wait from here on
    same = (models.c.name == name) & (models.c.version == version) & (models.c.content_hash == content_hash)
    row = tx.connection.execute(select(models).where(same)).one_or_none()
    if row is None:
        facts = {"name": name, "version": version, "content_hash": content_hash, "attributes": ",".join(attributes)}
        new = insert(models).values(**facts, known_us=tx.now_us, activation=0, revision=revision)
        row = tx.connection.execute(new.returning(models)).one()
    return as_model(row)


def activate_model(tx: Transaction, model_id: int, by: str | None = None) -> bool:
    """Record that this model is served from now on, and by which API key; False where it is not registered.

    A change for `Writer`.
    """
    revision = tx.next_revision()
    row = {"activated_us": tx.now_us, "activated_by": by, "activation": revision, "revision": revision}
    return tx.connection.execute(update(models).where(models.c.id == model_id).values(row)).rowcount == 1


def list_models(connection: Connection) -> list[StoredModel]:
    """Every model ever registered, oldest first. A read."""
    return [as_model(row) for row in connection.execute(select(models).order_by(models.c.id))]
