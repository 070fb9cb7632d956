"""The attributes that a configuration names."""

from __future__ import annotations

from collections.abc import Sequence

from training.errors import ConfigError


def named(attributes: Sequence[str], protect: Sequence[str]) -> tuple[str, ...]:
    """Attributes to protect, in manifest order; all of them where none is named.

    Raises:
        ConfigError: one is none of the data's.
    """
    for name in protect:
        if name not in attributes:
            raise ConfigError("fair.protect", "is no attribute", value=name, allowed=", ".join(attributes))
    return tuple(name for name in attributes if not protect or name in protect)
