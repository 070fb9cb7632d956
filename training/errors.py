"""Everything training refuses, in one tree.

TrainingError
├── ConfigError    the configuration asks for what cannot be
├── DataError      an input file is not what it should be
├── TooLittleDataError  the data is well formed, and too little for what is asked
├── DivergedError  training has left the range of numbers
├── ServiceDataError  what the service was told cannot be read
├── FetchError     a download was refused or went wrong
├── CheckpointError  a checkpoint is there but cannot be read
└── EvaluationError  a bundle cannot be measured

Facts are fields; the message is made of them.
"""

from collections.abc import Sequence
from pathlib import Path

SHOWN_CHARACTERS = 80
NAMED = 5


class TrainingError(Exception):
    """Root of the tree: an expected refusal, shown to the user without a traceback."""


class ConfigError(TrainingError):
    """The configuration asks for something that this data or machine cannot give."""

    def __init__(self, key: str, problem: str, *, value: object = None, allowed: str | None = None) -> None:
        super().__init__(_sentence(key, problem, value, allowed))
        self.key = key
        self.problem = problem
        self.value = value
        self.allowed = allowed


class DataError(TrainingError):
    """An input file is not what it should be; says where, what was found and what is allowed."""

    def __init__(
        self,
        file: str,
        problem: str,
        *,
        line: int | None = None,
        row: int | None = None,
        column: str | None = None,
        value: object = None,
        allowed: str | None = None,
    ) -> None:
        where = [file]
        if line is not None:
            where.append(f"line {line}")
        if row is not None:
            where.append(f"row {row}")
        if column is not None:
            where.append(f"column {shown(column)}")
        super().__init__(_sentence(", ".join(where), problem, value, allowed))
        self.file = file
        self.problem = problem
        self.line = line
        self.row = row
        self.column = column
        self.value = value
        self.allowed = allowed


class TooLittleDataError(TrainingError):
    """The data is well formed, and too little for what the configuration asks."""

    def __init__(self, what: str, found: int, needed: int, why: str | None = None) -> None:
        said = f"too little data: {what}: {found:,}; needed: {needed:,} or more"
        super().__init__(said + (f" ({why})" if why else ""))
        self.what = what
        self.found = found
        self.needed = needed


class DivergedError(TrainingError):
    """Training has left the range of numbers before anything was worth keeping."""

    def __init__(self, stage: str, epoch: int, found: str) -> None:
        helps = f"a lower {stage}.learning_rate may keep it in range"
        super().__init__(f"{stage}: training diverged by epoch {epoch:,} ({found}); {helps}")
        self.stage = stage
        self.epoch = epoch


class ServiceDataError(TrainingError):
    """What the service was told cannot be read from its database; ``said`` is how `python -m service export` ended."""

    def __init__(self, said: str) -> None:
        cause = said.removeprefix("evenhand: ")
        if "No module named" in said:
            problem = f"is read by Evenhand's extra `serve`, which is not installed here ({cause})"
            allowed = "the extra, or --exported FOLDER of an export made elsewhere"
        else:
            problem = f"cannot be read: {cause}"
            allowed = "--database or EVENHAND_DATABASE_URL of one that is there, or --exported FOLDER of an export"
        super().__init__(_sentence("the service's database", problem, None, allowed))
        self.said = said


class FetchError(TrainingError):
    """A download was refused or went wrong; nothing of it is left behind."""

    def __init__(self, url: str, problem: str, *, value: object = None, allowed: str | None = None) -> None:
        super().__init__(_sentence(url, problem, value, allowed))
        self.url = url
        self.problem = problem
        self.value = value
        self.allowed = allowed


def shown(value: object) -> str:
    """Quote an untrusted value for a message: escaped, and cut where it is long."""
    text = repr(value[: SHOWN_CHARACTERS + 1] if isinstance(value, str) else value)
    return text if len(text) <= SHOWN_CHARACTERS + 2 else text[:SHOWN_CHARACTERS] + "…"


def first_few(names: Sequence[str]) -> str:
    """Quote untrusted names for a message, the first few of many."""
    return ", ".join(map(shown, names[:NAMED])) + (" …" if len(names) > NAMED else "")


def _sentence(where: str, problem: str, value: object, allowed: str | None) -> str:
    found = problem if value is None else f"{shown(value)} {problem}"
    return f"{where}: {found}" if allowed is None else f"{where}: {found}; allowed: {allowed}"


class CheckpointError(TrainingError):
    """A checkpoint is there but cannot be read; delete it to start the stage again."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path}: not a readable checkpoint ({problem}); delete it to start this stage again")
        self.path = path
        self.problem = problem


class EvaluationError(TrainingError):
    """A bundle cannot be measured."""
