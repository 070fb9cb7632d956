"""Utility of lists for user groups: over intersections, error gaps, activity."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from measure.audit.sections.context import AT_LEAST, Answers, Context, K, Row
from measure.fairness.activity import by_activity
from measure.fairness.totals import divided, ends, totals
from measure.fairness.utility import errors, two_sided


def utilities(context: Context, answers: Answers) -> Iterator[Row]:
    """Hit rates of intersections of users by item group, their spread, and the error gaps of single attributes."""
    if context.crossed is None:
        return
    name, groups = context.crossed
    if not len(groups):
        return
    found = two_sided(answers.hits, context.positives, groups, AT_LEAST, context.bootstrap)
    spreads = {"cv": found.cv, "min": found.min, "ucv": found.ucv, "icv": found.icv}
    users = zip(groups.names, groups.sizes, strict=True)
    items = zip(context.items.names, found.users.sum(axis=0), strict=True)
    yield {
        "sensitive": list(answers.mask),
        "attributes": name,
        "users": [{"group": label, "n": int(size)} for label, size in users],
        "items": [{"group": label, "n": int(size)} for label, size in items],
        f"utility@{K}": [[None if np.isnan(cell) else float(cell) for cell in line] for line in found.utility],
        "ci95": [[None if np.isnan(cell).any() else cell.tolist() for cell in line] for line in found.ci95],
        "positives": found.users.tolist(),
        **{label: each.as_row() for label, each in spreads.items() if each.known},
        "errors": list(_errors(context, answers)),
    }


def _errors(context: Context, answers: Answers) -> Iterator[Row]:
    """The two classes of each attribute that differ most."""
    there = ~np.isnan(answers.hits)
    columns = np.stack([np.where(there, answers.hits, 0.0), there.astype(np.float64)], axis=1)
    for name, groups in context.groups.items():
        hits, users = totals(columns, groups).T
        rates = divided(hits, users)
        if (users > 0).sum() < 2:
            continue
        gap = errors(float(np.nanmax(rates)), float(np.nanmin(rates)), K)
        between = [groups.names[place] for place in ends(rates)]
        row: Row = {"attribute": name, "between": between, "n": int(users.sum())}
        yield row | {f"e@{K}": gap.e, "precision_gap": gap.precision}


def activities(context: Context, answers: Answers) -> Iterator[Row]:
    """The most active users beside the others; none where either are too few."""
    parted = by_activity(context.interactions)
    there = ~np.isnan(answers.ndcg)
    sizes = [int(there[rows].sum()) for rows in parted.groups.members]
    if min(sizes) < AT_LEAST:
        return
    sides = {
        label: {"n": size, f"ndcg@{K}": float(np.nanmean(answers.ndcg[rows]))}
        for label, size, rows in zip(parted.groups.names, sizes, parted.groups.members, strict=True)
    }
    row: Row = {
        "sensitive": list(answers.mask),
        "gap": context.bootstrap.difference(answers.ndcg, parted.groups).as_row(),
    }
    yield row | sides | {"interactions_at_least": parted.threshold}
