"""The targets of attacks, their masks, and the comparison of each row.

Each of `KINDS` is asked for by its name; the references that its rows are compared with come along.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from measure.audit.scope import JOINED, LIGHT
from measure.audit.subject import Lists, Subject
from measure.features import Features, Forms, list_features, noise_like, side_by_side, whitened
from measure.masks import Mask, attacked_under, telling_masks
from measure.profiles import Profile

MODAL = "modal:"
"""Begins the targets of what a modality says of the items that a user has seen: no mask changes it."""
UNLISTED = ("base:folded_in", "base:light")
"""Measured as a reference only: no rows of the card."""


@dataclass(frozen=True)
class Target:
    """One kind of features under one mask, attacked for some attributes."""

    name: str
    """The card's ``target``."""
    sensitive: Mask
    attributes: tuple[str, ...]
    features: Callable[[], Features | Forms]
    """Makes them; called when they are needed, for all attributes at once."""
    reference: str | None
    """The target to compare with, which gives the row's ``base_auc``."""
    users: Literal["audit", "folded_in", "light"] = "audit"

    def only(self, attributes: Container[str]) -> Target:
        """The same for those of its attributes that can be measured."""
        return replace(self, attributes=tuple(name for name in self.attributes if name in attributes))


def targets_of(
    kinds: Iterable[str], subject: Subject, masks: Sequence[Mask], profile: Profile, seed: int
) -> dict[str, list[Target]]:
    """Everything that an audit attacks, by kind in the order of `KINDS`; a target of two kinds is with the first."""
    given: set[tuple[str, Mask]] = set()
    found: dict[str, list[Target]] = {}
    for kind in (kind for kind in KINDS if kind in set(kinds)):
        made = [each for each in KINDS[kind](_Asked(subject, masks, profile, seed)) if _key(each) not in given]
        given.update(map(_key, made))
        found[kind] = made
    return found


@dataclass(frozen=True)
class _Asked:
    subject: Subject
    masks: Sequence[Mask]
    profile: Profile
    seed: int

    @property
    def names(self) -> tuple[str, ...]:
        return self.subject.population.names

    @property
    def u(self) -> Features:
        return self.subject.population.base

    def protecting(self, name: str) -> list[Mask]:
        return [mask for mask in self.masks if name in mask]


def _key(target: Target) -> tuple[str, Mask]:
    return target.name, target.sensitive


def _base(asked: _Asked) -> Target:
    return Target("base", (), asked.names, lambda: asked.u, None)


def _leakage(asked: _Asked) -> Iterator[Target]:
    """User vectors, modalities, noise, fair vectors, and those of users that the base never saw, or saw little of."""
    subject = asked.subject
    yield _base(asked)
    for name, means in subject.population.modal.items():
        yield Target(f"{MODAL}{name}", (), asked.names, partial(_as_it_is, means), "base")
    if asked.profile.protected_only:
        for mask in filter(None, asked.masks):
            yield Target("fair", mask, mask, partial(subject.fair, mask), "base")
        yield from _new_users(asked)
        return
    yield Target("noise", (), asked.names, lambda: noise_like(asked.u, asked.seed), "base")
    for mask in asked.masks:
        yield Target("fair", mask, asked.names, partial(subject.fair, mask), "base")
    yield from _new_users(asked)
    if subject.population.light.any():
        yield Target(UNLISTED[1], (), asked.names, lambda: asked.u, None, "light")
        for mask in filter(None, telling_masks(asked.masks)):
            yield Target(LIGHT, mask, mask, partial(subject.fair, mask), UNLISTED[1], "light")


def _new_users(asked: _Asked) -> Iterator[Target]:
    """Those whom the base never saw, where there are any."""
    if not asked.subject.population.new.any():
        return
    yield Target(UNLISTED[0], (), asked.names, lambda: asked.u, None, "folded_in")
    for mask in telling_masks(asked.masks):
        fair, attacked = partial(asked.subject.fair, mask), attacked_under(mask, asked.names)
        if not asked.profile.protected_only:
            yield Target("folded_in", mask, attacked, fair, UNLISTED[0], "folded_in")
        elif mask:
            yield Target("folded_in", mask, mask, fair, UNLISTED[0], "folded_in")


def _parts(asked: _Asked) -> Iterator[Target]:
    """Every part alone: its information on its own attribute, and on the others."""
    yield _base(asked)
    for place, name in enumerate(asked.subject.parts):
        yield Target(f"part:{name}", (), asked.names, partial(asked.subject.part, place), "base")


def _lists(asked: _Asked) -> Iterator[Target]:
    """Lists as served, seen items kept and dropped, beside those of the user vector and the same one for everybody."""
    subject, names, lengths = asked.subject, asked.names, asked.profile.lists
    depth = max(lengths)
    for drop_seen, kind in ((False, ""), (True, ":seen")):
        own = partial(subject.base_lists, depth, drop_seen=drop_seen)
        for k in lengths:
            features = partial(_listed, subject, k)
            yield Target(f"base_list@{k}{kind}", (), names, partial(features, own), None)
            for mask in telling_masks(asked.masks):
                made = partial(subject.lists, mask, depth, drop_seen=drop_seen)
                name, attributes = f"list@{k}{kind}", attacked_under(mask, names)
                yield Target(name, mask, attributes, partial(features, made), f"base_list@{k}{kind}")
    control = partial(_listed, subject, JOINED, partial(_for_everybody, subject))
    yield Target(f"constant@{JOINED}:seen", (), names, control, f"base_list@{JOINED}:seen")


def _joined(asked: _Asked) -> Iterator[Target]:
    """Vectors, then lists, of several masks side by side: of all, and for each attribute of those that protect it."""
    subject, names, depth = asked.subject, asked.names, max(asked.profile.lists)

    def vectors(some: Sequence[Mask]) -> Forms:
        joined = side_by_side([subject.fair(mask) for mask in some])
        return Forms((joined, whitened(joined)))

    def lists(some: Sequence[Mask]) -> Features:
        return side_by_side([_listed(subject, JOINED, partial(subject.lists, mask, depth)) for mask in some])

    yield _base(asked)
    own = partial(subject.base_lists, depth)
    yield Target(f"base_list@{JOINED}", (), names, partial(_listed, subject, JOINED, own), None)
    for together, made, base in (("masks", vectors, "base"), (f"lists@{JOINED}", lists, f"base_list@{JOINED}")):
        name = "all_masks" if made is vectors else together
        yield Target(name, (), names, partial(made, asked.masks), base)
        for each in names:
            if some := asked.protecting(each):
                yield Target(f"protecting_{together}", (each,), (each,), partial(made, some), base)


KINDS: Mapping[str, Callable[[_Asked], Iterator[Target]]] = {
    "leakage": _leakage,
    "parts": _parts,
    "lists": _lists,
    "joined": _joined,
}
"""Metric → its targets: fair vectors and controls; parts; one list at a time; the answers to several masks."""


def _as_it_is(means: Features) -> Features:
    return means


def _for_everybody(subject: Subject) -> Lists:
    """The list of the mean user, without the items that each user has seen."""
    u = subject.scored(subject.population.base)
    same = np.broadcast_to(u.mean(axis=0, dtype=np.float64).astype(np.float32), u.shape)
    return subject.lists_of(same, JOINED, drop_seen=True)


def _listed(subject: Subject, k: int, lists: Callable[[], Lists]) -> Features:
    return list_features(lists()[:, :k], len(subject.scorer.items))
