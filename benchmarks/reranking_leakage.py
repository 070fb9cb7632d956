"""What re-ranked lists show of an attribute that is protected: those that are allowed, and those that are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balance.candidates import Candidates, Places, scaled
from balance.cpfair import Producers, two_sided
from balance.errors import InfeasibleError
from balance.shares import ItemShares
from balance.targets import catalogue
from balance.tfrom import tfrom_offline
from balance.user_fairness import user_fair
from bundle import Bundle
from bundle.contents import AUDIT_USER
from measure.fairness.activity import by_activity
from measure.features import list_features, side_by_side
from measure.leakage import Users, leakage
from measure.profiles import QUICK
from training.card.views import Views

LOOK = replace(QUICK, name="look", attackers=("logistic",))


def leaks(bundle: Bundle, views: Views, attribute: str, count: int, k: int, time_s: float) -> list[dict[str, Any]]:
    """Attack lists of k under the mask of one attribute of two classes, seen items kept, by logistic regressions.

    Alone, and beside the lists that requests get: the difference tells in whose list was changed. The solver has
    ``time_s`` for one program.
    """
    population, shares = views.population, ItemShares(bundle.items.groups)
    labels = population.labels[:, bundle.description.attribute_names.index(attribute)].astype(np.int64)
    vectors = views.fair_vectors((attribute,))
    items = views.lists_of(vectors, count)
    scores = views.scorer.scores(vectors, items)
    filled = np.ones(items.shape, np.bool_)
    candidates, quality = Candidates(items, scaled(scores, filled)), scores / abs(scores[:, :k].sum(axis=1).mean())
    target = catalogue(shares)
    active = by_activity(np.diff(population.seen_indptr)).groups.of

    def uof(groups: NDArray[np.int64]) -> Places:
        lists = quality[:, :k].sum(axis=1)
        gap = abs(float(lists[groups == 0].mean() - lists[groups == 1].mean()))
        return user_fair(candidates, quality, groups, k, 0.01 * gap, time_s=time_s).places

    made: Mapping[str, Callable[[], Places]] = {
        "as ranked": lambda: np.tile(np.arange(k), (len(items), 1)),
        "TFROM offline, catalogue": lambda: tfrom_offline(candidates, shares, target, k),
        "CPFair, catalogue, λ1 0, λ2 1": lambda: (
            two_sided(candidates, k, None, Producers(shares, target, 1.0), time_s=time_s).places
        ),
        f"UOF, {attribute}, gap × .01 (refused)": lambda: uof(labels),
        "UOF, activity, gap × .01 (refused)": lambda: uof(active),
    }
    users = Users(np.flatnonzero(population.split == AUDIT_USER), np.flatnonzero(population.split == 0))
    rows: list[dict[str, Any]] = []
    ranked = list_features(items[:, :k], len(bundle.items.ids))
    for name, make in made.items():
        try:
            places = make()
        except InfeasibleError as error:
            print(f"{name}: {error}", flush=True)
            continue
        alone = list_features(np.take_along_axis(items, places, axis=1), len(bundle.items.ids))
        views_of = {"alone": alone} | ({"beside": side_by_side([ranked, alone])} if rows else {})
        row: dict[str, Any] = {"name": name, "changed": float((places != np.arange(k)).any(axis=1).mean())}
        for view, features in views_of.items():
            found = leakage(features, labels, users, LOOK, attribute=attribute, target=f"list@{k}")
            best = found.attackers[found.strongest]
            row[view] = {"auc": best.auc, "ci95": best.ci95, "chance95": found.permutation95, "n": found.n}
        rows.append(row)
        print(row, flush=True)
    return rows


def leaks_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row for each re-ranker."""
    lines = ["| lists | changed | AUC (95 %) | beside the lists as ranked |", "|---|---|---|---|"]
    for row in rows:
        cells = [
            f"{row[view]['auc']:.3f} ({row[view]['ci95'][0]:.3f} - {row[view]['ci95'][1]:.3f})" if view in row else ""
            for view in ("alone", "beside")
        ]
        lines.append(f"| {row['name']} | {row['changed']:.0%} | {' | '.join(cells)} |")
    return "\n".join(lines)
