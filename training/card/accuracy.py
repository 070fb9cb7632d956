"""Accuracy on held-out positives: by mask, by group, and for users that the base model never saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from measure.accuracy import accuracy, full_ranks, ndcg_at, sample_negatives, sampled_ranks
from measure.candidates import CandidateStep, candidate_step
from measure.errors import MeasureError
from measure.labels import merge_rare
from training.card.views import Views
from training.data.split import AUDIT
from training.masks import Mask

Row = dict[str, Any]
Rows = NDArray[np.bool_]
RECALLED = 10
"""Length of the list that candidates should hold."""
REST = "other"
"""What the classes too rare to be measured are called together."""


class Ranks(NamedTuple):
    """(U,) rank of each user's positive, -1 for none."""

    sampled: NDArray[np.int64]
    full: NDArray[np.int64]
    step: CandidateStep | None
    """Where a model's own scores order candidates only."""


def accuracy_of(views: Views, masks: Sequence[Mask]) -> Row:
    """The card's ``accuracy``; ``folded_in`` is absent where there are no such users to measure."""
    audit, description = views.audit, views.bundle.description
    strict = description.mode == "strict"
    new = audit.folded_in
    rows = (audit.split == AUDIT) & ~new if strict else ~new
    indptr, indices = _not_ranked_against(views)
    seed = description.seeds["run"] + 1
    negatives = sample_negatives(indptr, indices, len(views.scorer.items), seed=seed)
    positive = np.where(rows | new, audit.test, -1)

    def ranked(users: NDArray[np.float32]) -> Ranks:
        near = sampled_ranks(users, views.scorer, positive, negatives)
        far = full_ranks(users, views.scorer, positive, indptr, indices)
        step = candidate_step(RECALLED, users, views.scorer, positive, indptr, indices) if views.scorer.own else None
        return Ranks(near, far, step)

    base = ranked(views.scored(audit.base))
    by_mask = {mask: ranked(views.fair(mask)) for mask in masks}
    section: Row = {
        "protocol": {
            "users": "audit" if strict else "all",
            "positive": "last positive of each user in time",
            "against": "items not in seen" if strict else "items that are no positive of the user",
            "sampled_negatives": negatives.shape[1],
            "seed": seed,
            **({"candidates": views.scorer.candidates} if views.scorer.own else {}),
        },
        "by_mask": [_row(views, mask, found, base, rows) for mask, found in by_mask.items()],
    }
    if (positive[new] >= 0).any():
        section["folded_in"] = [_row(views, mask, found, base, new) for mask, found in by_mask.items()]
    return section


def _not_ranked_against(views: Views) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Items that a positive is not ranked against: seen ones; in `reproduce`, the user's positives (CSR)."""
    indptr, indices = views.bundle.seen.indptr, views.bundle.seen.indices
    if views.bundle.description.mode == "strict":
        return indptr, indices
    positive = views.audit.positive
    return np.concatenate([[0], np.cumsum(positive)])[indptr].astype(np.int64), indices[positive]


def _row(views: Views, mask: Mask, found: Ranks, base: Ranks, rows: Rows) -> Row:
    row = {"sensitive": list(mask), **_beside_base(found, base, rows), "groups": _by_group(views, found, base, rows)}
    if found.step and base.step:
        row["candidates"] = _candidates(found.step, rows) | {"base": _candidates(base.step, rows)}
    return row


def _candidates(step: CandidateStep, rows: Rows) -> Row:
    """Share of the model's own first items that are candidates, and accuracy were every item one."""
    ranks = step.ranks[rows]
    return {
        f"recall@{RECALLED}": float(np.nanmean(step.recall[rows])),
        "full_without": {"ndcg@10": float(ndcg_at(10, ranks[ranks >= 0]).mean())},
    }


def _beside_base(found: Ranks, base: Ranks, rows: Rows) -> Row:
    reference = accuracy(base.sampled, base.full, rows)
    return {
        **accuracy(found.sampled, found.full, rows),
        "base": {"sampled": reference["sampled"], "full": reference["full"]},
    }


def _by_group(views: Views, found: Ranks, base: Ranks, rows: Rows) -> Row:
    """Accuracy of every class of every attribute; an attribute whose users form less than two groups is absent."""
    groups: Row = {}
    for index, attribute in enumerate(views.bundle.description.attributes):
        try:
            listed = list(_groups(views.audit.labels[:, index].astype(np.int64), attribute.classes, rows, views))
            groups[attribute.name] = [{"class": name, **_beside_base(found, base, members)} for name, members in listed]
        except MeasureError:
            continue
    return groups


def _groups(
    labels: NDArray[np.int64], classes: Sequence[str], rows: Rows, views: Views
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Each class with the flags of its users; those with under 30 audit users are one class."""
    counted = rows & (views.audit.split == AUDIT)
    for members in merge_rare(labels, np.flatnonzero(counted)).classes:
        together = REST if REST not in classes else f"{REST} (together)"
        yield classes[members[0]] if len(members) == 1 else together, rows & np.isin(labels, members)
