"""Answers as values. Fields that a newer service adds are left out; `raw` of a list has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Model:
    """Which bundle answered."""

    name: str
    version: str

    @classmethod
    def of(cls, page: Json) -> Model:
        """Read it from JSON."""
        return cls(page["name"], page["version"])


@dataclass(frozen=True, slots=True)
class Applied:
    """A protected attribute, and who asked for it: request, default, user, required or bundle."""

    attribute: str
    source: str


@dataclass(frozen=True, slots=True)
class Balance:
    """What a list was balanced towards, and how far it is from that: KL in nats."""

    target: str
    weight: float
    source: str
    """request or default."""
    before: float | None
    """Of the ranking; None where nothing is shown, or there is no history to follow. So is `after`."""
    after: float | None

    @classmethod
    def of(cls, page: Json) -> Balance:
        """Read it from JSON."""
        told = page["divergence"] or {}
        return cls(page["target"], page["weight"], page["source"], told.get("before"), told.get("after"))


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a list."""

    item: str
    rank: int
    title: str | None
    score: float | None
    """Where the service shows scores, and to this key."""

    @classmethod
    def of(cls, page: Json) -> Item:
        """Read it from JSON."""
        return cls(page["item"], page["rank"], page.get("title"), page.get("score"))


@dataclass(frozen=True, slots=True)
class Items:
    """A list that is the same for everybody."""

    request_id: str
    model: Model
    items: tuple[Item, ...]
    raw: Json = field(repr=False)

    @classmethod
    def of(cls, page: Json) -> Items:
        """Read it from JSON."""
        return cls(page["request_id"], Model.of(page["model"]), _items(page), page)


@dataclass(frozen=True, slots=True)
class Recommendations:
    """A list for somebody."""

    request_id: str
    model: Model
    items: tuple[Item, ...]
    user: str | None
    """None for a session."""
    requested: tuple[str, ...]
    """Attributes that the request named."""
    applied: tuple[Applied, ...]
    """What was protected: never less than `requested`."""
    fallback: str | None
    """What the list is instead of a personal one."""
    unknown_items: tuple[str, ...]
    """Of a session's history."""
    next_cursor: str | None
    """Where the list goes on; None at its end."""
    balance: Balance | None
    """None where the list is the ranking as it is."""
    raw: Json = field(repr=False)

    @property
    def protected(self) -> frozenset[str]:
        """Names of what was protected."""
        return frozenset(one.attribute for one in self.applied)

    @classmethod
    def of(cls, page: Json) -> Recommendations:
        """Read it from JSON."""
        sensitive = page["sensitive"]
        return cls(
            page["request_id"],
            Model.of(page["model"]),
            _items(page),
            page.get("user"),
            tuple(sensitive["requested"]),
            tuple(Applied(one["attribute"], one["source"]) for one in sensitive["applied"]),
            page["fallback"],
            tuple(page.get("unknown_items", ())),
            page["next_cursor"],
            Balance.of(balance) if (balance := page.get("balance")) else None,
            page,
        )


@dataclass(frozen=True, slots=True)
class Attribute:
    """What can be protected."""

    name: str
    classes: tuple[str, ...]
    merged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Class → the classes of the data that it stands for; the others stand for themselves."""

    @classmethod
    def of(cls, one: Json) -> Attribute:
        """Read it from JSON; an older service merges nothing."""
        merged = {name: tuple(classes) for name, classes in one.get("merged", {}).items()}
        return cls(one["name"], tuple(one["classes"]), merged)


@dataclass(frozen=True, slots=True)
class Attributes:
    """What can be protected, and what is in any case."""

    attributes: tuple[Attribute, ...]
    masks: str
    """Which combinations: all, list or fixed."""
    listed_masks: tuple[frozenset[str], ...]
    """The combinations, where not all are."""
    always_protected: tuple[str, ...]
    required: tuple[str, ...]
    default: tuple[str, ...]

    @classmethod
    def of(cls, page: Json) -> Attributes:
        """Read it from JSON."""
        masks = page["supported_masks"]
        return cls(
            tuple(Attribute.of(one) for one in page["attributes"]),
            masks["kind"],
            tuple(frozenset(names) for names in masks["masks"]),
            tuple(page["always_protected"]),
            tuple(page["required"]),
            tuple(page["default"]),
        )


@dataclass(frozen=True, slots=True)
class Requirement:
    """What a user has stored."""

    user: str
    attributes: tuple[str, ...]
    stored: bool
    changed: str | None
    """RFC 3339."""

    @classmethod
    def of(cls, page: Json) -> Requirement:
        """Read it from JSON."""
        return cls(page["user"], tuple(page["attributes"]), page["stored"], page["changed"])


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of posted interactions."""

    taken: int
    suppressed: int
    """Not taken, because their users are erased."""

    @classmethod
    def of(cls, page: Json) -> Taken:
        """Read it from JSON."""
        return cls(page["taken"], page["suppressed"])


@dataclass(frozen=True, slots=True)
class Erasure:
    """What an erasure removed."""

    user: str
    requirement: bool
    interactions: int
    requests: int

    @classmethod
    def of(cls, page: Json) -> Erasure:
        """Read it from JSON."""
        return cls(page["user"], page["requirement"], page["interactions"], page["requests"])


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version in the models folder."""

    version: str
    name: str | None
    active: bool
    refused: str | None
    """What is wrong with it."""
    share: float
    """Of the users that it answers."""

    @classmethod
    def of(cls, page: Json) -> ModelVersion:
        """Read it from JSON; with an older service the active one answers everybody."""
        share = page.get("share", float(page["active"]))
        return cls(page["version"], page["name"], page["active"], page["refused"], share)


@dataclass(frozen=True, slots=True)
class Trial:
    """A second bundle that answers a share of the users, beside the active one."""

    model: Model
    share: float

    @classmethod
    def of(cls, page: Json | None) -> Trial | None:
        """Read it from JSON; None where there is none."""
        return None if page is None else cls(Model.of(page), page["share"])


@dataclass(frozen=True, slots=True)
class Models:
    """The bundles that the service knows."""

    active: Model
    trial: Trial | None
    """The second one that answers, where there is a share."""
    versions: tuple[ModelVersion, ...]
    card: Json = field(repr=False)
    """Accuracy and leakage of the active one, as measured."""
    trouble: str | None

    @classmethod
    def of(cls, page: Json) -> Models:
        """Read it from JSON."""
        versions = tuple(ModelVersion.of(one) for one in page["models"])
        return cls(Model.of(page["active"]), Trial.of(page.get("trial")), versions, page["card"], page["trouble"])


@dataclass(frozen=True, slots=True)
class Activation:
    """Another bundle in the place of the one before, or beside it."""

    active: Model
    trial: Trial | None
    """The second one that answers, where there is a share."""
    previous: Model
    """What was active before."""
    compared: Json | None
    """What differs from that: attributes, users and items added and removed, users whose requirement it cannot meet.
    None where a share has ended."""

    @classmethod
    def of(cls, page: Json) -> Activation:
        """Read it from JSON."""
        trial = Trial.of(page.get("trial"))
        return cls(Model.of(page["active"]), trial, Model.of(page["previous"]), page["compared"])


def _items(page: Json) -> tuple[Item, ...]:
    return tuple(Item.of(one) for one in page["items"])
