"""A million users, end to end: tables, one training run, the service on its bundle, an audit of it.

    .venv/bin/python benchmarks/million.py [--users 1000000] [--items 100000] [--keep FOLDER]

Needs wrk (Debian's package) and implicit (the extra `train`). Generated tables in Parquet, ten interactions a user,
three attributes, users whose taste decides more than in the demo; `million.toml` on two threads; then the service under
16 connections, users and masks at random, log on, cache off; then `python -m service audit` with two workers, the quick
profile. Each is a command of its own, as a user would type it. Memory is that of all processes of a command together,
the pages of files that it maps included. With --keep, tables, trained base and bundle stay in that folder. What is
there of tables and base is not made again, and the page says so: the run's time is then without the base's. Results go
to results/million.json and million.md.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from command import Command
from loopback import (
    CONNECTIONS,
    check_wrk,
    free_ports,
    load,
    resident_mib,
    seconds_to_ready,
    service,
    warm,
    write_script,
)
from machine import circumstances
from report import write_report
from watched import watched

from bundle import Bundle, read_bundle
from measure.accuracy import full_ranks, ndcg_at, sample_negatives, sampled_ranks
from measure.scoring import Scorer
from measure.split import AUDIT
from training.experiment import evenly, rows_of

CONFIG = Path(__file__).with_name("million.toml")
THREADS = 2
AUDITED = 2_000
"""Audit users that the audit looks at, as many as the card."""
ASKING = 20_000
MASKS = ("", "gender", "age", "gender,age", "gender,age,occupation")
NOT_JUDGED = 4
"""Exit status of every quick audit."""
BUDGETS = {"run": 45 * 60, "audit": 5 * 60, "p99_ms": 50.0, "peak_mib": 12 * 1024}
PACKAGES = ("implicit", "torch", "numpy", "scipy", "polars", "scikit-learn")


def main() -> None:
    """Generate, run, serve, audit."""
    command = Command(__doc__)
    command.add_size("--users", type=int, default=1_000_000)
    command.add_size("--items", type=int, default=100_000)
    command.add_size("--threads", type=int, help=f"of everything ({THREADS}; the service has all cores)")
    command.add_size("--seconds", type=int, default=8)
    command.add_size("--rounds", type=int, default=3)
    command.add_size("--config", type=Path, default=CONFIG, help="of the run")
    command.add_size("--masks", help="of the audit (all)")
    command.add_argument("--keep", type=Path, metavar="FOLDER")
    options = command.options()
    check_wrk()
    with nullcontext(options.keep) if options.keep else tempfile.TemporaryDirectory() as folder:
        result = circumstances(PACKAGES) | measure(Path(folder), options)
    write_report(options.results, "million", "A million users, end to end", result, as_text(result))


def measure(folder: Path, options: Any) -> dict[str, Any]:
    """All of it, one after the other."""
    data, out = folder / "tables", folder / "bundles"
    sizes = ["--users", str(options.users), "--items", str(options.items), "--interactions-per-user", "10"]
    sizes += ["--pickiness", "4"]
    threads = options.threads or THREADS
    made = None
    if not (data / "interactions.parquet").exists():
        made = watched(["training", "data", "generate", str(data), *sizes, "--format", "parquet"], threads)
    bases = set(folder.glob("base-*"))
    run = ["training", "run", str(options.config), "--data", str(data), "--out", str(out), "--bases", str(folder)]
    trained = watched([*run, "--device", "cpu"], threads)
    print(trained.printed, flush=True)
    version = max((out / "million").iterdir())
    bundle = read_bundle(version)
    served = serve(version, bundle.users.ids, folder, options)
    print(served, flush=True)
    audit = ["service", "audit", str(version), "--users", str(AUDITED), "--workers", str(threads)]
    audit += [] if options.masks is None else [f"--masks={options.masks}"]
    audited = watched([*audit, "--out", str(folder / "audit")], 1, accepted=(NOT_JUDGED,))
    facts = bundle.description
    return {
        "threads": threads,
        "users": facts.data.users,
        "items": facts.data.items,
        "interactions": facts.data.interactions,
        "parts": len(facts.parts),
        "bundle_mib": sum(path.stat().st_size for path in version.rglob("*") if path.is_file()) / 2**20,
        "generate": made.took if made else None,
        "base_kept": bases == set(folder.glob("base-*")),
        "popular": popular(bundle),
        "run": trained.took,
        "stages": trained.stages,
        "card": trained.printed.strip().rpartition("\n")[0].strip(),  # the last line is the bundle's folder
        "audit": audited.took,
        "serve": served,
    }


def popular(bundle: Bundle) -> dict[str, float]:
    """N@10 of the list that is the same for everybody, on as many audit users as the card: what a base must beat."""
    audit = bundle.audit
    assert audit is not None
    rows = evenly(np.flatnonzero((audit.split == AUDIT) & (audit.test >= 0)), AUDITED)
    positives, seen = audit.test[rows], rows_of(rows, (bundle.seen.indptr, bundle.seen.indices))
    everybody, scorer = np.ones((len(rows), 1), np.float32), Scorer(bundle.items.popularity[:, None].astype(np.float32))
    negatives = sample_negatives(*seen, len(scorer.items))
    sampled = sampled_ranks(everybody, scorer, positives, negatives)
    full = full_ranks(everybody, scorer, positives, *seen)
    return {"sampled": float(ndcg_at(10, sampled).mean()), "full": float(ndcg_at(10, full).mean())}


def serve(version: Path, users: Any, folder: Path, options: Any) -> dict[str, Any]:
    """Start and load."""
    (port,) = free_ports(1)
    rows = np.random.default_rng(0).choice(len(users), min(ASKING, len(users)), replace=False)
    script = write_script(folder / "users.lua", [users[int(row)] for row in rows], MASKS)
    threads = {"OMP_NUM_THREADS": str(options.threads or os.cpu_count())}
    started = [seconds_to_ready(version, port, folder / "start.db", **threads) for _ in ("first", "later")]
    with service(version, port, folder / "log.db", **threads) as pid:
        warm(port, script, options.seconds)
        rounds = [load(port, script, options.seconds, pid) for _ in range(options.rounds)]
        memory = {kind: resident_mib(pid, kind) for kind in ("VmRSS", "RssAnon")}
    median = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    return {"ready_s": started, "rounds": rounds, "median": median, "memory_mib": memory}


def as_text(result: dict[str, Any]) -> str:
    """The page."""
    rows = [(each["stage"], each) for each in result["stages"]]
    rows += [("**the run**", result["run"]), ("**quick audit of the bundle**", result["audit"])]
    if result["generate"]:
        rows.insert(0, ("(tables generated)", result["generate"]))
    table = "\n".join(
        f"| {name} | {took['wall_s']:,.0f} | {took['processor_s']:,.0f} | {took['peak_mib']:,.0f} |"
        for name, took in rows
    )
    serving, median = result["serve"], result["serve"]["median"]
    peak = max(took["peak_mib"] for _, took in rows)
    met = {
        "the run ≤ 45 min": result["run"]["wall_s"] <= BUDGETS["run"],
        "memory ≤ 12 GiB": peak <= BUDGETS["peak_mib"],
        "quick audit ≤ 5 min": result["audit"]["wall_s"] <= BUDGETS["audit"],
        f"p99 < 50 ms at {CONNECTIONS} connections": median["p99_ms"] < BUDGETS["p99_ms"],
    }
    verdicts = "; ".join(f"{what}: **{'yes' if so else 'no'}**" for what, so in met.items())
    sizes = ", ".join(f"{result[name]:,} {name}" for name in ("users", "items", "interactions"))
    ready_s, memory = serving["ready_s"], serving["memory_mib"]
    popularity = result["popular"]
    base = (
        "The base was trained before, and taken from there: its time is not in the run's.\n"
        if result["base_kept"]
        else ""
    )
    of = f"a bundle of {result['parts']} parts, {result['bundle_mib']:,.0f} MiB"
    return f"""{sizes}; {result["threads"]} threads; {of}.

| stage | s | s of processors | MiB at most |
|---|---|---|---|
{table}

{verdicts}.
{base}
Serving: ready {ready_s[0]:.1f} s after the imports (every file verified), {ready_s[1]:.1f} s later; \
{median["requests_per_s"]:,.0f} requests/s, p50 {median["p50_ms"]:.1f} ms, p99 {median["p99_ms"]:.1f} ms, \
{median["cpu_ms"]:.2f} ms of processors a request (medians of {len(serving["rounds"])} rounds); \
{memory["VmRSS"]:,.0f} MiB resident, {memory["RssAnon"]:,.0f} of them its own.

A list of what is popular, the same for everybody: N@10 {popularity["sampled"]:.4f} sampled, {popularity["full"]:.4f} \
full. The card, as the run printed it (2,000 audit users drawn by the run's seed, and intervals as wide as that makes
them):

```
{result["card"].strip()}
```"""


if __name__ == "__main__":
    main()
