"""Where the numbers come from, and what they do not say."""

from collections.abc import Iterator, Mapping
from typing import Any

from measure.report import words
from measure.report.page import Block, Bullets, Facts, Section, Table
from measure.report.plain import names, tables
from measure.report.rows import Card
from measure.report.tables import name

DEEPEST = 4
"""Levels of nested facts that are told."""

_FIRST = (
    "name",
    "version",
    "created",
    "method",
    "mode",
    "base_model",
    "data",
    "content_hash",
    "user_split_salt",
    "seeds",
)


def facts(card: Card) -> Section:
    """List the bundle, its attributes, and how it was measured."""
    blocks: list[Block] = []
    ordered = [key for key in _FIRST if key in card.bundle]
    ordered += [key for key in card.bundle if key not in ordered and key != "attributes"]
    if rows := list(_flat({key: card.bundle[key] for key in ordered})):
        blocks.append(Facts(rows))
    if attributes := tables(card.bundle.get("attributes")):
        body = [
            [name(words.clean(entry.get("name", ""))), name(_classes(entry.get("classes")))] for entry in attributes
        ]
        blocks.append(Table("Attributes and their classes", ["Attribute", "Classes"], body))
    skipped = tables(card.leakage_protocol.get("not_measured"))
    for title, protocol in (("accuracy", card.accuracy_protocol), ("leakage", card.leakage_protocol)):
        told = {key: value for key, value in protocol.items() if key != "not_measured"}
        if rows := list(_flat(told, f"{title}: ")):
            blocks.append(Facts(rows))
    if skipped:
        body = [[name(words.clean(entry.get(key, ""))) for key in ("attribute", "reason")] for entry in skipped]
        blocks.append(Table("Attributes that could not be measured", ["Attribute", "Reason"], body))
    return Section("facts", "Where this comes from", blocks)


def limits(card: Card) -> Section:
    """Say what the numbers do not show, and what this card did not measure."""
    items = [
        "Leakage is bounded from below: these attackers found this much, another may find more.",
        "What a user likes can itself go with an attribute. Withholding reduces what the vector says of it; titles and "
        "genres in a list may still hint at it.",
        "Whoever knows the user's history, or asks for the unprotected vector or list, learns what those say.",
        "Averages hide groups: read the accuracy by group, and mind the small ones.",
        "Measured offline on held-out interactions, which were themselves shaped by what users were once shown.",
    ]
    absent = [title for title, there in _coverage(card) if not there]
    if absent:
        items.append(f"Not measured here, and so left out: {words.listed(absent)}.")
    return Section("limits", "Limits", [Bullets(items)])


def _coverage(card: Card) -> list[tuple[str, bool]]:
    targets = [row.target for row in card.leakage]

    def attacked(*starts: str) -> bool:
        return any(target.startswith(starts) for target in targets)

    return [
        ("accuracy", bool(card.accuracy)),
        ("leakage of the fair vector", attacked("fair")),
        ("leakage of the parts", attacked("part:")),
        ("leakage of the lists", attacked("list@")),
        ("several masks together", attacked("all_masks", "lists@", "protecting_")),
        ("the control on noise", attacked("noise")),
        ("accuracy by group", any(row.groups for row in card.accuracy)),
        ("new users", bool(card.folded_in) or attacked("folded_in")),
        ("the front over strengths", bool(card.front)),
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Give nested fields as one list of names and texts; empty ones are left out."""
    for key, value in values.items():
        label = f"{prefix}{words.clean(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            if prefix.count(": ") < DEEPEST:
                yield from _flat(value, f"{label}: ")
        elif isinstance(value, bool):
            yield label, "yes" if value else "no"
        elif isinstance(value, int) and key != "seed" and "seeds" not in prefix:
            yield label, words.count(value)
        elif isinstance(value, list):
            if value:
                yield label, "; ".join(_entry(entry) for entry in value)
        elif value is not None and value != "":
            yield label, words.clean(value)


def _entry(value: object) -> str:
    if isinstance(value, Mapping):
        return words.clean(value.get("name", words.MISSING))
    return words.mask(names(value)) if isinstance(value, list) else words.clean(value)


def _classes(value: object) -> str:
    return " · ".join(names(value))
