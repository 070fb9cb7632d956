"""Keys derived from EVENHAND_SECRET, one for each purpose, so that none reveals anything of another."""

from __future__ import annotations

import hmac

from service.errors import StartError

MIN_CHARACTERS = 16


def derive_key(secret: str | None, purpose: str) -> bytes | None:
    """A key of 32 bytes for one purpose; None without a secret.

    Raises:
        StartError: the secret is too short to be one. It is not repeated in the message.
    """
    if secret is None:
        return None
    if len(secret) < MIN_CHARACTERS:
        raise StartError(f"EVENHAND_SECRET has {len(secret)} characters; at least {MIN_CHARACTERS} are needed")
    return hmac.digest(secret.encode(), b"evenhand " + purpose.encode(), "sha256")
