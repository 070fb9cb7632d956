"""Throughput and latency of GET /recommend against a bare FastAPI route, in one run, on loopback.

    .venv/bin/python benchmarks/serving.py [--bundle DIR] [--seconds 8]

Needs wrk (Debian's package). Without --bundle: a generated bundle of MovieLens-1M's size with random AFRL weights.
Times on a shared machine mean little; the ratios are the result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from bundle import (
    SCHEMA_VERSION,
    Attribute,
    Bundle,
    DataSource,
    Description,
    FoldIn,
    Items,
    Network,
    Part,
    Seen,
    SupportedMasks,
    Users,
    build_encoder,
    read_bundle,
    write_bundle,
)

HERE = Path(__file__).parent
CONNECTIONS = 16
USERS, ITEMS, SEEN, D = 6_000, 3_500, 165, 64
CLASSES = {"gender": 2, "age": 7, "occupation": 21}
LUA = """
local users = {%s}
local masks = {"", "gender", "age", "gender,age", "gender,age,occupation"}
request = function()
  local path = "/recommend?user=" .. users[math.random(#users)] .. "&sensitive=" .. masks[math.random(#masks)]
  return wrk.format("GET", path)
end
"""


def main() -> None:
    """Measure both in turn, twice, and keep each one's better run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--seconds", type=int, default=8)
    options = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is needed for this benchmark (Debian: apt install wrk)")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.bundle or write_bundle(generated_bundle(), Path(scratch))
        users = read_bundle(folder).users.ids[::10]
        script = Path(scratch) / "users.lua"
        script.write_text(LUA % ",".join(f'"{user}"' for user in users))
        servers = {
            "bare FastAPI route": [
                sys.executable,
                "-m",
                "uvicorn",
                "bare:app",
                "--app-dir",
                str(HERE),
                "--no-access-log",
            ],
            "GET /recommend": [sys.executable, "-m", "service", "serve", "--bundle", str(folder)],
        }
        runs = [
            {
                name: measure(command, port, script, options.seconds, Path(scratch) / f"{attempt}-{port}.db")
                for port, (name, command) in enumerate(servers.items(), 18500)
            }
            for attempt in range(2)
        ]
    best = {name: max((run[name] for run in runs), key=lambda row: row["requests_per_s"]) for name in servers}
    report(best)


def generated_bundle() -> Bundle:
    """MovieLens-1M's size; taste and weights are noise."""
    rng = np.random.default_rng(1)
    names = list(CLASSES)
    parts = [Part(name="shared", attributes=[], taken="always")]
    parts += [Part(name=name, attributes=[name], taken="none_protected") for name in names]
    wide = len(parts) * D
    encoder_spec = Network(kind="afrl", sizes={"split": [D, 2 * D, D], "combine": [wide, 2 * wide, wide, D]})
    encoder = build_encoder(encoder_spec, D, names, parts)
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.normal_(0, 0.05)
        split = encoder.split(torch.from_numpy(rng.normal(size=(USERS, D)).astype(np.float32))).contiguous().numpy()
    items = rng.normal(size=(ITEMS, D)).astype(np.float32)
    seen = np.sort(np.argpartition(rng.random((USERS, ITEMS)), SEEN, axis=1)[:, :SEEN], axis=1)
    return Bundle(
        description=Description(
            schema_version=SCHEMA_VERSION,
            name="generated",
            version="1",
            created=datetime(2026, 1, 1, tzinfo=UTC),
            method="afrl",
            mode="strict",
            base_model="pmf",
            dimensions=D,
            attributes=[
                Attribute(name=name, classes=[str(label) for label in range(count)]) for name, count in CLASSES.items()
            ],
            supported_masks=SupportedMasks(kind="all"),
            always_protected=[],
            empty_mask="fair",
            scorer="inner",
            encoder=encoder_spec,
            history=Network(kind="fold_in", sizes={}),
            reranker=None,
            user_layout="parts",
            parts=parts,
            seeds={"run": 1},
            user_split_salt="",
            data=DataSource(
                source="generated", fingerprint="0" * 64, users=USERS, items=ITEMS, interactions=USERS * SEEN
            ),
            code_revision="benchmark",
        ),
        items=Items(
            tuple(map(str, range(ITEMS))),
            tuple(f"Title of item {row} (1999)" for row in range(ITEMS)),
            ((),) * ITEMS,
            np.zeros(ITEMS, np.int64),
            items,
        ),
        users=Users(tuple(map(str, range(USERS))), split),
        encoder=encoder,
        history=FoldIn((items.T @ items).astype(np.float32), 1.0, 1.0, 1.0),
        seen=Seen(np.arange(USERS + 1, dtype=np.int64) * SEEN, seen.astype(np.int32).ravel()),
        card={},
    )


def measure(command: list[str], port: int, script: Path, seconds: int, database: Path) -> dict[str, float]:
    """Start a server, warm it, load it, stop it. The request log is on, as always; nothing is cached."""
    settings = {
        "EVENHAND_LOG_LEVEL": "warning",
        "EVENHAND_CACHE": "off",
        "EVENHAND_DATABASE_URL": f"sqlite:///{database}",
    }
    environment = {**os.environ, **settings}
    server = subprocess.Popen([*command, "--port", str(port)], env=environment, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        wait(f"{address}/recommend?user=0")
        load(address, script, 2)
        return load(address, script, seconds)
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait(url: str) -> None:
    """Until the server answers, whatever it says."""
    for _ in range(600):
        try:
            urllib.request.urlopen(url, timeout=2).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    sys.exit(f"no answer from {url}")


def load(address: str, script: Path, seconds: int) -> dict[str, float]:
    """One wrk run; any answer that is not 200 ends the benchmark."""
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script), address]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in printed or "Socket errors" in printed:
        sys.exit(f"{address} did not answer everything with 200:\n{printed}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    latency = {name: re.search(rf"\s{name}%\s+([\d.]+)(us|ms|s)", printed) for name in ("50", "99")}
    if rate is None or None in latency.values():
        sys.exit(f"wrk printed something else than expected:\n{printed}")
    unit = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    times = {f"p{name}_ms": float(match[1]) * unit[match[2]] for name, match in latency.items() if match}
    return {"requests_per_s": float(rate[1]), **times}


def report(rows: dict[str, dict[str, float]]) -> None:
    """Print a Markdown table and keep the numbers."""
    bare, ours = rows.values()
    ratios = {
        "throughput": ours["requests_per_s"] / bare["requests_per_s"],
        "p99": ours["p99_ms"] / bare["p99_ms"],
    }
    lines = ["| | requests/s | p50 ms | p99 ms |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {row['requests_per_s']:,.0f} | {row['p50_ms']:.1f} | {row['p99_ms']:.1f} |"
        for name, row in rows.items()
    ]
    lines.append(f"| ratio | {ratios['throughput']:.2f} | | {ratios['p99']:.1f} |")
    print("\n".join(lines))
    machine = {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    result = {"date": datetime.now(UTC).date().isoformat(), "machine": machine, "connections": CONNECTIONS}
    text = json.dumps({**result, "rows": rows, "ratios": ratios}, indent=1)
    (HERE / "results" / "serving.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
