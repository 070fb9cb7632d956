"""One audit of one model as JSON data: its request, its measurements, and the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from measure.audit import Population, Scope, Thresholds, Wanted, judge, measure
from measure.audit.progress import Progress
from measure.errors import MeasureError
from measure.power import power
from measure.profiles import PROFILES
from service.audit.request import AuditRequest, all_masks, resolve
from service.audit.subject import ServedSubject, population_of
from service.balance import NO_BALANCE, BalancePolicy, resolve_balance
from service.errors import NoAuditDataError
from service.model.loaded import Model


def make_result(
    model: Model,
    request: AuditRequest,
    thresholds: Thresholds,
    policy: BalancePolicy = NO_BALANCE,
    *,
    workers: int = 1,
    progress: Progress | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Measure a model and judge it.

    Args:
        model: as it serves.
        request: what to measure; decided here, as far as it leaves something open.
        thresholds: the operator's.
        policy: how the operator balances lists.
        workers: processes that attack side by side; the numbers are the same for any number.
        progress: told of every step.
        tell: told, before anything is measured, what the audit users of each attribute can show, in a line.

    Returns:
        ``bundle``, ``request``, ``measured``, ``card`` and ``verdict``, as `measure.report` takes it.

    Raises:
        NoAuditDataError: the bundle came without audit/.
        InvalidQueryError, UnknownAttributeError, UnsupportedRequirementError: as `resolve` does.
        StartError: the bundle lacks item groups of the operator's target.
        MeasureError: a worker process died.
    """
    description = model.bundle.description
    policy = policy.over(personal=description.balance is not None)
    wanted = resolve(request, description, policy)
    audit = model.bundle.audit
    if audit is None:
        raise NoAuditDataError(description.version)
    population = population_of(model, audit)
    scope = Scope(
        population.names,
        all_masks(description),
        new_users=bool(population.new.any()),
        light_users=bool(population.light.any()),
        strict=population.strict,
    )
    if wanted.users is not None:
        population = population.at_most(wanted.users, wanted.seed)
    if "leakage" in wanted.metrics:
        for line in _what_they_can_show(population, thresholds):
            tell(line)
    profile = PROFILES[wanted.profile]
    balanced = None if wanted.balance is None else resolve_balance(policy, wanted.balance, wanted.balance_weight, {})
    targets = model.targets(policy)
    subject = ServedSubject(model, population, population.needed(profile.fit_rows, wanted.seed), balanced, targets)
    what = Wanted(wanted.masks, profile, frozenset(wanted.metrics), wanted.seed)
    card = measure(subject, what, workers=workers, progress=progress)
    seconds = {metric: round(value, 3) for metric, value in card.pop("seconds").items()}
    return {
        "bundle": description.facts(),
        "request": wanted.model_dump(mode="json"),
        "measured": {
            "at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "index": model.index.kind,
            "seconds": seconds,
        },
        "card": card,
        "verdict": judge(card, scope, what, thresholds),
    }


def _what_they_can_show(population: Population, thresholds: Thresholds) -> Iterator[str]:
    for name in population.names:
        labels = population.label(name)[population.audited]
        try:
            yield power(labels, ordered=population.in_order(name)).sentence(name, thresholds.leakage_at_most)
        except MeasureError as error:
            yield f"{name}: cannot be judged: {error}."
    if (few := population.light).any():
        who = f"{int(few.sum()):,} light users, with at most {population.light_up_to} interactions,"
        yield f"{who} are attacked alone, too: a leakage over {thresholds.leakage_at_most:g} there keeps from passing."
