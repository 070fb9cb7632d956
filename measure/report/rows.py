"""The rows of a card, which a report is made from. Absent means not measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from measure.report.fair_rows import Fairness, Mask
from measure.report.json_access import names, tables
from measure.report.words import clean

Outcome = Literal["pass", "fail", "inconclusive", "not_judged"]
Metric = tuple[str, str]
"""Kind and name: ("sampled", "ndcg@10")."""

SAMPLED: Metric = ("sampled", "ndcg@10")
FULL: Metric = ("full", "ndcg@10")


@dataclass(frozen=True)
class AccuracyRow:
    """Accuracy of one set of users under one mask, beside the base's."""

    sensitive: Mask
    n: int | None
    values: Mapping[Metric, float]
    base: Mapping[Metric, float]
    label: str = ""
    """The class, in a row of `groups`."""
    groups: Mapping[str, tuple["AccuracyRow", ...]] = field(default_factory=dict)
    candidates: Mapping[Metric, float] = field(default_factory=dict)
    """Where a model's own scores order candidates only: their recall, and the accuracy if every item were one."""
    kept_ci: Mapping[Metric, tuple[float, float]] = field(default_factory=dict)
    """Intervals of the shares kept, where they were measured."""

    def kept(self, metric: Metric) -> float | None:
        """Share of the base's value; absent where the base has none or zero."""
        value, base = self.values.get(metric), self.base.get(metric)
        return value / base if value is not None and base else None


@dataclass(frozen=True)
class Attacker:
    """The result of one attacker; the ways are not folded at .5."""

    name: str
    auc: float
    ci: tuple[float, float] | None
    cross_validated: float | None
    fitted_on_train: float | None
    fitted_on_both: float | None


@dataclass(frozen=True)
class LeakRow:
    """The strongest attacker on one (mask, attribute, target)."""

    sensitive: Mask
    attribute: str
    target: str
    n: int | None
    auc: float
    ci: tuple[float, float] | None
    attacker: str
    bound: float | None
    """95 % point of the leakage under permuted labels."""
    base: float | None
    attackers: tuple[Attacker, ...]
    groups: tuple[str, ...] = ()
    """What its classes were merged into, where some were too small."""

    @property
    def protected(self) -> bool:
        """Whether this mask protects this attribute."""
        return self.attribute in self.sensitive


@dataclass(frozen=True)
class TraceRow:
    """How well scores of an attribute are read from fair vectors under a mask that protects it."""

    sensitive: Mask
    attribute: str
    n: int | None
    auc: float
    ci: tuple[float, float] | None
    base: float | None


@dataclass(frozen=True)
class FrontRow:
    """One strength of the method, with its accuracy and leakage."""

    strength: float
    sensitive: Mask
    sampled: float | None
    full: float | None
    leakage: Mapping[str, float]
    users: str
    n: int | None


@dataclass(frozen=True)
class Worst:
    """The row that a verdict hangs on."""

    sensitive: Mask
    what: str
    """The target attacked, or the metric."""
    value: float
    ci: tuple[float, float] | None


@dataclass(frozen=True)
class Judged:
    """The finding on one attribute's leakage, or on accuracy."""

    subject: str
    outcome: Outcome
    worst: Worst | None
    sentence: str


@dataclass(frozen=True)
class Unjudged:
    """Something that no verdict could be given on, and why."""

    subject: str
    """An attribute, accuracy, or everything."""
    reason: str
    rows: int | None
    """How many rows of the card are missing for it."""


@dataclass(frozen=True)
class Verdict:
    """An audit's verdict, and the thresholds that it is against."""

    overall: Outcome
    reason: str
    """Why the whole is not judged; empty where it is."""
    leakage_at_most: float | None
    kept_at_least: float | None
    attributes: tuple[Judged, ...]
    accuracy: Judged | None
    not_judged: tuple[Unjudged, ...] = ()


@dataclass(frozen=True)
class Card:
    """Everything a report is told from."""

    bundle: Mapping[str, Any]
    attributes: tuple[str, ...]
    accuracy: tuple[AccuracyRow, ...]
    folded_in: tuple[AccuracyRow, ...]
    light: tuple[AccuracyRow, ...]
    leakage: tuple[LeakRow, ...]
    traces: tuple[TraceRow, ...]
    front: tuple[FrontRow, ...]
    accuracy_protocol: Mapping[str, Any]
    leakage_protocol: Mapping[str, Any]
    fairness: Fairness
    verdict: Verdict | None
    request: Mapping[str, Any]
    run: Mapping[str, Any]
    """When it was measured, and how long each part of it took."""
    merged_users: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Attribute and class → users, of classes that stand for several of the data's."""
    modalities: tuple[Mapping[str, Any], ...] = ()
    """Item features, as the card has them."""
    cold_items: Mapping[str, Any] = field(default_factory=dict)
    """Items served by their features alone, as the card counts them."""

    @property
    def leakage_at_most(self) -> float | None:
        """The threshold of leakage, where there is one."""
        return self.verdict.leakage_at_most if self.verdict else None

    @property
    def kept_at_least(self) -> float | None:
        """The threshold of accuracy kept, where there is one."""
        return self.verdict.kept_at_least if self.verdict else None

    @property
    def masks(self) -> tuple[Mask, ...]:
        """Masks with accuracy or fair-vector leakage, in card order."""
        seen = [row.sensitive for row in self.accuracy] + [row.sensitive for row in self.attacked("fair")]
        return tuple(dict.fromkeys(seen))

    @property
    def widest(self) -> Mask:
        """The mask that protects most."""
        return max(self.masks, key=len, default=())

    def attacked(self, *targets: str) -> tuple[LeakRow, ...]:
        """Rows of these targets, in card order."""
        return tuple(row for row in self.leakage if row.target in targets)

    @property
    def unmeasured(self) -> dict[str, str]:
        """Attributes whose leakage was to be measured and has no row at all, and why."""
        measured = {row.attribute for row in self.leakage}
        told = {clean(each.get("attribute", "")): each for each in tables(self.leakage_protocol.get("not_measured"))}
        named = names(self.leakage_protocol.get("attributes")) or tuple(told)
        return {
            each: clean(told.get(each, {}).get("reason", "nothing says why")) for each in named if each not in measured
        }

    def find(self, target: str, attribute: str, sensitive: Mask | None = None) -> LeakRow | None:
        """Find a row of this target and attribute: of this mask, or the first of any."""
        rows = (row for row in self.attacked(target) if row.attribute == attribute)
        return next((row for row in rows if sensitive is None or row.sensitive == sensitive), None)

    def unprotected(self, attribute: str) -> float | None:
        """Leakage of the base user vectors."""
        row = self.find("base", attribute)
        known = (row.base for row in self.leakage if row.attribute == attribute and row.base is not None)
        return row.auc if row else next(known, None)

    def measured(self, sensitive: Mask) -> AccuracyRow | None:
        """Find the accuracy of one mask."""
        return next((row for row in self.accuracy if row.sensitive == sensitive), None)
