"""How to read the numbers, in plain words."""

from measure.report.page import Facts, Section
from measure.report.rows import Card

_OF_ACCURACY = (
    (
        "Kept",
        "Accuracy under a mask, divided by that of the unprotected user vectors of the same users.",
    ),
    (
        "Sampled and full N@10",
        "nDCG at 10 of one held-out item per user, ranked against 99 sampled items, or against all items.",
    ),
)
_OF_LEAKAGE = (
    (
        "AUC",
        "How often an attacker ranks a user of a class above a user outside it: 0.500 is chance, 1.000 full recovery. "
        "With several classes, the mean over them. Below chance counts as above: 0.400 is told as 0.600.",
    ),
    (
        "Strongest attacker",
        "Logistic regression, neural networks (MLP), boosted trees, nearest neighbours (kNN) and RBF-SVM, as far as "
        "the profile runs them, are each fitted in two ways: among audit users (cross-validated), and on train users; "
        "some in a third, on both together. "
        "The one that finds most is reported.",
    ),
    (
        "95\u00a0% interval",
        "Where the AUC falls when the audit users are drawn again (bootstrap). It does not cover another training run.",
    ),
    (
        "Permuted 95\u00a0%",
        "With shuffled labels the strongest attacker stays below this 95 times in 100. Within it, a finding cannot be "
        "told from chance. Fewer users, wider bound.",
    ),
    (
        "n",
        "The users measured. For leakage: audit users whose label is known.",
    ),
    (
        "A lower bound",
        "These attackers found this much; another may find more. No AUC shows that nothing is left.",
    ),
)


def how_to_read(card: Card) -> Section:
    """Explain the numbers that this report has."""
    rows = [*(_OF_ACCURACY if card.accuracy or card.folded_in else ()), *(_OF_LEAKAGE if card.leakage else ())]
    return Section("reading", "How to read the numbers", [Facts(rows, prose=True)] if rows else [])
