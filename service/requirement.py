"""What one answer protects, and why: what was asked, joined with what the operator and the bundle demand (DESIGN 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bundle import Description
from service.errors import StartError, UnknownAttributeError, UnsupportedRequirementError

Source = Literal["request", "default", "required", "bundle"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator wants protected."""

    default: tuple[str, ...] = ()
    """Where a request says nothing."""
    required: tuple[str, ...] = ()
    """Always."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """What is protected in one answer."""

    sources: Mapping[str, Source]
    """Protected attribute → why, in manifest order."""
    mask: tuple[bool, ...]
    """One flag per attribute in manifest order; True = protect."""


def resolve(bundle: Description, policy: Policy, sensitive: Sequence[str] | None) -> Requirement:
    """Join the request with the policy and the bundle; never less than any of them.

    Args:
        bundle: the bundle's description.
        policy: the operator's.
        sensitive: attributes named in the request; None where it names none, which an empty sequence is not.

    Returns:
        The requirement. An attribute with several reasons keeps the first of request or default, required, bundle.

    Raises:
        UnknownAttributeError: the request names an attribute that the bundle does not have.
        UnsupportedRequirementError: the bundle has no list for exactly this combination.
    """
    known = bundle.attribute_names
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
        elif name in policy.required:
            sources[name] = "required"
        elif name in demanded:
            sources[name] = "bundle"
    if not bundle.supports(sources):
        applied = [{"attribute": name, "source": source} for name, source in sources.items()]
        raise UnsupportedRequirementError(applied, bundle.supported_masks.model_dump())
    return Requirement(sources, bundle.mask(sources))


def fixed_mask(bundle: Description) -> Sequence[str]:
    """The one mask of a ``fixed`` bundle, which it takes where a request names no attributes; else nothing."""
    return bundle.supported_masks.masks[0] if bundle.supported_masks.kind == "fixed" else ()


def covering_mask(bundle: Description, policy: Policy) -> Sequence[str] | None:
    """A supported mask that protects everything always protected; None where the bundle has none."""
    needed = {*policy.required, *bundle.always_protected}
    if bundle.supported_masks.kind == "all":
        return sorted(needed)
    return next((mask for mask in bundle.supported_masks.masks if needed.issubset(mask)), None)


def check_policy(bundle: Description, policy: Policy) -> None:
    """Refuse a bundle that cannot do what the operator demands.

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
    if covering_mask(bundle, policy) is None:
        needed = sorted({*policy.required, *bundle.always_protected})
        raise StartError(
            f"EVENHAND_REQUIRED is {','.join(policy.required)!r}, but no supported mask of this bundle protects all "
            f"of {', '.join(needed)}: {masks}"
        )
    if policy.default:
        try:
            resolve(bundle, policy, None)
        except UnsupportedRequirementError as error:
            raise StartError(f"EVENHAND_DEFAULT is {','.join(policy.default)}: {error}: {masks}") from None
