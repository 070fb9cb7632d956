"""Users in the request log: their ids, or keyed hashes of them where the operator sets a secret."""

from __future__ import annotations

import hmac

PREFIX = "hmac-sha256:"


class Pseudonyms:
    """Maps a user's id to the text that the request log holds for it."""

    def __init__(self, secret: str | None) -> None:
        """Without a secret the log holds ids."""
        self._secret = secret.encode() if secret else None

    def key_of(self, user: str) -> str:
        """The text for this user in new rows: 128 bits of HMAC-SHA256 in hexadecimal, or the id."""
        if self._secret is None:
            return user
        return PREFIX + hmac.digest(self._secret, user.encode(), "sha256")[:16].hex()

    def keys_of(self, user: str) -> tuple[str, ...]:
        """The texts for this user in any row: with a secret also the id, from the time before the secret."""
        return (user,) if self._secret is None else (self.key_of(user), user)

    @property
    def check(self) -> str | None:
        """Tells two secrets apart without revealing them; None without a secret."""
        if self._secret is None:
            return None
        return hmac.digest(self._secret, b"evenhand: which secret is this?", "sha256").hex()
