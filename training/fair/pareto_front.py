"""The front: accuracy and leakage of select users at other strengths, so that an operator can choose one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from bundle import FairEncoder
from measure.accuracy import full_ranks, ndcg_at
from measure.errors import MeasureError
from measure.leakage import leakage
from measure.profiles import QUICK
from training.base.contract import Base
from training.experiment import Experiment, rows_of
from training.fair.select import Validation, select_and_train


def measure_front(
    experiment: Experiment, base: Base, strengths: Sequence[int], fit: Callable[[int], FairEncoder]
) -> list[dict[str, Any]]:
    """One row for each strength, with the first attribute protected and with all (card.json's ``front``).

    Args:
        experiment: what was trained on.
        base: the frozen base.
        strengths: to be fitted and measured.
        fit: strength → encoder.

    Returns:
        Rows with ``strength``, ``sensitive``, ``sampled_kept``, ``full_kept`` (N@10 on validation positives),
        ``leakage`` by protected attribute (quick attackers fitted on select and on train users), ``n``.
    """
    everyone, attacked = select_and_train(experiment)
    select = everyone[attacked.audit]
    names, (positive, negatives) = experiment.attributes, experiment.validation_of(select)
    views = Validation(base.selection[everyone], base.scorer, positive, negatives, names)
    seen = rows_of(select, (experiment.dataset.indptr, experiment.dataset.indices))

    def full(vectors: Any) -> float:
        ranks = full_ranks(vectors, base.scorer, positive, *seen)
        return float(ndcg_at(10, ranks[ranks >= 0]).mean())

    unprotected = base.selection[select]
    rows = []
    for strength in strengths:
        encoder = fit(strength)
        for mask in dict.fromkeys([names[:1], names]):
            fair = views.fair(encoder, mask)
            leaks = {}
            for name in mask:
                labels, ordered, seed = experiment.labels_of(name)[everyone], experiment.ordered[name], experiment.seed
                attack = partial(leakage, fair, labels, attacked, QUICK, attribute=name, target="fair", seed=seed)
                try:
                    found = attack(ordered=ordered)
                except MeasureError:  # too few select users with a label: absent, not zero
                    continue
                leaks[name] = found.auc
            own = fair[: len(select)]
            rows.append(
                {
                    "strength": strength,
                    "sensitive": list(mask),
                    **_kept("sampled_kept", views.ndcg(own), views.ndcg(unprotected)),
                    **_kept("full_kept", full(own), full(unprotected)),
                    "leakage": leaks,
                    "n": len(select),
                    "users": "select",
                }
            )
    return rows


def _kept(name: str, value: float, base: float) -> dict[str, float]:
    """The share that is kept; absent where there was nothing to keep."""
    return {name: value / base} if base else {}
