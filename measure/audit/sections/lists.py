"""Properties of lists, for all users together: overlap, calibration, catalogue."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from measure.audit.sections.context import Answers, Context, K, Row
from measure.fairness.calibration import system_kl, user_kl
from measure.fairness.catalogue import coverage, gini, item_exposure
from measure.fairness.items import listed
from measure.fairness.overlap import overlap


def overlaps(context: Context, answers: Answers, reference: Answers) -> Iterator[Row]:
    """The list of each user beside the same user's list under the reference mask, which has no row itself."""
    if answers.mask == reference.mask:
        return
    found = overlap(reference.lists, answers.lists, context.item_count)
    estimates = {f"jaccard@{K}": found.jaccard, f"rbo@{K}": found.rbo}
    compared = int((~np.isnan(found.jaccard)).sum())
    if compared:
        yield {
            "sensitive": list(answers.mask),
            "n": compared,
            **{name: context.bootstrap.mean(values).as_row() for name, values in estimates.items()},
        }


def calibrations(context: Context, answers: Answers) -> Iterator[Row]:
    """The proportions of each list beside those of the user's history, and of all lists beside equal ones."""
    own = user_kl(context.history, listed(answers.lists, context.items, np.ones(K), shared=True))
    row: Row = {"sensitive": list(answers.mask), "n": int((~np.isnan(own)).sum())}
    together = system_kl(answers.exposure.sum(axis=0))
    if row["n"]:
        row["user_kl"] = context.bootstrap.mean(own).as_row()
    if np.isfinite(together):
        yield row | {"system_kl": together}


def catalogues(context: Context, answers: Answers) -> Iterator[Row]:
    """The part of the catalogue that all audit users together are shown."""
    exposure = item_exposure(answers.lists, context.item_count)
    if exposure.any():
        row: Row = {"sensitive": list(answers.mask), "n": len(answers.lists)}
        yield row | {f"coverage@{K}": coverage(exposure), f"gini@{K}": gini(exposure)}
