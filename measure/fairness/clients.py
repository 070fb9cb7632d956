"""Whether an item group is shown alike to user groups, over everybody and inside each client.

A client is whoever asks: a tenant, a region, an API key, or a group of users taken for one. Everybody together can be
even where single clients are not, and the other way round (Simpson's paradox).

Rows are (user, client) pairs: one user may be met at several clients.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from measure.errors import ShapeError
from measure.fairness.groups import Groups
from measure.fairness.shuffles import Shuffles
from measure.fairness.totals import divided, largest, spread, totals
from measure.labels import RARE_BELOW
from measure.scoring import Floats

INSIDE_AT_LEAST = 10
"""Users of a group that a client needs for the group to be compared there."""


class Clients(NamedTuple):
    """One gap over everybody, and one of each client."""

    overall: float
    """In [0, 1]; 0: shown to the same share of every user group."""
    by_client: dict[str, tuple[int, float]]
    """Client → its users and its gap; clients too small are absent."""
    highest: float
    """The largest of them; NaN where there is none."""
    mean: float
    """Their mean, each client counting once; NaN where there is none."""
    withheld: tuple[str, ...]
    """Clients with users, but too few."""
    permutation95: float | None = None
    """The 95 % point of the largest one if groups are shuffled inside each client."""


def gaps(
    flags: Floats,
    groups: Groups,
    clients: Groups,
    at_least: int = RARE_BELOW,
    inside_at_least: int = INSIDE_AT_LEAST,
    shuffles: Shuffles | None = None,
) -> Clients:
    """Local and global gap: max over g, h of |P(shown | g) - P(shown | h)|, over all rows and those of each client.

    Args:
        flags: shape (n,), 1 where the item group is in the list, else 0.
        groups: of the n rows, G of them.
        clients: of the n rows, K of them.
        at_least: rows in a group that a client needs to be measured.
        inside_at_least: rows of a group that a client needs for that group to be compared; a client with fewer than two
            such groups is withheld.
        shuffles: of the groups within the clients; None to leave out what chance alone gives.

    Source:
        Global and local demographic parity of Zhang et al. (LoGoFair), AAAI 2025, with "shown in the list" as the
        positive decision.
    """
    if flags.shape != groups.of.shape or flags.shape != clients.of.shape:
        raise ShapeError("flags", flags.shape, f"{groups.of.shape}, as groups and clients {clients.of.shape}")
    by_group = totals(np.stack([flags, np.ones(len(flags))], axis=1), groups)
    overall = largest(spread(divided(by_group[:, :1], by_group[:, 1:])), 1)

    at = (clients.of[:, None] == np.arange(len(clients))).astype(np.float64)
    columns = np.concatenate([at * flags[:, None], at], axis=1)  # (n, 2 K)
    inside = totals(columns, groups)[:, len(clients) :]  # (G, K) rows
    users = inside.sum(axis=0).astype(np.int64)
    compared = (inside >= inside_at_least) & (users >= at_least)

    def local(sums: NDArray[Any]) -> NDArray[Any]:
        shown, all_ = sums[..., : len(clients)], sums[..., len(clients) :]
        return spread(np.where(compared, divided(shown, all_), np.nan))

    values = local(totals(columns, groups))
    measured = {
        name: (int(users[place]), float(values[place]))
        for place, name in enumerate(clients.names)
        if not np.isnan(values[place])
    }
    found = [value for _, value in measured.values()]
    return Clients(
        float(overall),
        measured,
        max(found, default=float("nan")),
        float(np.mean(found)) if found else float("nan"),
        tuple(name for place, name in enumerate(clients.names) if users[place] and name not in measured),
        shuffles.percentile95(lambda sums: largest(local(sums), 1), columns) if shuffles and found else None,
    )
