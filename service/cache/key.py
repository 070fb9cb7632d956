"""Everything that a list depends on: two requests with the same key have the same list."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import NamedTuple

DIGEST_BYTES = 20

Option = bool | int | float | str | tuple[str, ...] | None
"""One parameter of a request, as JSON has it; a tuple names things, in any order, and repeated ones count once."""


class AnswerKey(NamedTuple):
    """The inputs of one list. How it is shown (titles, scores) is not part of them."""

    content_hash: str
    """Of the bundle."""
    route: str
    """The kind of list; kinds never share an answer."""
    user: str
    mask: tuple[bool, ...]
    """The resolved requirement, in manifest order."""
    options: tuple[Option, ...]
    """Other parameters of the request; each kind of list has its own, in a fixed order."""
    fallback: str | None
    after: int | None
    """Item row that a cursor continues after."""
    user_revision: int
    """Of the user's state: requirement, interactions, erasure."""
    hidden_revision: int
    """Of the hidden items."""
    balance: str | None = None
    """The resolved target and weight; None for none."""

    def digest(self, secret: bytes = b"") -> bytes:
        """20 bytes that identify the key; with a secret, they reveal nothing of the user to anybody without it."""
        parts = (
            self.content_hash,
            self.route,
            self.user,
            self.mask,
            [sorted({*option}) if isinstance(option, tuple) else option for option in self.options],
            self.fallback,
            self.after,
            self.user_revision,
            self.hidden_revision,
            self.balance,
        )
        # JSON, because different lists of numbers, texts, flags and nulls never give the same text.
        return blake2b(json.dumps(parts).encode(), digest_size=DIGEST_BYTES, key=secret).digest()
