"""The target that one list is balanced towards, and why: from the request, else from the operator.

A target made from a user's history shows what the mask took out: while anything is protected it is refused, whoever
protects it. So it is never the operator's default.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from service.errors import BalanceRevealsError, InvalidQueryError, StartError

SharedTarget = Literal["uniform", "catalogue", "target"]
"""Every item group alike, as in the catalogue, or the operator's own shares, the same for everybody; where the operator
has none, `target` is the bundle's: for each user a function of the fair vector."""
DefaultTarget = Literal[SharedTarget, "quotas"]
"""Beside these, what item groups were shown too little of by now: the same for everybody at a time."""
BalanceTarget = Literal[DefaultTarget, "history"]
AskedBalance = Literal[BalanceTarget, "none"]
BalanceSource = Literal["request", "default"]
DEFAULT_WEIGHT = 0.5
MOST_GROUPS = 10_000
"""Groups that the operator's file may name."""


class Divergence(NamedTuple):
    """KL of a list from its target over item groups, in nats (docs/algorithms/balance.md, B2)."""

    before: float
    """Of the ranking."""
    after: float
    """Of the list that was made of it."""


class ExposureCount(NamedTuple):
    """Exposure of item groups that the request log has counted."""

    digest: str
    exposure: NDArray[np.float64]
    """(G,) as `balance.shares` counts it: by rank, shared by the groups of an item."""

    @classmethod
    def of(cls, exposure: NDArray[np.float64]) -> ExposureCount:
        """With its digest."""
        return cls(blake2b(exposure.tobytes(), digest_size=16).hexdigest(), exposure)


class Balance(NamedTuple):
    """The balance of one list."""

    target: BalanceTarget
    weight: float
    """In [0, 1]: 0 is the ranking, 1 the target alone."""
    source: BalanceSource
    digest: str = ""
    """Of the operator's shares, where these are the target; of what was shown, where quotas are."""

    @property
    def key(self) -> str:
        """Two balances with the same key give the same list of the same user."""
        return f"{self.target} {self.weight!r} {self.digest}"


@dataclass(frozen=True, slots=True)
class BalancePolicy:
    """The operator's default, and bounds."""

    default: DefaultTarget | None = None
    """Where a request names no target; None for the ranking."""
    weight: float = DEFAULT_WEIGHT
    """Where a request names no weight."""
    most: float = 1.0
    """The largest weight that a request may name."""
    shares: Mapping[str, float] | None = None
    """Item group → share, of `target`; None where there is none."""
    digest: str = ""
    """Of these."""
    personal: bool = False
    """Whether the bundle brings a target for each user, which `target` stands for where the operator has none."""

    @property
    def targets(self) -> tuple[BalanceTarget, ...]:
        """The targets that a request may name."""
        return tuple(name for name in get_args(BalanceTarget) if name != "target" or self.target_from is not None)

    @property
    def target_from(self) -> Literal["operator", "bundle"] | None:
        """Whose `target` is; None where there is none."""
        return "operator" if self.shares is not None else "bundle" if self.personal else None

    def over(self, *, personal: bool) -> BalancePolicy:
        """The same over a bundle that brings a target for each user, or none.

        Raises:
            StartError: lists are balanced towards `target` by default, and neither the operator nor the bundle has one.
        """
        found = replace(self, personal=personal)
        if self.default == "target" and found.target_from is None:
            nowhere = "EVENHAND_BALANCE_TARGET names no file, and this bundle brings no targets"
            raise StartError(f"EVENHAND_BALANCE is 'target', but {nowhere}")
        return found


NO_BALANCE = BalancePolicy()


def resolve_balance(
    policy: BalancePolicy, asked: AskedBalance | None, weight: float | None, protected: Mapping[str, str]
) -> Balance | None:
    """Choose the balance of one list.

    Args:
        policy: the operator's.
        asked: the target that the request names; None where it names none, and then the operator's default counts.
        weight: the weight that it names.
        protected: attribute → source, of the resolved requirement.

    Returns:
        None for the ranking as it is.

    Raises:
        InvalidQueryError: a weight without a target, or above the operator's bound; the operator has no target.
        BalanceRevealsError: the target comes from the user's history, and something is protected.
    """
    target = asked or policy.default
    if target is None or target == "none":
        if weight is not None:
            raise _invalid("balance_weight", weight, "there is nothing to weigh: name a `balance`", policy.targets)
        return None
    if target not in policy.targets:
        raise _invalid("balance", target, "neither the operator nor the bundle has one", policy.targets)
    if weight is not None and weight > policy.most:
        reason = f"this service balances with at most {policy.most:g}"
        raise _invalid("balance_weight", weight, reason, {"minimum": 0, "maximum": policy.most})
    if target == "history" and protected:
        applied = [{"attribute": name, "source": source} for name, source in protected.items()]
        raise BalanceRevealsError(target, applied, [name for name in policy.targets if name != "history"])
    digest = policy.digest if target == "target" else ""
    return Balance(target, policy.weight if weight is None else weight, "request" if asked else "default", digest)


def balance_policy(
    default: DefaultTarget | None, weight: float | None, most: float, file: Path | None
) -> BalancePolicy:
    """The settings as a policy.

    Args:
        default: EVENHAND_BALANCE.
        weight: EVENHAND_BALANCE_WEIGHT; None for .5, or the bound where that is lower.
        most: EVENHAND_BALANCE_WEIGHT_MAX.
        file: EVENHAND_BALANCE_TARGET.

    Raises:
        StartError: the file cannot be read or holds no shares; the weight is beyond the bound.
    """
    if weight is not None and weight > most:
        raise StartError(f"EVENHAND_BALANCE_WEIGHT is {weight:g}, above EVENHAND_BALANCE_WEIGHT_MAX, {most:g}")
    shares = None if file is None else _read(file)
    text = json.dumps(shares, sort_keys=True)
    digest = "" if shares is None else blake2b(text.encode(), digest_size=16).hexdigest()
    return BalancePolicy(default, min(DEFAULT_WEIGHT, most) if weight is None else weight, most, shares, digest)


def _read(file: Path) -> dict[str, float]:
    """The operator's shares; whether a bundle has the groups, each bundle says."""
    try:
        text = file.read_text(encoding="utf-8-sig")  # some editors put a mark at the beginning
        found = json.loads(text, parse_int=float, object_pairs_hook=_each_once)  # with 400 digits it is infinite
    except (OSError, ValueError, RecursionError) as error:
        raise StartError(f"EVENHAND_BALANCE_TARGET: {file} cannot be read: {error}") from error
    numbers = found.values() if isinstance(found, dict) else ()
    sound = all(isinstance(share, int | float) and not isinstance(share, bool) for share in numbers)
    if not isinstance(found, dict) or not 0 < len(found) <= MOST_GROUPS or not sound:
        example = '{"Drama": 0.4, "Comedy": 0.6}'
        raise StartError(f"EVENHAND_BALANCE_TARGET: {file} must hold item groups and their shares, like {example}")
    return {name: float(share) for name, share in found.items()}


def _each_once(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON, none of whose names is there twice: json takes the last one, whichever was meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def _invalid(field: str, value: object, reason: str, allowed: object) -> InvalidQueryError:
    allowed = list(allowed) if isinstance(allowed, tuple) else allowed
    return InvalidQueryError([{"field": field, "value": str(value), "reason": reason, "allowed": allowed}])
