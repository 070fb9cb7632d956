"""What a run has made so far: files in a folder beside the output, which a run that is broken off goes on from."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from service.balance import Divergence
from service.cache import CachedAnswer
from service.errors import StartError
from service.lists.files import put_in_place

RUN = "run.json"


class Part(NamedTuple):
    """The lists of some users who follow each other."""

    revision: int
    """Of the stored state that they were made with, or of an earlier one."""
    items: list[CachedAnswer | None]
    """For each user the items, with scores for all or for none; None for whom there is no list."""


class PartFiles:
    """Parts in a folder."""

    def __init__(self, folder: Path, run: str) -> None:
        """Take a folder that is there, and the id of the run that it is of."""
        self.folder, self.run = folder, run

    def read(self, number: int) -> Part | None:
        """A part; None where it is still to be made."""
        path = self._path(number)
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as found:
            lengths, rows, revision = found["lengths"], found["rows"], int(found["revision"])
            told = [None if np.isnan(pair[1]) else Divergence(*pair) for pair in found["divergence"].tolist()]
            scores = found["scores"]
        ends = np.cumsum(np.maximum(lengths, 0))[:-1]
        scored: Sequence[Any] = np.split(scores, ends) if len(scores) == len(rows) else [None] * len(lengths)
        lists = zip(np.split(rows, ends), scored, told, strict=True)
        return Part(
            revision,
            [CachedAnswer(*each) if length >= 0 else None for each, length in zip(lists, lengths, strict=True)],
        )

    def has(self, number: int) -> bool:
        """Whether a part is made."""
        return self._path(number).is_file()

    def write(self, number: int, part: Part) -> None:
        """Keep a part, whole or not at all."""
        there = [items for items in part.items if items is not None]
        lengths = np.array([-1 if items is None else len(items.rows) for items in part.items], np.int32)
        rows = np.concatenate([np.zeros(0, np.int32), *(items.rows for items in there)])
        scores = np.concatenate([np.zeros(0), *(items.scores for items in there if items.scores is not None)])
        told = [(items and items.divergence) or (np.nan, np.nan) for items in part.items]
        draft = self.folder / ".draft.npz"
        revision = np.int64(part.revision)
        np.savez(draft, lengths=lengths, rows=rows, scores=scores, divergence=np.array(told), revision=revision)
        put_in_place(draft, self._path(number))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.npz"


class Parts(PartFiles):
    """The folder of one run, and this process's lock on it."""

    def __init__(self, out: Path, facts: Mapping[str, Any]) -> None:
        """Open the folder of a run, or make it.

        Args:
            out: the output.
            facts: everything that the lists depend on but the stored state; JSON.

        Raises:
            StartError: another process is at it, it was begun with other facts, or the folder cannot be written.
        """
        folder = out.with_name(f".{out.name}.parts")
        super().__init__(folder, "")
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            self._lock = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            self._take_lock(out)
            try:
                self.run = self._begun(facts)
            except BaseException:
                self.close()
                raise
        except OSError as error:
            raise StartError(f"{self.folder} cannot be written: {error.strerror}") from error

    def inside(self, name: str) -> PartFiles:
        """A folder of other parts in this one, for what the run goes through first."""
        folder = self.folder / name
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise StartError(f"{folder} cannot be written: {error.strerror}") from error
        return PartFiles(folder, self.run)

    def remove(self) -> None:
        """Delete the folder: the output is there."""
        shutil.rmtree(self.folder)

    def close(self) -> None:
        """Let another process go on from it."""
        os.close(self._lock)

    def _take_lock(self, out: Path) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise StartError(f"another process makes {out} already") from None

    def _begun(self, facts: Mapping[str, Any]) -> str:
        """The id of the run, which it keeps when it goes on."""
        path = self.folder / RUN
        if not path.is_file():
            draft = self.folder / f".{RUN}"
            begun = {"run": uuid.uuid4().hex, "facts": facts}
            draft.write_text(json.dumps(begun), encoding="utf-8")
            put_in_place(draft, path)
            return str(begun["run"])
        begun = json.loads(path.read_text(encoding="utf-8"))
        if other := differing(begun["facts"], facts):
            raise StartError(
                f"{self.folder} holds a run that was broken off, with other {', '.join(other)}: repeat its command to "
                "go on, or delete the folder"
            )
        return str(begun["run"])


def differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> Sequence[str]:
    """Names of the facts that are not the same, as JSON has them."""
    now = json.loads(json.dumps(now))
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
