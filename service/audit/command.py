"""`python -m service audit BUNDLE`: one audit, as files. A running service starts the same for its audit runs.

Loads the bundle as serving does, every hash checked whatever a stamp says, and writes report.html, report.md and
audit.json, each whole or not at all, audit.json last: where it is, the audit was made.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from measure.audit import Thresholds
from measure.audit.progress import Progress, bar
from measure.errors import MeasureError
from measure.report import render_html, render_markdown
from service.audit.reader import ABANDONED
from service.audit.request import AuditRequest
from service.audit.result import make_result
from service.balance import NO_BALANCE, BalancePolicy
from service.errors import ServiceError, StartError, said
from service.index import Kind
from service.model.inference import use_one_thread
from service.model.loaded import load_model

RESULT = "audit.json"
STATUS: Mapping[str, int] = {"pass": 0, "inconclusive": 0, "fail": 1, "not_judged": 4}
"""Exit status of each verdict. A verdict that is not judged in some part never has the status of a pass."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The exit status of the command, and its output."""

    status: int
    lines: tuple[str, ...]


def read_request(**given: Any) -> AuditRequest:
    """A request from the command line: lists as text, masks like ``gender;gender,age;``, the last of nothing.

    Raises:
        StartError: a value cannot be; one line that names each.
    """
    values = {name: value for name, value in given.items() if value is not None}
    if "masks" in values:
        values["masks"] = [_names(mask) for mask in values["masks"].split(";")]
    if "metrics" in values:
        values["metrics"] = _names(values["metrics"])
    try:
        return AuditRequest.model_validate(values)
    except ValidationError as error:
        found = [(problem["loc"][0], problem["input"], said(problem)) for problem in error.errors()]
        raise StartError("; ".join(f"--{name} has {value!r:.80}: {text}" for name, value, text in found)) from None


def audit(
    folder: Path,
    out: Path | None,
    request: AuditRequest,
    *,
    workers: int = 1,
    leakage_at_most: float = Thresholds.leakage_at_most,
    kept_at_least: float = Thresholds.kept_at_least,
    index: Kind = "torch",
    balance: BalancePolicy = NO_BALANCE,
    supervised: bool = False,
) -> Outcome:
    """Audit a bundle.

    Args:
        folder: of a version, or of a bundle, whose newest version is taken.
        out: where the files go, over older ones; ``audits/NAME-VERSION`` where not given.
        request: what to measure.
        workers: processes that attack side by side.
        leakage_at_most: see `Thresholds`.
        kept_at_least: see `Thresholds`.
        index: which kind serves; what is not exact gives other lists.
        balance: how the operator balances lists; so are the audited ones, unless the request says otherwise.
        supervised: tell standard output what is being done, as lines of JSON, and nothing else; end where nobody reads.

    Raises:
        StartError: the bundle, the request, a threshold or the folder cannot be; one line.
    """
    use_one_thread()
    with _refusals():
        thresholds = Thresholds(leakage_at_most, kept_at_least)
        model = load_model(folder, "cpu", index, trust_stamp=False)
        out = out or Path("audits") / f"{model.name}-{model.version}"
        out.mkdir(parents=True, exist_ok=True)
        shown: Callable[[], AbstractContextManager[Progress]] = _lines if supervised else lambda: bar("audit")
        try:
            with shown() as progress:
                tell = _not_at_all if supervised else _aside
                result = make_result(model, request, thresholds, balance, workers=workers, progress=progress, tell=tell)
        except BrokenPipeError:  # a line can find it out before `only_while_read` does
            return Outcome(ABANDONED, ())
        _write(out / "report.html", render_html(result).encode())
        _write(out / "report.md", render_markdown(result).encode())
        _write(out / RESULT, to_json(result, inf_nan_mode="null"))
    return Outcome(STATUS[result["verdict"]["overall"]], () if supervised else (*summary(result), "", str(out)))


def summary(result: Mapping[str, Any]) -> list[str]:
    """The verdict in a few lines; parts that are not judged come first."""
    bundle, verdict = result["bundle"], result["verdict"]
    why = f": {verdict['reason']}" if verdict["reason"] else ""
    lines = [f"{bundle['name']}/{bundle['version']}: {verdict['overall'].replace('_', ' ')}{why}"]
    return lines + [f"- {each['sentence']}" for each in (*verdict["attributes"], verdict["accuracy"])]


@contextmanager
def _lines() -> Iterator[Progress]:
    def tell(doing: str, share: float) -> None:
        sys.stdout.write(json.dumps({"doing": doing, "share": round(share, 4)}) + "\n")
        sys.stdout.flush()

    yield tell


@contextmanager
def _refusals() -> Iterator[None]:
    """Every expected refusal as the one that the command line prints."""
    try:
        yield
    except StartError:
        raise
    except (ServiceError, MeasureError) as error:
        raise StartError(str(error)) from error
    except OSError as error:
        raise StartError(f"{error.filename or 'a file'} cannot be written: {error.strerror}") from error


def _aside(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _not_at_all(line: str) -> None:
    """Whoever supervises asked for progress and nothing else."""


def _write(path: Path, text: bytes) -> None:
    draft = path.with_name(f".{path.name}.draft")
    draft.write_bytes(text)
    draft.replace(path)


def _names(text: str) -> list[str]:
    return text.split(",") if text else []
