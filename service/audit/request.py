"""The request of an audit: with open fields, which are then resolved against one bundle, so that none is left open.

What a bundle cannot do is refused by name; nothing is left out silently.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, Field

from bundle import Description
from measure.masks import Mask, supported_masks
from service.balance import NO_BALANCE, BalancePolicy, DefaultTarget, resolve_balance
from service.errors import UnknownAttributeError, UnsupportedRequirementError

Profile = Literal["quick", "full"]
"""Of `measure.profiles`."""
Metric = Literal[
    "accuracy",
    "leakage",
    "parts",
    "lists",
    "joined",
    "overlap",
    "exposure",
    "parity",
    "utility",
    "activity",
    "clients",
    "calibration",
    "catalogue",
]
"""`measure.audit.METRICS`, which a test holds this against: importing that would load all of scikit-learn."""
METRICS: tuple[Metric, ...] = get_args(Metric)
NOT_OF_LISTS: frozenset[Metric] = frozenset({"accuracy", "leakage", "parts"})
"""Measured on vectors, which no balance changes."""

AuditedBalance = Literal[DefaultTarget, "none"]
"""Under quotas as they are where nothing was shown yet: an audit is of a bundle, and of no log."""

Name = Annotated[str, Field(min_length=1, max_length=64)]
Names = Annotated[tuple[Name, ...], Field(max_length=64)]


class AuditRequest(BaseModel):
    """One audit. What is absent or null is decided by the bundle; `resolve` does so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: Annotated[
        Profile, Field(description="`quick`: seconds for a row and no verdict. `full`: every attacker, a verdict.")
    ] = "quick"
    masks: Annotated[
        Annotated[tuple[Names, ...], Field(min_length=1, max_length=4096)] | None,
        Field(
            description="Sets of attributes to protect. Null: all that the bundle supports, up to four attributes; "
            "beyond, none, each alone, each pair and all. With fewer, the audit as a whole is not judged.",
            examples=[[[], ["gender"]]],
        ),
    ] = None
    metrics: Annotated[
        Annotated[tuple[Metric, ...], Field(min_length=1, max_length=64)] | None,
        Field(
            description="What is measured. Null: everything. Without accuracy, leakage, lists or joined, the audit as "
            "a whole is not judged.",
            examples=[["accuracy", "leakage"]],
        ),
    ] = None
    users: Annotated[
        Annotated[int, Field(ge=1, le=2**31 - 1)] | None,
        Field(description="Audit users to look at, at most; drawn by the seed. Null: all."),
    ] = None
    balance: Annotated[
        AuditedBalance | None,
        Field(
            description="Lists under a mask are balanced so, as requests with this `balance` get them; `none`: they "
            "are not. Where it is named and metrics are not, only those of lists are measured, and the audit as a "
            "whole is not judged. Null: as the operator balances lists by default, which is what is served.",
        ),
    ] = None
    balance_weight: Annotated[
        Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None,
        Field(description="How much the target counts. Null: the operator's, where there is a balance."),
    ] = None
    seed: Annotated[
        Annotated[int, Field(ge=0, le=2**31 - 1)] | None,
        Field(description="Of all that is drawn: the same gives the same numbers. Null: that of the training run."),
    ] = None
    version: Annotated[
        Annotated[str, Field(min_length=1, max_length=100)] | None,
        Field(description="In the models folder. Null: the active one.", examples=["2026-01-31"]),
    ] = None


class DecidedRequest(BaseModel):
    """One audit of one bundle, with nothing left open."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    profile: Profile
    masks: tuple[Mask, ...]
    """In order, each once; names in manifest order."""
    metrics: tuple[Metric, ...]
    """In the order of `METRICS`."""
    users: int | None
    """None for all."""
    balance: DefaultTarget | None
    """None for lists as ranked."""
    balance_weight: float | None
    """None where there is no balance."""
    seed: int
    version: str


def resolve(request: AuditRequest, bundle: Description, policy: BalancePolicy = NO_BALANCE) -> DecidedRequest:
    """Decide the open fields of a request.

    Args:
        request: what is asked for.
        bundle: what is to be measured.
        policy: how the operator balances lists; a target from a user's history cannot be among its defaults.

    Raises:
        InvalidQueryError: there is no such target, or a weight without one or beyond its bound, as in a request.
        UnknownAttributeError: the bundle does not have an attribute of a mask.
        UnsupportedRequirementError: it has no list for exactly that mask.
    """
    masks = all_masks(bundle) if request.masks is None else _in_order(request.masks, bundle)
    balance = resolve_balance(policy, request.balance, request.balance_weight, {})
    named = balance is not None and balance.source == "request"
    every = tuple(name for name in METRICS if name not in NOT_OF_LISTS) if named else METRICS
    metrics = every if request.metrics is None else request.metrics
    return DecidedRequest(
        profile=request.profile,
        masks=tuple(masks),
        metrics=tuple(metric for metric in METRICS if metric in metrics),
        users=request.users,
        balance=None if balance is None else cast(DefaultTarget, balance.target),
        balance_weight=None if balance is None else balance.weight,
        seed=bundle.seeds["run"] if request.seed is None else request.seed,
        version=bundle.version,
    )


def as_arguments(request: Mapping[str, Any]) -> list[str]:
    """A decided request, as it is stored, the way `python -m service audit` takes it."""
    masks = ";".join(",".join(mask) for mask in request["masks"])
    lists = [f"--masks={masks}", f"--metrics={','.join(request['metrics'])}"]
    users = [] if request["users"] is None else ["--users", str(request["users"])]
    target = request.get("balance")  # absent in requests that were stored by earlier versions
    balance = ["--balance", target or "none"]
    balance += ["--balance-weight", str(request["balance_weight"])] if target else []
    return ["--profile", request["profile"], "--seed", str(request["seed"]), *lists, *users, *balance]


def all_masks(bundle: Description) -> tuple[Mask, ...]:
    """The masks that every card of the bundle has, and that a verdict on it covers."""
    return tuple(supported_masks(bundle.attribute_names, bundle.supports, bundle.supported_masks.masks))


def _in_order(masks: tuple[Mask, ...], bundle: Description) -> list[Mask]:
    """Names in manifest order; masks from few names to many, then by where their names stand."""
    names = bundle.attribute_names
    for mask in masks:
        if unknown := next((name for name in mask if name not in names), None):
            raise UnknownAttributeError(unknown, names, field="masks")
        if not bundle.supports(mask):
            asked = [{"attribute": name, "source": "request"} for name in names if name in mask]
            raise UnsupportedRequirementError(asked, bundle.supported_masks.model_dump(), field="masks")
    found = {tuple(name for name in names if name in mask) for mask in masks}
    return sorted(found, key=lambda mask: (len(mask), [names.index(name) for name in mask]))
