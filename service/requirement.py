"""The attributes that one answer protects, and why: from the request, the user, the operator and the bundle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from bundle import Description
from service.balance import NO_BALANCE, BalancePolicy, balance_policy
from service.errors import (
    PinnedRequirementError,
    ShareRefusedError,
    StartError,
    UnknownAttributeError,
    UnsupportedRequirementError,
)
from service.settings import Settings

Source = Literal["request", "default", "user", "required", "bundle"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator wants protected, and how lists may be balanced."""

    default: tuple[str, ...] = ()
    """Protected where a request names no attributes."""
    required: tuple[str, ...] = ()
    """Always protected."""
    pinned: bool = False
    """Whether requests cannot choose: the operator's attributes are protected, and no others may be named."""
    balance: BalancePolicy = NO_BALANCE


def operator_policy(settings: Settings) -> Policy:
    """The policy in the settings.

    Raises:
        StartError: those of balance contradict each other, or name a file that holds no shares.
    """
    bounds = (settings.balance, settings.balance_weight, settings.balance_weight_max, settings.balance_target)
    return Policy(settings.default, settings.required, settings.pinned, balance_policy(*bounds))


@dataclass(frozen=True, slots=True)
class Requirement:
    """The protection of one answer."""

    sources: Mapping[str, Source]
    """Protected attribute → source, in manifest order."""
    mask: tuple[bool, ...]
    """One flag per attribute in manifest order; True = protect."""


def resolve(
    bundle: Description, policy: Policy, sensitive: Sequence[str] | None, stored: Sequence[str] = ()
) -> Requirement:
    """Join the request, the user's stored requirement, the policy and the bundle; protects never less than any of them.

    Args:
        bundle: the bundle's description.
        policy: the operator's.
        sensitive: attributes named in the request; None where it names none, which an empty sequence is not.
        stored: attributes of the user's stored requirement.

    Returns:
        The requirement. An attribute with several reasons keeps the first of request or default, user, required,
        bundle.

    Raises:
        PinnedRequirementError: the request chooses, and the operator does not allow that.
        UnknownAttributeError: the request names an attribute that the bundle does not have.
        UnsupportedRequirementError: the bundle has no list for exactly this combination, or lacks an attribute of the
            stored requirement, which another bundle had.
    """
    known = bundle.attribute_names
    if policy.pinned and sensitive is not None:
        pinned = resolve(bundle, policy, None).sources
        if set(sensitive) != set(pinned):
            raise PinnedRequirementError(sensitive, tuple(pinned))
    asked: Source = "default" if sensitive is None else "request"
    why: dict[str, Source] = dict.fromkeys(policy.default if sensitive is None else sensitive, asked)
    for name in why:
        if name not in known:
            raise UnknownAttributeError(name, known)
    demanded = (*bundle.always_protected, *(fixed_mask(bundle) if sensitive is None else ()))
    sources: dict[str, Source] = {}
    for name in known:
        if name in why:
            sources[name] = asked
        elif name in stored:
            sources[name] = "user"
        elif name in policy.required:
            sources[name] = "required"
        elif name in demanded:
            sources[name] = "bundle"
    lacking = [name for name in stored if name not in known]
    if lacking or not bundle.supports(sources):
        wanted = {**sources, **dict.fromkeys(lacking, "user")}
        applied = [{"attribute": name, "source": source} for name, source in wanted.items()]
        raise UnsupportedRequirementError(applied, bundle.supported_masks.model_dump())
    return Requirement(sources, bundle.mask(sources))


def fixed_mask(bundle: Description) -> Sequence[str]:
    """The mask of a ``fixed`` bundle, which protects it where a request names no attributes; else nothing."""
    return bundle.supported_masks.masks[0] if bundle.supported_masks.kind == "fixed" else ()


def covering_mask(bundle: Description, policy: Policy, also: Iterable[str] = ()) -> Sequence[str] | None:
    """A supported mask that protects all that is always protected, with which an answer can be made; None if none is.

    It may protect more than that; where requests cannot choose, exactly that, as no request would ask for more.
    """
    needed = {*policy.required, *bundle.always_protected, *also}
    if policy.pinned:
        needed |= {*policy.default, *fixed_mask(bundle)}
        return sorted(needed) if bundle.supports(needed) else None
    if bundle.supported_masks.kind == "all":
        return sorted(needed)
    return next((mask for mask in bundle.supported_masks.masks if needed.issubset(mask)), None)


def check_storable(bundle: Description, policy: Policy, attributes: Sequence[str]) -> None:
    """Refuse a user's requirement that no answer of this bundle could meet.

    Raises:
        UnknownAttributeError: the bundle does not have one of the attributes.
        UnsupportedRequirementError: no supported mask protects them all, with what is always protected, or where
            requests cannot choose, none protects exactly that.
    """
    for name in attributes:
        if name not in bundle.attribute_names:
            raise UnknownAttributeError(name, bundle.attribute_names, field="attributes")
    if covering_mask(bundle, policy, attributes) is None:
        unasked = fixed_mask(bundle) if policy.pinned else ()
        demanded: dict[str, Source] = dict.fromkeys((*bundle.always_protected, *unasked), "bundle")
        demanded |= dict.fromkeys(policy.required, "required")
        demanded |= dict.fromkeys(attributes, "user")
        if policy.pinned:
            demanded |= dict.fromkeys(policy.default, "default")
        applied = [{"attribute": name, "source": demanded[name]} for name in bundle.attribute_names if name in demanded]
        raise UnsupportedRequirementError(applied, bundle.supported_masks.model_dump(), field="attributes")


def check_policy(bundle: Description, policy: Policy) -> None:
    """Refuse a bundle that cannot meet the operator's policy.

    Raises:
        StartError: an attribute is unknown, no supported mask covers EVENHAND_REQUIRED, or EVENHAND_DEFAULT asks for
            a combination that has no list.
    """
    known = bundle.attribute_names
    for setting, names in (("EVENHAND_REQUIRED", policy.required), ("EVENHAND_DEFAULT", policy.default)):
        if unknown := [name for name in names if name not in known]:
            attributes = ", ".join(known) or "no attribute"
            raise StartError(f"{setting} names {', '.join(unknown)}; this bundle knows {attributes}")
    masks = bundle.supported_masks.masks
    if not policy.pinned and covering_mask(bundle, policy) is None:
        needed = sorted({*policy.required, *bundle.always_protected})
        raise StartError(
            f"EVENHAND_REQUIRED is {','.join(policy.required)!r}, but no supported mask of this bundle protects all "
            f"of {', '.join(needed)}: {masks}"
        )
    if policy.default or policy.pinned:
        try:
            resolve(bundle, policy, None)
        except UnsupportedRequirementError as error:
            settings = (
                f"EVENHAND_DEFAULT is {','.join(policy.default)!r}, EVENHAND_REQUIRED {','.join(policy.required)!r}"
            )
            raise StartError(f"{settings}: {error}: {masks}") from None


def check_share(active: Description, trial: Description, policy: Policy) -> None:
    """Pass only if every requirement that the active bundle meets is met by another one too, and no less is protected.

    Then a request means the same for every user, whichever of the two answers. The other one may protect more.

    Args:
        active: what answers everybody now.
        trial: what is to answer a share of the users.
        policy: the operator's, over the active bundle; the other one meets it too.

    Raises:
        ShareRefusedError: names the attributes.
    """
    version, known = trial.version, trial.attribute_names
    if lacking := [name for name in active.attribute_names if name not in known]:
        reason = f"requests may protect {', '.join(lacking)}, which it does not know"
        raise ShareRefusedError(version, reason, attributes=lacking)
    if open_ := [name for name in active.always_protected if name not in trial.always_protected]:
        reason = f"version {active.version!r} always protects {', '.join(open_)}, and it does not"
        raise ShareRefusedError(version, reason, attributes=open_)
    if open_ := [name for name in _unasked(active, policy) if name not in _unasked(trial, policy)]:
        reason = (
            f"version {active.version!r} protects {', '.join(open_)} where a request names nothing, and it does not"
        )
        raise ShareRefusedError(version, reason, attributes=open_)
    if policy.pinned and (more := [name for name in _unasked(trial, policy) if name not in _unasked(active, policy)]):
        reason = f"requests may name exactly what is protected, which would be {', '.join(more)} too"
        raise ShareRefusedError(version, reason, attributes=more)
    if policy.balance.target_from == "bundle" and trial.balance is None:
        reason = f"lists may be balanced towards the targets of version {active.version!r}, and it brings none"
        raise ShareRefusedError(version, reason)
    if trial.supported_masks.kind == "all":
        return
    for mask in _met(active, policy):
        applied = {*mask, *trial.always_protected}
        if not trial.supports(applied):
            names = [name for name in known if name in applied]
            reason = f"answers may protect {', '.join(names) or 'nothing'}, and it has no list for exactly that"
            raise ShareRefusedError(version, reason, attributes=names)


def _unasked(bundle: Description, policy: Policy) -> Sequence[str]:
    """What is protected where a request names no attributes; nothing where it is refused then."""
    try:
        return tuple(resolve(bundle, policy, None).sources)
    except UnsupportedRequirementError:
        return ()


def _met(bundle: Description, policy: Policy) -> Iterator[frozenset[str]]:
    """Every set of attributes that an answer of this bundle may protect, those of few names first."""
    demanded = {*policy.required, *bundle.always_protected}
    if policy.pinned:
        yield frozenset(_unasked(bundle, policy))
        return
    if bundle.supported_masks.kind != "all":
        yield from (frozenset(mask) for mask in bundle.supported_masks.masks if demanded.issubset(mask))
        return
    free = [name for name in bundle.attribute_names if name not in demanded]
    for size in range(len(free) + 1):
        yield from (frozenset({*demanded, *names}) for names in combinations(free, size))
