"""From three checked tables to one `Dataset`: who and what is kept, in which order."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bundle.limits import FEWEST_CLASSES, MOST_ATTRIBUTES
from training.data.classes import encode, stand_in_order
from training.data.common_config import AttributeConfig
from training.data.dataset import NAME_ALLOWED, UNKNOWN, Attribute, ColdItems, Dataset, can_name
from training.data.gather import NOTHING_MET, Gathered, gather
from training.data.modality import Features, have_any, of_items, refuse_unknown
from training.data.narrow import among, core_of, of_groups
from training.data.raw import RawTables, Table
from training.data.vector_ids import VectorIds
from training.errors import DataError

ITEMS_KNOWN = "ids of the items table, or of an interaction"
COLD = "cold items, which have features and nobody touched"


def assemble(
    raw: RawTables,
    attributes: Mapping[str, AttributeConfig] | None,
    positive_at_least: float | None,
    min_positives: int,
    vectors: VectorIds | None = None,
    only_groups: Sequence[str] = (),
    core: int = 1,
    classes_at_least: int = 1,
    features: Sequence[Features] = (),
    cold: Literal["keep", "drop"] = "keep",
) -> Dataset:
    """Join the tables, drop users with few positives, then items without a positive.

    Args:
        raw: what a reader found.
        attributes: which attributes, in the order wanted; None takes every column of the users table.
        positive_at_least: rating from which an interaction is a positive; None: all are.
        min_positives: users with fewer are dropped; a repeated (user, item) counts once, as it was last.
        vectors: where vectors were brought, the ids that have one: all of these items are kept, and every user of the
            table who is among these users, with interactions or without.
        only_groups: where some are named, items in exactly one of them are kept, as if no others were there.
        core: positives that users and items need among each other.
        classes_at_least: train users that a class needs, where its attribute does not say; they are not counted here.
        features: of items.
        cold: whether items with features that nobody touched are kept, apart from the others.

    Raises:
        DataError: tables that contradict each other, a threshold without ratings, an attribute with one class, a group
            that no item is in, or nobody left.
    """
    users = raw.users.frame["user"]
    _refuse_repeated(raw.users, "user")
    _refuse_repeated(raw.items, "item")
    chosen = _selected(raw.users, attributes)
    if len(chosen) > MOST_ATTRIBUTES:
        raise DataError(raw.users.file, f"has {len(chosen)} attributes", allowed=f"at most {MOST_ATTRIBUTES}")
    labelled = {name: _labels(raw, name, config) for name, config in chosen.items()}
    fewest = {name: config.classes_at_least or classes_at_least for name, config in chosen.items()}

    met = gather(raw.interactions, users, positive_at_least) if raw.interactions.columns else NOTHING_MET
    touched = met.ids if vectors is None else pl.concat([met.ids, vectors.items]).unique(maintain_order=True)
    refuse_unknown(features, pl.concat([touched, raw.items.frame["item"]]).unique(maintain_order=True), ITEMS_KNOWN)
    outside = {"items of none or several of the groups wanted": raw.items.frame.height}
    raw = replace(raw, items=of_groups(raw.items, only_groups))
    outside["items of none or several of the groups wanted"] -= raw.items.frame.height
    if vectors is None:
        met = among(met, raw.items) if only_groups else met
        outside["interactions outside the core"] = len(met.users)
        met = core_of(met, core)
        outside["interactions outside the core"] -= len(met.users)
        positives = np.bincount(met.users[met.positive], minlength=len(users))
        kept = np.flatnonzero(positives >= min_positives)
        if not kept.size:
            problem = f"no user has {min_positives} or more positives ({_threshold(positive_at_least)})"
            raise DataError(raw.interactions.file, problem)
        left_out = _left_out(raw, met, positives, min_positives)
        left_out |= {what: count for what, count in outside.items() if count}
        met = _of_kept(met, positives >= min_positives)
        listed = np.flatnonzero(np.bincount(met.items, minlength=len(met.ids)))
        whose = f"users with {min_positives} or more positives"
        whose += f"; items of exactly one of {len(only_groups)} groups" if only_groups else ""
        whose += f"; {core}-core" if core > 1 else ""
    else:
        kept = vectors.kept(raw.users)
        left_out = {**raw.left_out, **_repeated(met), **vectors.alone(raw.users, met.ids)}
        met = vectors.met(met)
        listed = np.arange(len(met.ids))
        whose = "users and items that have a vector"

    kept = kept[id_order(users[kept])]
    listed = listed[id_order(met.ids[listed])]
    place = np.empty(len(met.ids), dtype=np.int32)
    place[listed] = np.arange(len(listed), dtype=np.int32)
    indptr, order = _by_user(met.users, kept, len(users))

    new = _cold(raw.items, touched, features)
    untouched = "items that nobody touched"
    if new.len():
        left_out |= {untouched: left_out.get(untouched, 0) - new.len()}
        left_out |= {} if cold == "keep" else {f"{COLD}: cold = 'drop'": new.len()}
        left_out = {what: count for what, count in left_out.items() if count > 0}
    new = new if cold == "keep" else new.clear()

    unliked = len(met.ids) - len(listed)
    catalogue = met.ids[listed]
    everything = pl.concat([catalogue, new])
    known = everything.to_frame("item").join(raw.items.frame, on="item", how="left", maintain_order="left")
    titles = tuple(known["title"].fill_null("").to_list())
    groups = tuple(tuple(groups or ()) for groups in known["groups"].to_list())
    warm = len(catalogue)
    named = [
        _used(raw.users, name, chosen[name], fewest[name], classes, labels[kept])
        for name, (classes, labels) in labelled.items()
    ]
    return Dataset(
        users=tuple(users[kept].to_list()),
        items=tuple(catalogue.to_list()),
        titles=titles[:warm],
        groups=groups[:warm],
        attributes=tuple(attribute for attribute, _ in named),
        labels=np.array([labels for _, labels in named], dtype=np.int16).reshape(len(named), len(kept)).T.copy(),
        indptr=indptr,
        indices=place[met.items[order]],
        positive=met.positive[order],
        source=f"{raw.source}; {_threshold(positive_at_least)}; {whose}",
        left_out=left_out | ({"items without a positive": unliked} if unliked else {}),
        modalities=tuple(of_items(each, everything) for each in features),
        cold=ColdItems(tuple(new.to_list()), titles[warm:], groups[warm:]),
    )


def _cold(items: Table, touched: pl.Series, features: Sequence[Features]) -> pl.Series:
    """Ids of the items of the table that have features and that nobody has touched, in order."""
    ids = items.frame["item"]
    ids = ids.filter(~ids.is_in(touched.implode()) & pl.Series(have_any(features, ids), dtype=pl.Boolean))
    return ids.gather(id_order(ids)) if len(ids) else ids


def _of_kept(met: Gathered, users: NDArray[np.bool_]) -> Gathered:
    """Keep the interactions of flagged users (U,), then those with items that one of them likes."""
    met = met.taken(users[met.users])
    liked = np.zeros(len(met.ids), dtype=np.bool_)
    liked[met.items[met.positive]] = True
    return met.taken(liked[met.items])


def _left_out(raw: RawTables, met: Gathered, positives: NDArray[np.int64], fewest: int) -> dict[str, int]:
    """Count what of the three tables is in no dataset, but for what has nothing of its kind."""
    untouched = raw.items.frame["item"].is_in(met.ids.implode()).not_().sum()
    found = {
        "interactions of users without a row": met.unknown,
        **_repeated(met),
        "items that nobody touched": int(untouched),
        f"users with fewer than {fewest} positives": int((positives < fewest).sum()),
    }
    return {what: count for what, count in ({**raw.left_out, **found}).items() if count}


def _repeated(met: Gathered) -> dict[str, int]:
    """Count the interactions that a later one of the same user and item replaced."""
    return {"interactions that a later one of the same user and item replaces": met.replaced} if met.replaced else {}


def _by_user(
    owners: NDArray[np.int32], wanted: NDArray[np.int64], users: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order rows that lie together by user, owner by owner, as `wanted` (n,) has them.

    Returns:
        Row ends (n + 1,), and where each row lies now.
    """
    counts = np.bincount(owners, minlength=users)
    first = np.cumsum(counts) - counts
    indptr = np.concatenate([[0], np.cumsum(counts[wanted])]).astype(np.int64)
    return indptr, np.repeat(first[wanted] - indptr[:-1], counts[wanted]) + np.arange(indptr[-1])


def _selected(users: Table, attributes: Mapping[str, AttributeConfig] | None) -> Mapping[str, AttributeConfig]:
    if attributes is not None:
        return attributes
    names = [column for column in users.frame.columns if column != "user"]
    if not names:
        raise DataError(users.file, "has no attribute: no column besides the id")
    for name in names:
        if not can_name(name):
            problem = f"cannot name an attribute ({len(name)} characters)"
            allowed = f"{NAME_ALLOWED}; an attribute in the configuration may have the column as its `column`"
            raise DataError(users.file, problem, value=name, allowed=allowed)
    return {name: AttributeConfig() for name in names}


def _labels(raw: RawTables, name: str, config: AttributeConfig) -> tuple[tuple[str, ...], NDArray[np.int16]]:
    column = config.column or name
    return encode(raw.users, column, config, raw.classes.get(column))


def _used(
    users: Table,
    name: str,
    config: AttributeConfig,
    classes_at_least: int,
    classes: tuple[str, ...],
    labels: NDArray[np.int16],
) -> tuple[Attribute, NDArray[np.int16]]:
    """Leave out classes that no kept user has."""
    used = np.unique(labels[labels != UNKNOWN])
    if used.size < FEWEST_CLASSES:
        found = f"only {classes[used[0]]!r}" if used.size else "no label"
        problem = f"attribute {name!r} has {found} among the users kept"
        raise DataError(users.file, problem, allowed="two or more classes")
    there = tuple(classes[row] for row in used)
    merged = {each: config.merged[each] for each in there if each in config.merged}
    attribute = Attribute(name, there, stand_in_order(there, config), merged, classes_at_least)
    return attribute, np.where(labels == UNKNOWN, UNKNOWN, np.searchsorted(used, labels)).astype(np.int16)


def _refuse_repeated(table: Table, column: str) -> None:
    ids = table.frame[column]
    table.refuse(~ids.is_first_distinct(), column, "stands in an earlier row too", allowed="one row for each id")


def id_order(ids: pl.Series) -> NDArray[np.int64]:
    """Tell how to order ids, text (N,): by number where all are digits, else lexicographically."""
    digits = ids.str.strip_chars_start("0")
    keys = [digits.str.len_bytes(), digits, ids] if ids.str.contains("^[0-9]+$").all() else [ids]
    named = pl.DataFrame({str(place): key for place, key in enumerate(keys)})
    order = named.select(pl.arg_sort_by(named.columns)).to_series()
    return order.to_numpy().astype(np.int64)


def _threshold(positive_at_least: float | None) -> str:
    return "every interaction a positive" if positive_at_least is None else f"positive from {positive_at_least:g}"
