"""The index that was opened, and why: for the log, for metrics and for benchmarks."""

from __future__ import annotations

from dataclasses import dataclass

from service.index.interface import IndexDevice, Kind


@dataclass(frozen=True)
class Tried:
    """One index that was built or considered."""

    kind: Kind
    build_s: float
    """Tuning included; expected where it was not built."""
    search_ms: float | None
    """Median time of a request in a batch; None where it was not measured."""
    recall: float | None
    """The best recall of lists of 10; None where it was not measured."""


@dataclass(frozen=True)
class IndexReport:
    """The index that serves."""

    kind: Kind
    device: IndexDevice
    exact: bool
    parameters: str
    reason: str
    recall: float
    """Share of the best 10 items in lists of 10; 1 where the index is exact."""
    recall_deep: float
    """The same for 100."""
    build_s: float
    """Tuning included."""
    search_ms: float
    """Median time of a request in a batch, in one thread."""
    tried: tuple[Tried, ...] = ()
    """Every index that was built or considered, in that order; empty where there was no choice."""

    def facts(self) -> dict[str, object]:
        """For the log: all of it, in short."""
        tried = [
            {"kind": one.kind, "build_s": round(one.build_s, 2)}
            | ({} if one.search_ms is None else {"search_ms": round(one.search_ms, 3)})
            | ({} if one.recall is None else {"recall": round(one.recall, 4)})
            for one in self.tried
        ]
        facts: dict[str, object] = {"index": self.kind, "device": self.device, "exact": self.exact}
        if not self.exact:
            recall = {"recall_10": round(self.recall, 4), "recall_100": round(self.recall_deep, 4)}
            facts |= {"parameters": self.parameters, **recall}
        facts |= {"reason": self.reason, "build_s": round(self.build_s, 3), "search_ms": round(self.search_ms, 3)}
        return facts | ({"tried": tried} if tried else {})
