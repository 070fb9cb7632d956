"""Bundle versions that were served, the one that is active, and the one that answers a share of the users beside it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select, update

from service.store.database import Transaction
from service.store.schema import models
from service.store.state_cache import StoredModel, arms_of, as_model


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
    """Record that this model answers everybody from now on, and by which API key; False where it is not registered.

    A share of another model ends with that. A change for `Writer`.
    """
    revision = tx.next_revision()
    row = {"activated_us": tx.now_us, "activated_by": by, "activation": revision, "revision": revision}
    if tx.connection.execute(update(models).where(models.c.id == model_id).values(row)).rowcount != 1:
        return False
    _end_share(tx, revision)
    return True


def share_model(
    tx: Transaction, model_id: int, share: float, *, beside: int, salt: bytes, by: str | None = None
) -> bool:
    """Record that this model answers a share of the users from now on, and another one the rest.

    A salt is kept from when a share begins until it ends, however it changes. A model that was served without ever
    being activated is recorded as active with it: every replica and every start must have the same two. A change for
    `Writer`.

    Args:
        tx: the transaction.
        model_id: of a registered model.
        share: above 0, below 1.
        beside: the model that answers the rest.
        salt: where the share begins.
        by: name of the API key.

    Returns:
        False where by now another model is active, or another one has a share; nothing is recorded then.
    """
    revision = tx.next_revision()  # other activations wait from here on
    arms = arms_of(list_models(tx.connection))
    if (arms.active is not None and arms.active.id != beside) or (arms.trial is not None and arms.trial.id != model_id):
        return False
    if arms.active is None:
        activate_model(tx, beside, by)
    salt = salt if arms.trial is None or arms.trial.share_salt is None else arms.trial.share_salt
    row = {"activated_us": tx.now_us, "activated_by": by, "share": share, "share_salt": salt, "revision": revision}
    tx.connection.execute(update(models).where(models.c.id == model_id).values(row))
    return True


def end_share(tx: Transaction, model_id: int) -> bool:
    """Record that this model answers nobody any more, and the active one everybody; False where it has no share.

    A change for `Writer`.
    """
    return _end_share(tx, tx.next_revision(), model_id)


def _end_share(tx: Transaction, revision: int, model_id: int | None = None) -> bool:
    """End the share of a model, or of any."""
    these = models.c.share > 0 if model_id is None else (models.c.share > 0) & (models.c.id == model_id)
    row = {"share": 0.0, "share_salt": None, "revision": revision}
    return tx.connection.execute(update(models).where(these).values(row)).rowcount > 0


def list_models(connection: Connection) -> list[StoredModel]:
    """Every model ever registered, oldest first. A read."""
    return [as_model(row) for row in connection.execute(select(models).order_by(models.c.id))]
