"""The interface of fair methods for export, for the card and for serving."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bundle import FairEncoder, Network, Part, SupportedMasks
from training.base.contract import Base


@dataclass(frozen=True)
class Fair:
    """A fitted fair model, as the bundle will describe it."""

    base: Base
    """The base to export: the one given, or a changed one where the method trains it along."""
    encoder: FairEncoder
    network: Network
    """How the manifest names the encoder."""
    parts: list[Part]
    """In row order; empty where users have finished vectors, one for each supported mask."""
    empty_mask: Literal["base", "fair"]
    supported_masks: SupportedMasks = field(default_factory=lambda: SupportedMasks(kind="all"))
    always_protected: list[str] = field(default_factory=list)
    """Attributes whose own labels chose a user's vector: every answer protects them."""
    vectors: NDArray[np.float32] | None = None
    """What users are exported with where it is no function of u: (U, P, d) parts, or (U, K, d) finished vectors."""
    before: Base | None = None
    """The base that was given, where ``base`` has other items than it: what is kept is kept of this one."""
    modal: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    """What the method made of modalities, (U, n) by name: attacked beside the modalities themselves."""
    front: list[dict[str, Any]] = field(default_factory=list)
    """Accuracy and leakage of other strengths, where the configuration asks for them."""
    checked: dict[str, Any] = field(default_factory=dict)
    """The leakage that the configuration demands, what select users show of it, and whether it is met."""
