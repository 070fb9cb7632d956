"""Which users a share of them is: those whose keyed hash falls below it.

The hash is uniform, so any share comes out as it was asked for; it is the same in every process and after every start.
A share that grows keeps the users whom it has, as their hashes do not change. The salt is drawn anew for each share
that begins, so that nobody is always among the first to be tried on, and what one comparison did to its users does not
go into the next one. Neither the salt alone (it is in the database, and in its backups) nor EVENHAND_SECRET alone tells
who is in a share (docs/decisions/0072).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

SPAN = 2.0**64


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


def key_of(secret: bytes | None, salt: bytes) -> bytes:
    """The key of the hash, 32 bytes.

    Args:
        secret: derived from EVENHAND_SECRET; None without one, and then whoever reads the salt can tell who is in.
        salt: of the share.
    """
    return blake2b(salt, digest_size=32, key=secret or b"", person=b"share key").digest()
