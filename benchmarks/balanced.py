"""Balanced requests beside requests without, in one service; and what a weight does to divergence and accuracy.

    .venv/bin/python benchmarks/balanced.py [--bundle DIR] [--seconds 8] [--rounds 5]

Needs wrk (Debian's package). Without --bundle: a generated bundle of MovieLens-1M's size (`generated.py`), whose
held-out items say nothing of taste: its accuracy is not measured. With it, the folder of a version.

One service with the log on and the cache off, as in `serving.py`, is asked for ten items of a user at random under a
mask at random, in turns without `balance` and with `balance=uniform`, weight .5; a result is the median of the rounds'
ratios. The curve: lists of ten of up to `PEOPLE` audit users with gender protected, made by the worker's function;
divergence by rank-weighted exposure (docs/algorithms/balance.md, B2), mean over users; N@10 of the held-out item among
all items not seen. Results go to results/balanced.json and balanced.md.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from command import Command
from generated import USERS, Size, generated_bundle
from loopback import CONNECTIONS, check_wrk, free_ports, load, service, warm, write_script
from machine import circumstances
from report import write_report

from bundle import read_bundle, write_bundle
from measure.split import AUDIT
from service.balance import Balance, BalancePolicy, BalanceTarget
from service.model.balanced import Targets
from service.model.inference import BundleUser, Task, compute
from service.model.loaded import Model, load_model

MASKS = ("", "gender", "age", "gender,age", "gender,age,occupation")
ASKED = {"uniform": "&balance=uniform&balance_weight=0.5", "none": ""}
WEIGHTS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
CURVES: tuple[BalanceTarget, ...] = ("uniform", "catalogue")
PEOPLE = 2000
K = 10
BLOCK = 64
PACKAGES = ("fastapi", "uvicorn", "numpy", "torch")


def loaded(folder: Path, scratch: Path, seconds: int, rounds: int) -> list[dict[str, Any]]:
    """Each round: the load with and without balance, in turns."""
    users = read_bundle(folder).users.ids
    scripts = {name: write_script(scratch / f"{name}.lua", users, MASKS, more) for name, more in ASKED.items()}
    (port,) = free_ports(1)
    with service(folder, port, scratch / "log.db") as pid:
        for script in scripts.values():
            warm(port, script, seconds)
        return [{name: load(port, script, seconds, pid) for name, script in scripts.items()} for _ in range(rounds)]


def curve(model: Model, target: BalanceTarget, *, accuracy: bool) -> list[dict[str, float]]:
    """A row for each weight: divergence before and after, items that stay, N@10."""
    bundle = model.bundle
    assert bundle.audit is not None
    test = bundle.audit.test
    people = np.flatnonzero((bundle.audit.split == AUDIT) & (test >= 0))[:PEOPLE].tolist()
    people = people or list(range(min(PEOPLE, len(bundle.users.ids))))
    mask = bundle.description.mask(["gender"])
    targets = Targets(model.item_shares, BalancePolicy())
    rows: list[dict[str, float]] = []
    first: list[set[int]] = []
    for weight in WEIGHTS:
        towards = targets.towards(Balance(target, weight, "request"), (), 0, K)
        rankings = []
        for start in range(0, len(people), BLOCK):
            some = people[start : start + BLOCK]
            dropped = [np.setdiff1d(bundle.seen.of(user), test[[user]]).astype(np.int32) for user in some]
            rankings += compute(
                [
                    Task(model, BundleUser(user, mask), gone, K + 1, None, towards)
                    for user, gone in zip(some, dropped, strict=True)
                ]
            )
        shown = [ranking.rows[:K].tolist() for ranking in rankings]
        first = first or [set(rows) for rows in shown]
        told = np.array([ranking.divergence for ranking in rankings])
        ranks = [
            rows.index(test[user]) if test[user] in rows else None for user, rows in zip(people, shown, strict=True)
        ]
        ndcg = float(np.mean([0.0 if rank is None else 1 / np.log2(rank + 2) for rank in ranks]))
        stay = float(np.mean([len(one & set(rows)) / K for one, rows in zip(first, shown, strict=True)]))
        row = {"weight": weight, "before": told[:, 0].mean(), "after": told[:, 1].mean(), "stay": stay}
        rows.append(row | ({"ndcg@10": ndcg} if accuracy else {}))
    return rows


def as_text(result: dict[str, Any]) -> str:
    """Ratios, then a table for each target."""
    rounds = result["rounds"]
    ratios = {
        what: [one["uniform"][what] / one["none"][what] for one in rounds]
        for what in ("requests_per_s", "p99_ms", "cpu_ms")
    }
    each = [
        f"| {name} | {_median(rounds, name, 'requests_per_s'):,.0f} | {_median(rounds, name, 'p50_ms'):.1f} "
        f"| {_median(rounds, name, 'p99_ms'):.1f} | {_median(rounds, name, 'cpu_ms'):.3f} |"
        for name in ("none", "uniform")
    ]
    lines = [
        f"`balance=uniform&balance_weight=0.5` beside no balance: {CONNECTIONS} connections, {result['seconds']} s a "
        f"round, medians of {len(rounds)} rounds; bundle {result['bundle']}.",
        "",
        "| what | budget | measured |",
        "|---|---|---|",
        f"| throughput, × without | ≥ 0.8 | {_spread(ratios['requests_per_s'])} |",
        f"| p99, × without | ≤ 1.5 | {_spread(ratios['p99_ms'])} |",
        f"| processor time, × without |  | {_spread(ratios['cpu_ms'])} |",
        "",
        "| balance | requests/s | p50 ms | p99 ms | processor ms each |",
        "|---|---|---|---|---|",
        *each,
    ]
    for target, rows in result["curves"].items():
        scored = "ndcg@10" in rows[0]
        lines += ["", f"Towards `{target}`, gender protected, {result['people']:,} users:", ""]
        lines += [f"| weight | divergence | × without | of ten, stay |{' N@10, full | kept |' if scored else ''}"]
        lines += ["|---|---|---|---|" + ("---|---|" if scored else "")]
        for row in rows:
            cells = [f"{row['weight']:g}", f"{row['after']:.3f}", f"{row['after'] / rows[0]['after']:.2f}"]
            cells += [f"{10 * row['stay']:.1f}"]
            if scored:
                cells += [f"{row['ndcg@10']:.4f}", f"{row['ndcg@10'] / rows[0]['ndcg@10']:.1%}"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _median(rounds: Sequence[Any], name: str, what: str) -> float:
    return statistics.median(one[name][what] for one in rounds)


def _spread(ratios: Sequence[float]) -> str:
    return f"**{statistics.median(ratios):.2f}** ({min(ratios):.2f} - {max(ratios):.2f})"


def main() -> None:
    """Measure, print and write."""
    command = Command(__doc__)
    command.add_argument("--bundle", type=Path)
    command.add_size("--users", type=int, default=USERS, help="of the generated bundle")
    command.add_size("--seconds", type=int, default=8)
    command.add_size("--rounds", type=int, default=5)
    options = command.options()
    check_wrk()
    with tempfile.TemporaryDirectory() as scratch:
        given = options.bundle
        folder = given or write_bundle(generated_bundle(1, Size(users=options.users)), Path(scratch) / "bundles")
        rounds = loaded(folder, Path(scratch), options.seconds, options.rounds)
        model = load_model(folder, "cpu")
        curves = {target: curve(model, target, accuracy=given is not None) for target in CURVES}
        people = min(PEOPLE, int((model.bundle.audit.split == AUDIT).sum())) if model.bundle.audit else PEOPLE
    result = circumstances(PACKAGES) | {
        "bundle": "generated" if given is None else f"{model.name}",
        "seconds": options.seconds,
        "people": people,
        "rounds": rounds,
        "curves": curves,
    }
    write_report(
        options.results, "balanced", "Balanced lists: what they cost, and what a weight does", result, as_text(result)
    )


if __name__ == "__main__":
    main()
