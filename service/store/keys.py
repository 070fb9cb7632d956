"""API keys: shown once when they are made, stored as SHA-256. 256 random bits need no slow hash."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Collection, Mapping

from sqlalchemy import Connection, case, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.store.database import Transaction
from service.store.errors import KeyNameTakenError
from service.store.schema import keys
from service.store.state_cache import Key, as_key

PREFIX = "evh_"
"""Start of every key, so that a scanner for secrets recognises one."""


def create_key(tx: Transaction, name: str, scopes: Collection[str], expires_us: int | None = None) -> str:
    """Make a key. A change for `Writer`, or for a command.

    Returns:
        The secret; nothing can show it again.

    Raises:
        KeyNameTakenError: names are used once.
    """
    secret = PREFIX + secrets.token_urlsafe(32)
    row = {"name": name, "digest": digest_of(secret), "scopes": ",".join(sorted(scopes)), "created_us": tx.now_us}
    try:
        tx.connection.execute(insert(keys).values(**row, expires_us=expires_us, revision=tx.next_revision()))
    except IntegrityError:
        raise KeyNameTakenError(name) from None
    return secret


def revoke_key(tx: Transaction, name: str) -> bool:
    """Revoke a key at once and for ever; False where there is none, or it is revoked already. A change for `Writer`."""
    valid = (keys.c.name == name) & keys.c.revoked_us.is_(None)
    row = {"revoked_us": tx.now_us, "revision": tx.next_revision()}
    return tx.connection.execute(update(keys).where(valid).values(row)).rowcount == 1


def retire_key(tx: Transaction, name: str, expires_us: int) -> bool:
    """Let a valid key expire at a time, or earlier as it would; False where there is none. A change for `Writer`."""
    valid = (keys.c.name == name) & keys.c.revoked_us.is_(None)
    later = case((keys.c.expires_us < expires_us, keys.c.expires_us), else_=expires_us)
    row = {"expires_us": later, "revision": tx.next_revision()}
    return tx.connection.execute(update(keys).where(valid).values(row)).rowcount == 1


def list_keys(connection: Connection) -> list[Key]:
    """Every key, revoked ones too, oldest first. A read."""
    return [as_key(row) for row in connection.execute(select(keys).order_by(keys.c.id))]


def find_key(known: Mapping[bytes, Key], secret: str, now_us: int) -> Key | None:
    """The valid key with this secret, from `StateCache.keys`; None where there is none, it expired or was revoked.

    What is looked up is a digest: the time that takes tells nothing of any other secret.
    """
    digest = digest_of(secret)
    key = known.get(digest)
    if key is None or not hmac.compare_digest(key.digest, digest):
        return None
    return key if key.is_valid(now_us) else None


def digest_of(secret: str) -> bytes:
    """The stored form of a secret."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()
