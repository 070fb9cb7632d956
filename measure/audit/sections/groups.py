"""The exposure of user groups: exposure, parity, clients. One row for each attribute that can be measured."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from measure.audit.sections.context import AT_LEAST, Answers, Context, K, Row
from measure.fairness import exposure, parity
from measure.fairness.clients import gaps
from measure.fairness.opportunity import opportunity
from measure.fairness.totals import spread, totals


def exposures(context: Context, answers: Answers) -> Iterator[Row]:
    """Shares of position-weighted exposure, and how far the classes lie apart."""
    for name, groups in context.groups.items():
        gap = exposure.gap(answers.exposure, groups, context.bootstrap, context.shuffles(name))
        if gap is None:
            continue
        shares = exposure.shares(totals(answers.exposure, groups))
        rows = [
            {"class": label, "n": int(size), "shares": dict(zip(context.items.names, map(float, share), strict=True))}
            for label, size, share in zip(groups.names, groups.sizes, shares, strict=True)
            if not np.isnan(share).any()
        ]
        yield {
            "sensitive": list(answers.mask),
            "attribute": name,
            "groups": rows,
            "total_variation": gap.as_row(),
        }


def parities(context: Context, answers: Answers) -> Iterator[Row]:
    """The exposure of classes, and how often their held-out item is found."""
    for name, groups in context.groups.items():
        dealt = context.shuffles(name)
        found = opportunity(answers.hits, groups, context.bootstrap, dealt)
        rows: dict[str, Row] = {
            label: {"class": label, "n": int(size)} for label, size in zip(groups.names, groups.sizes, strict=True)
        }
        for label, hits in found.hits.items():
            rows[label] |= {"positives": found.users[label], f"hit@{K}": hits}
        row: Row = {"sensitive": list(answers.mask), "attribute": name, "groups": list(rows.values())}
        if context.several_item_groups:
            shares = parity.rates(answers.shown, groups)
            for label, share in zip(groups.names, shares, strict=True):
                rows[label]["shares"] = dict(zip(context.items.names, map(float, share), strict=True))
            demographic = parity.demographic(answers.shown, context.items.names, groups, context.bootstrap, dealt)
            row |= {"demographic": demographic.as_row()} if demographic else {}
        if found.gap:
            row["opportunity"] = found.gap.as_row()
        differential = parity.differential(answers.lists, context.item_count, groups, AT_LEAST, dealt)
        yield row | ({"differential": differential.as_row()} if differential else {})


def clients(context: Context, answers: Answers) -> Iterator[Row]:
    """The item group whose demographic gap is largest over everybody, inside the classes of another attribute."""
    for name, groups in context.groups.items():
        other = context.clients_of(name)
        if other is None:
            continue
        worst = int(np.nanargmax(spread(parity.rates(answers.shown, groups))))
        flags = answers.shown[:, worst]
        found = gaps(flags, groups, context.groups[other], AT_LEAST, shuffles=context.shuffles(name, other))
        row: Row = {"sensitive": list(answers.mask), "attribute": name, "clients": other}
        row |= {"item_group": context.items.names[worst], "global": found.overall}
        if found.by_client:
            row["local"] = {"max": found.highest, "mean": found.mean}
            if found.permutation95 is not None:
                row["local"]["permutation95"] = found.permutation95
        rows = [{"client": client, "n": n, "value": value} for client, (n, value) in found.by_client.items()]
        yield row | {"by_client": rows, "withheld": list(found.withheld)}
