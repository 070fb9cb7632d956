"""Which users a share of them is: those whose keyed hash falls below it.

The hash is uniform, so any share comes out as it was asked for; it is the same in every process and after every start.
A share that grows keeps the users whom it has, as their hashes do not change. The salt is drawn anew for each share
that begins, so that nobody is always among the first to be tried on, and what one comparison did to its users does not
go into the next one. Neither the salt alone (it is in the database, and in its backups) nor EVENHAND_SECRET alone tells
who is in a share. With the salt goes a check, so that a replica with another secret does not deal other users
(docs/decisions/0072).
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import blake2b
from typing import NamedTuple

SPAN = 2.0**64
SALT_BYTES = 16
CHECK_BYTES = 8


class Share(NamedTuple):
    """A share of the users."""

    size: float
    """In (0, 1)."""
    key: bytes
    """Of `key_of`."""

    def has(self, user: str) -> bool:
        """Whether a user is in it."""
        digest = blake2b(user.encode("utf-8", "surrogatepass"), digest_size=8, key=self.key, person=b"share").digest()
        return int.from_bytes(digest, "big") < self.size * SPAN


def new_salt(secret: bytes | None) -> bytes:
    """The salt of a share that begins: `SALT_BYTES` at random, then `CHECK_BYTES` made of these and the secret."""
    drawn = secrets.token_bytes(SALT_BYTES)
    return drawn + _check(_key(secret, drawn))


def key_of(secret: bytes | None, salt: bytes) -> bytes | None:
    """The key of the hash, 32 bytes; None where the share was begun with another secret.

    Args:
        secret: derived from EVENHAND_SECRET; None without one, and then whoever reads the salt can tell who is in.
        salt: of `new_salt`.
    """
    key = _key(secret, salt[:SALT_BYTES])
    return key if hmac.compare_digest(_check(key), salt[SALT_BYTES:]) else None


def _key(secret: bytes | None, drawn: bytes) -> bytes:
    return blake2b(drawn, digest_size=32, key=secret or b"", person=b"share key").digest()


def _check(key: bytes) -> bytes:
    return blake2b(digest_size=CHECK_BYTES, key=key, person=b"share check").digest()
