"""What every table of a configuration is made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A table of a configuration: read once, and a key that it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")
