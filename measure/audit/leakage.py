"""The card's leakage: the attacked users, and the rows made from the attacks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from measure.audit.attacks import Attack, NotMeasured, Tuning, attacked, tuned_on
from measure.audit.progress import Steps
from measure.audit.reasons import not_measured, reason_of
from measure.audit.subject import Population, Subject
from measure.audit.targets import UNLISTED, Target, targets_of
from measure.audit.traces import Traces, traced
from measure.audit.workers import Workers
from measure.errors import MeasureError
from measure.features import prepared
from measure.labels import merge_rare
from measure.leakage import Leakage, Users
from measure.masks import Mask
from measure.profiles import Profile
from measure.split import SELECT, TRAIN
from measure.tuning import Tuned

Row = dict[str, Any]
Labels = Mapping[str, NDArray[np.int64]]
Found = Mapping[tuple[Target, str], Leakage | NotMeasured]
"""By target and attribute, in the card's order."""


class Attacks:
    """All attacks of one audit: planned first, so that their number is known, then run kind by kind."""

    def __init__(
        self, kinds: Iterable[str], subject: Subject, masks: Sequence[Mask], profile: Profile, seed: int
    ) -> None:
        """Plan.

        Args:
            kinds: of `measure.audit.targets.KINDS`.
            subject: what is attacked.
            masks: under which masks.
            profile: how much work a row is worth.
            seed: of everything that is drawn.
        """
        self._population, self._profile, self._seed = subject.population, profile, seed
        self._labels, self._skipped = _measurable(subject.population)
        self._ordered = {name: subject.population.in_order(name) for name in subject.population.names}
        kinds = frozenset(kinds)
        self._traces = Traces(
            subject, masks if "leakage" in kinds and not profile.protected_only else (), self._labels, profile, seed
        )
        planned = targets_of(kinds, subject, masks, profile, seed)
        self._targets = {kind: [each.only(self._labels) for each in targets] for kind, targets in planned.items()}

    @property
    def steps(self) -> int:
        """How many there are, the choice of settings included."""
        attacks = sum(len(each.attributes) for targets in self._targets.values() for each in targets)
        return len(self._labels) + attacks + len(self._traces.keys)

    def run(self, workers: int, steps: Steps) -> tuple[Row, dict[str, float]]:
        """Attack.

        Returns:
            The card's ``leakage``, one row per (sensitive, attribute, target), with its ``trace``, and the seconds that
            each kind took.
        """
        seconds: dict[str, float] = {}
        found: dict[tuple[Target, str], Leakage | NotMeasured] = {}
        with Workers(workers) as pool:
            steps.begin("choosing the attackers' settings")
            tunings = (
                Tuning(*_select(self._population, known), self._ordered[name], self._profile, self._seed)
                for name, known in self._labels.items()
            )
            settings = dict(zip(self._labels, pool.run(tuned_on, tunings, steps.step), strict=True))
            for kind, targets in self._targets.items():
                started = time.monotonic()
                steps.begin(f"attacking {_NAMED[kind]}")
                keys = [(target, name) for target in targets for name in target.attributes]
                results = pool.run(attacked, self._attacks(targets, settings), steps.step)
                found |= zip(keys, results, strict=True)
                seconds[kind] = time.monotonic() - started
            if self._traces.keys:
                started = time.monotonic()
                steps.begin("reading scores from fair vectors")
                traces = pool.run(traced, self._traces.readings(settings), steps.step)
                seconds["leakage"] += time.monotonic() - started
        rows = list(_rows(found, self._population.attributes))
        trace = {"trace": self._traces.section(traces)} if self._traces.keys else {}
        return {"protocol": self._protocol(settings, found), "by_mask": rows, **trace}, seconds

    def _attacks(self, targets: Sequence[Target], settings: Mapping[str, Tuned]) -> Iterator[Attack]:
        """One attack a row; features are made when it is their turn."""
        users = _users(self._population)
        for target in targets:
            if target.attributes:
                features = prepared(target.features())
                for name in target.attributes:
                    labelled = self._labels[name], self._ordered[name]
                    whom, known = users[target.users], settings[name]
                    yield Attack(features, *labelled, whom, self._profile, name, target.name, known, self._seed)

    def _protocol(self, settings: Mapping[str, Tuned], found: Found) -> Row:
        return {
            "profile": self._profile.name,
            "verdict": self._profile.verdict,
            "users": "audit",
            "attributes": list(self._population.names),
            "labels": "train users only" if self._population.strict else "all users: transductive",
            **_light(self._population),
            "score": "macro one-vs-rest AUC of scores, .5 + |AUC - .5|, the worst of cross-validated, fitted on "
            "train and, of some, fitted on both",
            "lists": "items as served: float64 scores rounded to 1e-6, ties by item row",
            "settings": {name: dict(sorted(tuned.settings.items())) for name, tuned in settings.items()},
            "not_tuned": [name for name, tuned in settings.items() if not tuned.aucs],
            "not_measured": [*self._skipped, *_reasons(found)],
            "seed": self._seed,
        }


_NAMED = {
    "leakage": "fair vectors",
    "parts": "the parts of user vectors",
    "lists": "lists",
    "joined": "answers to several masks",
}


def _measurable(population: Population) -> tuple[Labels, list[Row]]:
    """Labels of the attributes that audit users are enough to measure, and why the others are not."""
    labels: dict[str, NDArray[np.int64]] = {}
    skipped = []
    for name in population.names:
        known = population.label(name)
        try:
            merge_rare(known, _users(population)["audit"].audit, ordered=population.in_order(name))
            labels[name] = known
        except MeasureError as error:
            skipped.append(not_measured(reason_of(error), str(error), attribute=name))
    return labels, skipped


def _users(population: Population) -> dict[str, Users]:
    """The users that attackers are tested on, and the train users that they may learn from."""
    train = np.flatnonzero(population.split == TRAIN)
    return {
        "audit": Users(np.flatnonzero(population.audited), train),
        "folded_in": Users(np.flatnonzero(population.new), train),
        "light": Users(np.flatnonzero(population.light), np.flatnonzero(population.light_train)),
    }


def _light(population: Population) -> Row:
    """Who the light users are; absent where there are none."""
    if not population.light.any():
        return {}
    return {"light": {"n": int(population.light.sum()), "interactions_at_most": population.light_up_to}}


def _select(population: Population, known: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    select = population.split == SELECT
    return population.base[select], known[select]


def _rows(found: Found, attributes: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    aucs = {(target.name, name): each.auc for (target, name), each in found.items() if isinstance(each, Leakage)}
    for (target, name), each in found.items():
        if isinstance(each, Leakage) and target.name not in UNLISTED:
            base = aucs.get((target.reference, name)) if target.reference else None
            row = {"sensitive": list(target.sensitive), **replace(each, base_auc=base).as_row()}
            yield row | {"groups": list(each.merge.names(attributes[name]))}


def _reasons(found: Found) -> list[Row]:
    """Give each reason once for a target and attribute, for all masks together."""
    reasons = {
        (name, target.name): each
        for (target, name), each in found.items()
        if isinstance(each, NotMeasured) and target.name not in UNLISTED
    }
    return [
        not_measured(why.code, f"{target}: {why.reason}", attribute=name, target=target)
        for (name, target), why in reasons.items()
    ]
