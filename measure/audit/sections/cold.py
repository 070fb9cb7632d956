"""Cold items, which nobody has touched: how often they are shown, and to whom."""

from __future__ import annotations

from collections.abc import Iterator

from measure.audit.sections.context import Answers, Context, K, Row
from measure.fairness import exposure, parity
from measure.fairness.totals import totals


def cold_items(context: Context, answers: Answers) -> Iterator[Row]:
    """Their share of position-weighted exposure, and of users whose list has one: of everybody, then by class."""
    if context.cold is None:
        return
    rows = exposure.rows_of(answers.lists, context.cold)
    listed = parity.shown(answers.lists, context.cold)[:, 0]
    share = context.bootstrap.ratio(rows[:, 0], rows.sum(axis=1))
    if not share.known:
        return
    mask = list(answers.mask)
    found = {f"exposure@{K}": share, f"listed@{K}": context.bootstrap.mean(listed)}
    yield {"sensitive": mask, "n": len(rows)} | {name: each.as_row() for name, each in found.items()}
    for name, groups in context.groups.items():
        gap = exposure.gap(rows, groups, context.bootstrap, context.shuffles(name))
        if gap is None:
            continue
        shares = exposure.shares(totals(rows, groups))[:, 0]
        rates = totals(listed[:, None], groups)[:, 0] / groups.sizes
        told = zip(groups.names, groups.sizes.tolist(), shares.tolist(), rates.tolist(), strict=True)
        yield {
            "sensitive": mask,
            "attribute": name,
            "groups": [
                {"class": label, "n": size, f"exposure@{K}": part, f"listed@{K}": rate}
                for label, size, part, rate in told
                if part == part  # NaN of a class that was shown nothing
            ],
            "gap": gap.as_row(),
        }
