"""What is attacked, under which masks, and what each row is compared with."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from measure.features import Features, list_features, noise_like, side_by_side
from measure.profiles import Profile
from training.card.views import Lists, Views
from training.masks import Mask

JOINED = 10
"""Length of the lists whose answers to several masks are joined."""
UNLISTED = "base:folded_in"
"""Measured as a reference only: no row of the card."""


@dataclass(frozen=True)
class Target:
    """One kind of features under one mask, attacked for some attributes."""

    name: str
    """The card's ``target``."""
    sensitive: Mask
    attributes: tuple[str, ...]
    features: Callable[[], Features]
    """Makes them; called when they are needed, for all attributes at once."""
    reference: str | None
    """The target that says what there was to recover: the row's ``base_auc``."""
    users: Literal["audit", "folded_in"] = "audit"

    def only(self, attributes: Container[str]) -> Target:
        """The same for those of its attributes that can be measured."""
        return replace(self, attributes=tuple(name for name in self.attributes if name in attributes))


def targets_of(views: Views, masks: Sequence[Mask], profile: Profile) -> list[Target]:
    """Everything that a card attacks; lists of the lengths that the profile names."""
    if profile.protected_only:
        return list(_protected(views, masks))
    return [
        *_vectors(views, masks),
        *_vectors_together(views, masks),
        *_lists(views, masks, profile.lists),
        *_lists_together(views, masks, max(profile.lists)),
        *(_new_users(views, masks) if views.audit.folded_in.any() else ()),
    ]


def _protected(views: Views, masks: Sequence[Mask]) -> Iterator[Target]:
    """User vectors, and fair vectors for what they protect."""
    u = views.audit.base
    yield Target("base", (), views.bundle.description.attribute_names, lambda: u, None)
    for mask in filter(None, masks):
        yield Target("fair", mask, mask, partial(views.fair, mask), "base")


def _vectors(views: Views, masks: Sequence[Mask]) -> Iterator[Target]:
    """User vectors, noise, fair vectors, and every part alone (cross-leakage)."""
    names, u = views.bundle.description.attribute_names, views.audit.base
    yield Target("base", (), names, lambda: u, None)
    yield Target("noise", (), names, lambda: noise_like(u, views.bundle.description.seeds["run"]), "base")
    for mask in masks:
        yield Target("fair", mask, names, partial(views.fair, mask), "base")
    for row, part in enumerate(views.bundle.description.parts):
        yield Target(f"part:{part.name}", (), names, partial(_part, views, row), "base")


def _vectors_together(views: Views, masks: Sequence[Mask]) -> Iterator[Target]:
    """Fair vectors of several masks side by side: of all, and for each attribute of those that protect it."""

    def joined(some: Sequence[Mask]) -> Features:
        return side_by_side([views.fair(mask) for mask in some])

    names = views.bundle.description.attribute_names
    yield Target("all_masks", (), names, lambda: joined(masks), "base")
    for name in names:
        if some := [mask for mask in masks if name in mask]:
            yield Target("protecting_masks", (name,), (name,), partial(joined, some), "base")


def _lists(views: Views, masks: Sequence[Mask], lengths: Sequence[int]) -> Iterator[Target]:
    """Lists as served, seen items kept and dropped, beside those of the user vector and the same one for everybody."""
    names, depth = views.bundle.description.attribute_names, max(lengths)
    u = views.scored(views.audit.base)
    for drop_seen, kind in ((False, ""), (True, ":seen")):
        own = _once(partial(views.lists_of, u, depth, drop_seen=drop_seen))
        for k in lengths:
            base, features = f"base_list@{k}{kind}", partial(_listed, views, k)
            yield Target(base, (), names, partial(features, own), None)
            for mask in _some_of(masks):
                made = partial(views.lists, mask, depth, drop_seen=drop_seen)
                attributes = mask if len(mask) == 1 else names
                yield Target(f"list@{k}{kind}", mask, attributes, partial(features, made), base)
    everybody = np.broadcast_to(u.mean(axis=0, dtype=np.float64).astype(np.float32), u.shape)
    made = partial(views.lists_of, everybody, JOINED, drop_seen=True)
    control = partial(_listed, views, JOINED, made)
    yield Target(f"constant@{JOINED}:seen", (), names, control, f"base_list@{JOINED}:seen")


def _lists_together(views: Views, masks: Sequence[Mask], depth: int) -> Iterator[Target]:
    """Lists of several masks side by side."""

    def joined(some: Sequence[Mask]) -> Features:
        return side_by_side([_listed(views, JOINED, partial(views.lists, mask, depth)) for mask in some])

    names, base = views.bundle.description.attribute_names, f"base_list@{JOINED}"
    yield Target(f"lists@{JOINED}", (), names, lambda: joined(masks), base)
    for name in names:
        if some := [mask for mask in masks if name in mask]:
            yield Target(f"protecting_lists@{JOINED}", (name,), (name,), partial(joined, some), base)


def _new_users(views: Views, masks: Sequence[Mask]) -> Iterator[Target]:
    """Users that the base model never saw; their own folded-in u is what there was to recover."""
    names = views.bundle.description.attribute_names
    yield Target(UNLISTED, (), names, lambda: views.audit.base, None, "folded_in")
    for mask in _some_of(masks):
        attributes = mask if len(mask) == 1 else names
        yield Target("folded_in", mask, attributes, partial(views.fair, mask), UNLISTED, "folded_in")


def _some_of(masks: Sequence[Mask]) -> list[Mask]:
    """The narrowest mask (nothing, where that is supported), each attribute alone, and the widest."""
    ends = (min(masks, key=len, default=()), max(masks, key=len, default=()))
    return [mask for mask in masks if len(mask) == 1 or mask in ends]


def _part(views: Views, row: int) -> Features:
    return np.ascontiguousarray(views.bundle.users.parts[:, row])


def _listed(views: Views, k: int, lists: Callable[[], Lists]) -> Features:
    return list_features(lists()[:, :k], len(views.scorer.items))


def _once(make: Callable[[], Lists]) -> Callable[[], Lists]:
    """Make it at the first call, keep it for the next."""
    made: list[Lists] = []

    def get() -> Lists:
        if not made:
            made.append(make())
        return made[0]

    return get
