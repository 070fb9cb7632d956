"""Accuracy on held-out positives: by mask, by group, for light users, and for those that the base model never saw."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from measure.accuracy import NEGATIVES, accuracy, ndcg_at, sample_negatives, sampled_ranks, unseen_counts
from measure.audit.progress import Steps
from measure.audit.reasons import Reason, not_measured, reason_of
from measure.audit.scope import LIGHT
from measure.audit.subject import Subject
from measure.candidates import CandidateStep, candidate_step
from measure.errors import MeasureError
from measure.fairness.estimate import Bootstrap
from measure.labels import merge_rare
from measure.masks import Mask
from measure.scoring import Scorer

Row = dict[str, Any]
Rows = NDArray[np.bool_]
RECALLED = 10
"""Length of the list that candidates should hold."""
AGAINST_AT_LEAST = {"sampled": NEGATIVES, "full": 50}
"""Unseen items that a positive must be ranked against for its rank to say anything: as many as are sampled; and in
full, so many that a random order scores an nDCG@10 under .1."""
FEWER_AT_MOST = 0.01
"""Share of the users that may be ranked against fewer: those whose positive is found anyway move a mean little."""


class Ranks(NamedTuple):
    """(U,) rank of each user's positive, -1 for none."""

    sampled: NDArray[np.int64]
    full: NDArray[np.int64]
    step: CandidateStep | None
    """Where a model's own scores order candidates only."""


def accuracy_of(subject: Subject, masks: Sequence[Mask], seed: int, steps: Steps) -> Row:
    """The card's ``accuracy``; ``folded_in`` and ``light`` are absent where there are no such users to measure.

    What could not be measured is in ``protocol.not_measured``: all of it, or what a kind of ranking keeps.
    """
    population = subject.population
    rated = population.rated & (population.held_out >= 0)
    try:
        if rated.any():
            return _measured(subject, masks, seed, steps)
        found = f"none of {int(population.rated.sum()):,} users has a held-out positive"
        refusal = not_measured(Reason.NO_HELD_OUT, found)
    except MeasureError as error:
        refusal = not_measured(reason_of(error), str(error))
    return {"protocol": {"users": _whose(subject), "not_measured": [refusal]}, "by_mask": []}


def _measured(subject: Subject, masks: Sequence[Mask], seed: int, steps: Steps) -> Row:
    population = subject.population
    held_out, (indptr, indices) = population.held_out, population.not_ranked_against
    drawn = seed + 1
    negatives = sample_negatives(indptr, indices, len(subject.scorer.items), seed=drawn)

    def ranked(users: NDArray[np.float32], scorer: Scorer, full: NDArray[np.int64]) -> Ranks:
        near = sampled_ranks(users, scorer, held_out, negatives)
        step = candidate_step(RECALLED, users, scorer, held_out, indptr, indices) if scorer.own else None
        steps.step()
        return Ranks(near, full, step)

    bootstrap = Bootstrap(max(1, int(population.rated.sum())), seed)
    steps.begin("ranking held-out items")
    base = ranked(subject.base, subject.base_scorer, subject.base_ranks())
    by_mask = {mask: ranked(subject.fair(mask), subject.scorer, subject.full_ranks(mask)) for mask in masks}
    unseen = unseen_counts(indptr, indices, len(subject.scorer.items))[population.rated & (held_out >= 0)]
    unkept = {**_no_base(base, population.rated), **_too_few_items(unseen)}
    section: Row = {
        "protocol": {
            "users": _whose(subject),
            "positive": "last positive of each user in time",
            "against": "items not in seen" if population.strict else "items that are no positive of the user",
            "sampled_negatives": negatives.shape[1],
            "seed": drawn,
            **({"candidates": subject.scorer.candidates} if subject.scorer.own else {}),
            "not_measured": list(unkept.values()),
        },
        "by_mask": [
            _row(subject, mask, found, base, population.rated)
            | {"kept": _kept(bootstrap, found, base, population.rated, unkept)}
            for mask, found in by_mask.items()
        ],
    }
    for name, users in (("folded_in", population.new), (LIGHT, population.light)):
        if (held_out[users] >= 0).any():
            section[name] = [_row(subject, mask, found, base, users) for mask, found in by_mask.items()]
    return section


def _row(subject: Subject, mask: Mask, found: Ranks, base: Ranks, rows: Rows) -> Row:
    row = {"sensitive": list(mask), **_beside_base(found, base, rows), "groups": _by_group(subject, found, base, rows)}
    if found.step and base.step:
        row["candidates"] = _candidates(found.step, rows) | {"base": _candidates(base.step, rows)}
    return row


def _whose(subject: Subject) -> str:
    return "audit" if subject.population.strict else "all"


def _too_few_items(unseen: NDArray[np.int64]) -> Row:
    """Kinds of ranking in which nearly any order finds a positive, and why; by unseen items of each user ranked."""
    found: Row = {}
    for kind, needed in AGAINST_AT_LEAST.items():
        fewer = int((unseen < needed).sum())
        if fewer > FEWER_AT_MOST * len(unseen):
            told = f"{fewer:,} of {len(unseen):,} users are ranked against fewer than {needed} unseen items"
            told += f" ({int(np.median(unseen)):,} in the middle)"
            found[kind] = not_measured(Reason.TOO_FEW_ITEMS, f"{kind}: {told}", metric=kind)
    return found


def _no_base(base: Ranks, rows: Rows) -> Row:
    """Kinds of ranking in which the user vectors themselves find nothing, and why."""
    found: Row = {}
    for kind, ranks in (("sampled", base.sampled), ("full", base.full)):
        own = ranks[rows & (ranks >= 0)]
        if not ndcg_at(10, own).any():
            told = f"{kind}: the user vectors find none of {len(own):,} held-out positives, so there is nothing to keep"
            found[kind] = not_measured(Reason.NO_BASE, told, metric=kind)
    return found


def _kept(bootstrap: Bootstrap, found: Ranks, base: Ranks, rows: Rows, unkept: Row) -> Row:
    """Share of the base's accuracy that is left, over the same users; absent where that says nothing."""
    pairs = {"sampled": (found.sampled, base.sampled), "full": (found.full, base.full)}
    kept = {
        kind: bootstrap.ratio(ndcg_at(10, ranks[rows]), ndcg_at(10, unprotected[rows]))
        for kind, (ranks, unprotected) in pairs.items()
        if kind not in unkept
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
    merge = merge_rare(labels, np.flatnonzero(counted), ordered=subject.population.in_order(name))
    for label, members in zip(merge.names(classes), merge.classes, strict=True):
        yield label, rows & np.isin(labels, members)
