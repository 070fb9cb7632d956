"""What an answer depends on, all of it: two requests with the same key have the same list."""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import NamedTuple

DIGEST_BYTES = 20

Option = bool | int | float | str | tuple[str, ...] | None
"""One parameter of a request, as JSON has it; a tuple names things, in any order, and repeated ones count once."""


class AnswerKey(NamedTuple):
    """One list, as far as its making goes. How it is shown (titles, scores) is not part of it."""

    content_hash: str
    """Of the bundle."""
    route: str
    """Which kind of list: answers of different routes never meet."""
    user: str
    mask: tuple[bool, ...]
    """The resolved requirement, in manifest order."""
    options: tuple[Option, ...]
    """What else was asked; each kind of list has its own, in a fixed order."""
    fallback: str | None
    after: int | None
    """Item row that a cursor continues after."""
    user_revision: int
    """Of all that is stored of the user: requirement, interactions, erasure."""
    hidden_revision: int
    """Of the hidden items."""

    def digest(self, secret: bytes = b"") -> bytes:
        """20 bytes that stand for the key and, with a secret, tell nobody without it anything of the user."""
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
        )
        # JSON, because different lists of numbers, texts, flags and nothing never look the same in it.
        return blake2b(json.dumps(parts).encode(), digest_size=DIGEST_BYTES, key=secret).digest()
