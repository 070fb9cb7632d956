"""Accuracy on held-out positives: by mask, by group, and for users that the base model never saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from measure.accuracy import accuracy, ndcg_at, sample_negatives, sampled_ranks
from measure.audit.progress import Steps
from measure.audit.subject import Subject
from measure.candidates import CandidateStep, candidate_step
from measure.errors import MeasureError
from measure.fairness.estimate import Bootstrap
from measure.fairness.groups import named
from measure.labels import merge_rare
from measure.masks import Mask

Row = dict[str, Any]
Rows = NDArray[np.bool_]
RECALLED = 10
"""Length of the list that candidates should hold."""


class Ranks(NamedTuple):
    """(U,) rank of each user's positive, -1 for none."""

    sampled: NDArray[np.int64]
    full: NDArray[np.int64]
    step: CandidateStep | None
    """Where a model's own scores order candidates only."""


def accuracy_of(subject: Subject, masks: Sequence[Mask], seed: int, steps: Steps) -> Row:
    """The card's ``accuracy``; ``folded_in`` is absent where there are no such users to measure."""
    population = subject.population
    held_out, (indptr, indices) = population.held_out, population.not_ranked_against
    drawn = seed + 1
    negatives = sample_negatives(indptr, indices, len(subject.scorer.items), seed=drawn)

    def ranked(users: NDArray[np.float32], full: NDArray[np.int64]) -> Ranks:
        near = sampled_ranks(users, subject.scorer, held_out, negatives)
        step = (
            candidate_step(RECALLED, users, subject.scorer, held_out, indptr, indices) if subject.scorer.own else None
        )
        steps.step()
        return Ranks(near, full, step)

    bootstrap = Bootstrap(max(1, int(population.rated.sum())), seed)
    steps.begin("ranking held-out items")
    base = ranked(subject.base, subject.base_ranks())
    by_mask = {mask: ranked(subject.fair(mask), subject.full_ranks(mask)) for mask in masks}
    section: Row = {
        "protocol": {
            "users": "audit" if population.strict else "all",
            "positive": "last positive of each user in time",
            "against": "items not in seen" if population.strict else "items that are no positive of the user",
            "sampled_negatives": negatives.shape[1],
            "seed": drawn,
            **({"candidates": subject.scorer.candidates} if subject.scorer.own else {}),
        },
        "by_mask": [
            _row(subject, mask, found, base, population.rated)
            | {"kept": _kept(bootstrap, found, base, population.rated)}
            for mask, found in by_mask.items()
        ],
    }
    if (held_out[population.new] >= 0).any():
        new = population.new
        section["folded_in"] = [_row(subject, mask, found, base, new) for mask, found in by_mask.items()]
    return section


def _row(subject: Subject, mask: Mask, found: Ranks, base: Ranks, rows: Rows) -> Row:
    row = {"sensitive": list(mask), **_beside_base(found, base, rows), "groups": _by_group(subject, found, base, rows)}
    if found.step and base.step:
        row["candidates"] = _candidates(found.step, rows) | {"base": _candidates(base.step, rows)}
    return row


def _kept(bootstrap: Bootstrap, found: Ranks, base: Ranks, rows: Rows) -> Row:
    """Share of the base's accuracy that is left, over the same users; absent where the base has none."""
    pairs = {"sampled": (found.sampled, base.sampled), "full": (found.full, base.full)}
    kept = {
        kind: bootstrap.ratio(ndcg_at(10, ranks[rows]), ndcg_at(10, unprotected[rows]))
        for kind, (ranks, unprotected) in pairs.items()
    }
    return {kind: {"ndcg@10": share.as_row()} for kind, share in kept.items() if share.known}


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


def _by_group(subject: Subject, found: Ranks, base: Ranks, rows: Rows) -> Row:
    """Accuracy of every class of every attribute; an attribute whose users form less than two groups is absent."""
    groups: Row = {}
    for name, classes in subject.population.attributes.items():
        try:
            listed = list(_groups(subject, name, classes, rows))
            groups[name] = [{"class": label, **_beside_base(found, base, members)} for label, members in listed]
        except MeasureError:
            continue
    return groups


def _groups(subject: Subject, name: str, classes: Sequence[str], rows: Rows) -> Iterator[tuple[str, Rows]]:
    """Each class with the flags of its users; those with under 30 audit users are one class."""
    labels, counted = subject.population.label(name), rows & subject.population.looked_at
    merge = merge_rare(labels, np.flatnonzero(counted))
    for label, members in zip(named(merge, classes), merge.classes, strict=True):
        yield label, rows & np.isin(labels, members)
