"""Where and with what a benchmark ran: facts that stand beside every result."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


def circumstances(packages: Sequence[str]) -> dict[str, Any]:
    """Date, machine, how busy it is with other work, and the versions of the packages that are installed."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {
            "processor": _processor(),
            "cpus": os.cpu_count(),
            "system": platform.system(),
            "python": platform.python_version(),
            "busy": round(os.getloadavg()[0], 1),
        },
        "versions": {name: number for name in packages if (number := _version(name))},
    }


def sentence(result: Mapping[str, Any]) -> str:
    """The same as one line, without a full stop."""
    machine = result["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in result["versions"].items())
    return (
        f"{result['date']}; {machine['cpus']} × {machine['processor']}, on which other work kept {machine['busy']:g} "
        f"processes busy; Python {machine['python']}, {versions}"
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1].strip() if found else platform.machine()
