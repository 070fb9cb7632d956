"""One audit: the wanted measurements of a subject in order; each kind with the time that it took."""

from __future__ import annotations

import time
from typing import Any

from measure.audit.accuracy import accuracy_of
from measure.audit.fairness import SECTIONS, fairness_of
from measure.audit.leakage import Attacks
from measure.audit.progress import Progress, Steps
from measure.audit.scope import Wanted
from measure.audit.subject import Subject
from measure.audit.targets import KINDS

METRICS: tuple[str, ...] = ("accuracy", *KINDS, *SECTIONS)
"""All that can be measured: accuracy, the kinds of leakage, and the sections of the card's ``fairness``."""


def measure(subject: Subject, wanted: Wanted, *, workers: int = 1, progress: Progress | None = None) -> dict[str, Any]:
    """Measure a subject.

    Args:
        subject: a bundle's users, items and lists.
        wanted: of it.
        workers: processes that attack side by side; the numbers are the same for any number.
        progress: told of every step.

    Returns:
        The card's ``accuracy``, ``leakage`` and ``fairness``, as far as they are wanted, and ``seconds`` by metric.
        What is wanted and could not be measured is in the ``not_measured`` of a section's protocol, with its reason.

    Raises:
        MeasureError: a worker process died.
    """
    accuracy, kinds, sections = (wanted.some(group) for group in (("accuracy",), KINDS, SECTIONS))
    attacks = Attacks(kinds, subject, wanted.masks, wanted.profile, wanted.seed)
    attacked = attacks.steps if kinds else 0
    ranked = 1 + len(wanted.masks) if accuracy else 0
    steps = Steps(attacked + ranked + len(sections) * len(wanted.masks), progress)

    card: dict[str, Any] = {}
    seconds: dict[str, float] = {}
    if accuracy:
        started = time.monotonic()
        card["accuracy"] = accuracy_of(subject, wanted.masks, wanted.seed, steps)
        seconds["accuracy"] = time.monotonic() - started
    if kinds:
        card["leakage"], by_kind = attacks.run(workers, steps)
        seconds |= by_kind
    if sections:
        steps.begin("comparing lists and groups")
        started = time.monotonic()
        card["fairness"] = fairness_of(subject, wanted.masks, sections, wanted.seed, steps.step)
        seconds["fairness"] = time.monotonic() - started
    return card | {"seconds": seconds}
