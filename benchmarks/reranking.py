"""What re-rankers over all users do to accuracy and to groups, on one bundle.

    .venv/bin/python benchmarks/reranking.py BUNDLE [--candidates 100] [--only WORDS]

BUNDLE is a trained one with audit/; for the committed results, that of training/configs/ml1m-als-lattice.toml. Lists of
ten for every user who has a held-out positive, by the base's own vectors (nothing protected), seen items left out. A
re-ranker chooses among the best candidates; its quality is the score or, where the row says so, the held-out positive
itself, as in the public code of UOF: nobody has it who serves. *N@10* is over the held-out positives; *gap* is of N@10
between the 5 % most active users and the others, or women and men, *by score* that of lists' scores, in the mean's;
*deviation* is Σ |share of exposure − target| over item groups. Below, tilts of PCT are solved for users' candidates
under each mask: total variation between the mean of users' targets and the target, with a tilt for each mask and with
that of no mask for all; and lists of ten under {gender}, seen items kept, are attacked by logistic
regressions. Writes
reranking.json, and the tables of reranking.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from command import ROOT, Command
from machine import circumstances, sentence
from numpy.typing import NDArray
from report import write_between
from reranking_leakage import leaks, leaks_table

from balance.calibration import calibrated
from balance.candidates import Candidates, scaled
from balance.cpfair import Consumers, Producers, two_sided
from balance.errors import InfeasibleError
from balance.pct import solve_tilt, tilted
from balance.selection import TIME_S
from balance.shares import ItemShares, discount
from balance.targets import catalogue, uniform
from balance.tfrom import tfrom_offline, tfrom_online
from balance.user_fairness import f1_quality, user_fair
from bundle import Bundle, read_bundle
from measure.fairness.activity import by_activity
from measure.fairness.calibration import system_kl, user_kl
from measure.fairness.estimate import Bootstrap
from measure.fairness.groups import Groups
from measure.ranking import top_items
from training.card.views import Views

K = 10
PACKAGES = ("numpy", "scipy")


@dataclass(frozen=True)
class People:
    """Users with a held-out positive, their candidates, and what is measured on lists."""

    candidates: Candidates
    """Relevance: scores brought to [0, 1] over a user's candidates, as `service lists --rerank` has them."""
    quality: NDArray[np.float64]
    """(n, C) scores, as shares of what the mean list as ranked has of them."""
    liked: NDArray[np.bool_]
    """(n, C) the held-out positive."""
    shares: ItemShares
    history: NDArray[np.float64]
    """(n, G) what each has seen, by item group."""
    groups: Mapping[str, Groups]
    bootstrap: Bootstrap

    def measured(self, places: NDArray[np.integer[Any]]) -> dict[str, float]:
        """Figures of lists given by places."""
        weights = discount(K)
        filled = places >= 0
        at = np.maximum(places, 0)
        hits = np.where(filled, np.take_along_axis(self.liked, at, axis=1), False)
        items = np.where(filled, np.take_along_axis(self.candidates.items, at, axis=1), -1)
        quality = np.where(filled, np.take_along_axis(self.quality, at, axis=1), 0.0).sum(axis=1)
        rows = self.shares.exposure(items, weights)
        total = rows.sum(axis=0)
        found = {"ndcg": float((hits @ weights).mean()), "system_kl": system_kl(total)}
        found["user_kl"] = float(np.nanmean(user_kl(self.history, rows)))
        for name, target in (("catalogue", catalogue(self.shares)), ("uniform", uniform(self.shares))):
            found[f"off_{name}"] = float(np.abs(total / total.sum() - target).sum())
        for name, groups in self.groups.items():
            gap = self.bootstrap.difference(hits @ weights, groups)
            found[f"gap_{name}"] = gap.value
            found[f"gap_{name}_ci"] = gap.ci95  # type: ignore[assignment]
            found[f"score_gap_{name}"] = abs(float(quality[groups.of == 0].mean() - quality[groups.of == 1].mean()))
        return found


def people_of(bundle: Bundle, views: Views, count: int) -> People:
    """Everybody with a held-out positive."""
    population = views.population
    users = np.flatnonzero(population.test >= 0)
    owner = np.repeat(np.arange(len(population.test)), np.diff(population.seen_indptr))
    kept = (population.seen_indices != population.test[owner]) & np.isin(owner, users)
    rows = np.searchsorted(users, owner[kept])
    ends = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(users)))])
    seen = (ends, population.seen_indices[kept])
    vectors = views.scored(population.base)[users]
    items = top_items(vectors, views.scorer, count, seen)
    scores = views.scorer.scores(vectors, np.maximum(items, 0))
    shares = ItemShares(bundle.items.groups)
    history = np.zeros((len(users), len(shares)))
    for level, size in enumerate(shares.kinds):
        of_kind = shares.kind[seen[1]] == level
        for column in range(shares.columns.shape[1]):
            there = of_kind & (shares.columns[seen[1], column] < len(shares))
            np.add.at(history, (rows[there], shares.columns[seen[1][there], column]), size)
    groups = {"activity": by_activity(np.diff(ends)).groups}
    for place, each in enumerate(bundle.description.attributes):
        if len(each.classes) == 2:
            groups[each.name] = Groups(tuple(each.classes), population.labels[users, place].astype(np.int64))
    liked = items == population.test[users, None]
    filled = items >= 0
    known = np.where(filled, scores, 0.0)
    quality = known / known[:, :K].sum(axis=1).mean()
    return People(
        Candidates(items, scaled(known, filled)), quality, liked, shares, history, groups, Bootstrap(len(users), 0)
    )


def rerankers(people: People, time_s: float) -> Mapping[str, Callable[[], NDArray[np.integer[Any]]]]:
    """Each row of the table, and how its lists are made; the solver has so many seconds for one program."""
    candidates, shares = people.candidates, people.shares
    scores, quality = candidates.relevance, people.quality
    oracle = f1_quality(people.liked, np.ones(len(scores), np.int64), K)
    rows: dict[str, Callable[[], NDArray[np.integer[Any]]]] = {
        "as ranked": lambda: np.tile(np.arange(K), (len(scores), 1))
    }
    top = quality[:, :K].sum(axis=1)
    for name, groups in people.groups.items():
        gap = abs(float(top[groups.of == 0].mean() - top[groups.of == 1].mean()))
        for part in (0.5, 0.0):
            rows[f"UOF, {name}, gap by score × {part:g}"] = lambda of=groups.of, epsilon=gap * part: (
                user_fair(candidates, quality, of, K, epsilon, time_s=time_s).places
            )
        rows[f"UOF, {name}, gap of held-out F1 .001"] = lambda of=groups.of: (
            user_fair(candidates, oracle, of, K, 0.001, time_s=time_s).places
        )
    activity = people.groups["activity"].of
    for name, target in (("catalogue", catalogue(shares)), ("uniform", uniform(shares))):
        for weight in (1.0, 10.0):
            rows[f"CPFair, {name}, λ1 0, λ2 {weight:g}"] = lambda goal=target, price=weight: (
                two_sided(candidates, K, None, Producers(shares, goal, price), time_s=time_s).places
            )
        rows[f"TFROM offline, {name}"] = lambda goal=target: tfrom_offline(candidates, shares, goal, K)
        for floor in (0.0, 0.9):
            rows[f"TFROM online, {name}, least {floor:g}"] = lambda goal=target, least=floor: tfrom_online(
                candidates, shares, goal, K, np.zeros(len(shares)), least
            )
        own = shares.exposure(candidates.items, np.ones(candidates.items.shape[1]))
        for kind in ("same for all", "PCT"):
            rows[f"calibration 0.5, {name}, {kind}"] = lambda goal=target, mine=kind == "PCT", of=own: calibrated(
                candidates.items,
                scores,
                shares,
                tilted(of, solve_tilt(of, goal), goal) if mine else np.tile(goal, (len(scores), 1)),
                np.full(len(scores), 0.5),
                K,
            )
    consumers, producers = Consumers(activity, quality, 10.0), Producers(shares, catalogue(shares), 10.0)
    rows["CPFair, catalogue, activity, λ1 10, λ2 10"] = lambda: (
        two_sided(candidates, K, consumers, producers, time_s=time_s).places
    )
    return rows


def tilts(bundle: Bundle, views: Views, count: int) -> list[dict[str, Any]]:
    """How far users' mean target is from the system's, under masks, with a tilt for each and with one for all."""
    shares = ItemShares(bundle.items.groups)
    names = bundle.description.attribute_names
    found: list[dict[str, Any]] = []
    first: NDArray[np.float64] | None = None
    target = catalogue(shares)
    for mask in ((), *((name,) for name in names), tuple(names)):
        if not bundle.description.supports(mask):
            continue
        lists = views.lists_of(views.fair_vectors(mask), count, drop_seen=True)
        own = shares.exposure(lists, np.ones(count))
        own = own[own.any(axis=1)]  # but for who has seen everything
        tilt = solve_tilt(own, target)
        first = tilt if first is None else first
        off = [0.5 * float(np.abs(tilted(own, each, target).mean(axis=0) - target).sum()) for each in (tilt, first)]
        own_shares = own.sum(axis=0) / own.sum()
        before = 0.5 * float(np.abs(own_shares - target).sum())
        found.append({"mask": mask, "before": before, "own": off[0], "first": off[1]})
    return found


def main() -> None:
    """Measure, print and write."""
    command = Command(__doc__, ROOT / "docs" / "results")
    command.add_argument("bundle", type=Path)
    command.add_size("--candidates", type=int, default=100)
    command.add_size("--time-s", type=float, default=TIME_S, help="that the solver has for one program")
    command.add_size("--only", default="", help="rows with this in their name")
    given = command.options()
    facts = circumstances(PACKAGES)
    bundle = read_bundle(given.bundle)
    if bundle.audit is None:
        raise SystemExit(f"{given.bundle} has no audit/")
    views = Views(bundle, bundle.audit)
    people = people_of(bundle, views, given.candidates)
    rows = []
    for name, make in rerankers(people, given.time_s).items():
        if given.only in name:
            started = time.perf_counter()
            try:
                places = make()
            except InfeasibleError as error:
                print(f"{name}: {error}", flush=True)
                continue
            rows.append({"name": name, "seconds": time.perf_counter() - started, **people.measured(places)})
            print(rows[-1], flush=True)
    result = {
        **facts,
        "users": len(people.candidates),
        "candidates": given.candidates,
        "hit_at_candidates": float(people.liked.any(axis=1).mean()),
        "rows": rows,
        "tilts": tilts(bundle, views, given.candidates),
        "leaks": leaks(bundle, views, "gender", given.candidates, K, given.time_s),
    }
    write(given.results, result)


def write(folder: Path, result: Mapping[str, Any]) -> None:
    """Put numbers and tables into the folder; what else is on the page stays."""
    (folder / "reranking.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    path = folder / "reranking.md"
    tables = {
        "lists": lists_table(result),
        "tilts": tilts_table(result["tilts"]),
        "leaks": leaks_table(result["leaks"]),
    }
    write_between(path, "Re-rankers", tables)
    print("\n".join(tables.values()))


def lists_table(result: Mapping[str, Any]) -> str:
    """A row for each re-ranker."""
    gaps = [key.removeprefix("gap_") for key in result["rows"][0] if key.startswith("gap_") and not key.endswith("_ci")]
    head = ["re-ranker", "N@10", *(f"N@10 gap, {gap} (95 %)" for gap in gaps), *(f"by score, {gap}" for gap in gaps)]
    head += ["deviation, catalogue", "deviation, uniform", "UserKL", "s"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for row in result["rows"]:
        cells = [row["name"], f"{row['ndcg']:.4f}"]
        for gap in gaps:
            ends = row[f"gap_{gap}_ci"]
            cells.append(f"{row[f'gap_{gap}']:.4f}" + (f" ({ends[0]:.4f} - {ends[1]:.4f})" if ends else ""))
        cells += [f"{row[f'score_gap_{gap}']:.4f}" for gap in gaps]
        cells += [
            f"{row['off_catalogue']:.3f}",
            f"{row['off_uniform']:.3f}",
            f"{row['user_kl']:.3f}",
            f"{row['seconds']:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    about = (
        f"{result['users']:,} users, {result['candidates']} candidates of each, the held-out positive among them for "
        f"{result['hit_at_candidates']:.1%}. {sentence(result)}."
    )
    return "\n".join([about, "", *lines])


def tilts_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A row for each mask."""
    lines = [
        "| protected | candidates' own shares off by | a tilt for each mask | that of no mask for all |",
        "|---|---|---|---|",
    ]
    for row in rows:
        name = ", ".join(row["mask"]) or "nothing"
        lines.append(f"| {name} | {row['before']:.4f} | {row['own']:.1e} | {row['first']:.4f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
