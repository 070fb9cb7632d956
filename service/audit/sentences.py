"""Tells the effect of protecting an attribute on one user's list, in a plain sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from service.audit.people import ListComparison
from service.requirement import Source

_WHY: Mapping[Source, str] = {
    "user": "the user's own requirement asks for it",
    "required": "the operator requires it",
    "default": "the operator's default asks for it",
    "bundle": "this bundle always does",
    "request": "there is no list here without that",
}


def sentences(attributes: Sequence[str], lists: Sequence[ListComparison]) -> dict[str, str]:
    """Attribute → effect of protecting it; attributes without a list of their own are left out.

    Args:
        attributes: in the order to speak of them.
        lists: of `service.audit.people.side_by_side`; the first is the reference.
    """
    reference = lists[0]
    told = {}
    for name in attributes:
        if name in reference.made.requirement.sources:
            why = _WHY[reference.made.requirement.sources[name]]
            told[name] = f"{_capital(name)} is protected in every list of this user: {why}."
        elif protecting := [one for one in lists[1:] if name in one.protected]:
            narrowest = protecting[0]
            added = [each for each in narrowest.protected if each not in reference.protected]
            alone = "" if added == [name] else f"No list here adds {name} alone. "
            told[name] = alone + sentence(added, reference, narrowest)
    return told


def sentence(added: Sequence[str], reference: ListComparison, other: ListComparison) -> str:
    """The effect of protecting these attributes too, against the reference.

    Args:
        added: attributes; at least one.
        reference: the list without.
        other: the list with them.
    """
    before, left = len(reference.was), len(other.left)
    what = f"Protecting {listed(added)}"
    if not before:
        return f"{what} changes nothing: nothing is left to recommend to this user."
    first = "the first place stays" if other.was[:1] == (1,) else "the first place goes to another item"
    if left == before:
        return f"{what} changes all of {_items(before)}."
    if left:
        return f"{what} changes {left} of {_items(before)}; {other.stay} stay{'s' * (other.stay == 1)}, {first}."
    moved = sum(was != rank for rank, was in enumerate(other.was, 1))
    if moved:
        return f"{what} changes no item; {moved} of {_items(before)} move, {first}."
    return f"{what} changes nothing: the same {_items(before)} in the same order."


def listed(names: Sequence[str]) -> str:
    """Names as in a sentence: ``gender, age and occupation``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _items(count: int) -> str:
    return f"{count} item{'s' * (count != 1)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
