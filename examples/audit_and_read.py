"""Audit a bundle, and read the verdict from its JSON.

    .venv/bin/python examples/audit_and_read.py bundles/demo

The quick profile is a look and judges nothing; `--profile full` takes minutes and ends with a verdict.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory


def main(bundle: Path, profile: str = "quick") -> None:
    """Run the command, print what it found."""
    with TemporaryDirectory() as out:
        command = [sys.executable, "-m", "service", "audit", str(bundle), "--out", out, "--profile", profile]
        status = subprocess.run([*command, "--metrics", "accuracy,leakage"], stdout=subprocess.DEVNULL).returncode
        result = json.loads((Path(out) / "audit.json").read_text(encoding="utf-8"))
    verdict = result["verdict"]
    print(f"verdict: {verdict['overall']} (exit status {status})")
    for missing in verdict["not_judged"]:
        print(f"  not judged: {missing['of'] or 'everything'}, because {missing['reason']}")
    for row in result["card"]["leakage"]["by_mask"]:
        if row["target"] == "fair" and row["sensitive"] == [row["attribute"]]:
            strongest, base = row["strongest"], row["base_auc"]
            print(
                f"  {row['attribute']}: AUC {strongest['auc']:.3f} by {strongest['attacker']}, unprotected {base:.3f}"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
