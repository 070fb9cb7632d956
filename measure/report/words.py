"""Numbers and names as the report writes them."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence

MISSING = "–"
"""The sign for a number that was not measured; never zero."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LIST = re.compile(r"(list|lists|protecting_lists|constant|base_list)@(\d+)(:seen)?")
_LISTS = {
    "list": "top-{k} list",
    "lists": "top-{k} lists of all masks together",
    "protecting_lists": "top-{k} lists of all masks that protect it",
    "constant": "control, top {k}",
    "base_list": "unprotected top-{k} list",
}
_TARGETS = {
    "fair": "fair vector",
    "base": "user vector, unprotected",
    "noise": "random noise",
    "folded_in": "fair vector of new users",
    "light": "fair vector of light users",
    "all_masks": "fair vectors of all masks together",
    "protecting_masks": "fair vectors of all masks that protect it",
}
_METRICS = {
    "ndcg": "N",
    "hit": "Hit",
    "recall": "Recall",
    "jaccard": "Jaccard",
    "rbo": "RBO",
    "e": "E",
    "a": "A",
    "user_kl": "user KL",
    "system_kl": "system KL",
    "gini": "Gini",
    "cv": "CV",
    "min": "MIN",
    "ucv": "UCV",
    "icv": "ICV",
}
_OUTCOMES = {"pass": "pass", "fail": "fail", "inconclusive": "inconclusive", "not_judged": "not judged"}
_ATTACKERS = {
    "logistic": "logistic regression",
    "mlp": "MLP",
    "boosting": "boosted trees",
    "knn": "kNN",
    "svm": "RBF-SVM",
}


def clean(text: object) -> str:
    """Turn a name from the card into one line without control or direction-changing characters.

    What is no name, null or a number that is none, becomes the dash of what is missing.
    """
    if text is None or (isinstance(text, float) and not math.isfinite(text)):
        return MISSING
    return " ".join(_CONTROL.sub("\ufffd", str(text)).split())


def auc(value: float | None) -> str:
    """Three decimals: 0.571."""
    return MISSING if value is None else _three(value)


def interval(ends: tuple[float, float] | None) -> str:
    """Give both ends, like 0.528–0.580, or -0.012 to 0.031."""
    if ends is None:
        return MISSING
    low, high = map(_three, ends)
    return f"{low} to {high}" if "-" in low + high else f"{low}–{high}"


def share(value: float | None) -> str:
    """Percent with one decimal: 95.5 %, the space a no-break one."""
    return MISSING if value is None else f"{value * 100:.1f}\u00a0%"


def share_interval(ends: tuple[float, float] | None) -> str:
    """Give both ends of a share: 78.1–83.0 %."""
    return MISSING if ends is None else f"{ends[0] * 100:.1f}–{share(ends[1])}"


def bare_share(value: float | None) -> str:
    """Give a percentage without its sign, for tables whose caption has it: 95.5."""
    return MISSING if value is None else f"{value * 100:.1f}"


def decimal(value: float | None) -> str:
    """Three decimals: 0.082."""
    return auc(value)


def between(classes: Sequence[str]) -> str:
    """Name the classes that a difference is between: F and M."""
    return listed(classes) or MISSING


def _three(value: float) -> str:
    """Round, without a sign before zero."""
    return f"{round(value, 3) + 0.0:.3f}"


def score(value: float | None) -> str:
    """Four decimals, for accuracy: 0.5345."""
    return MISSING if value is None else f"{value:.4f}"


def count(value: int | None) -> str:
    """Thousands apart: 1,785."""
    return MISSING if value is None else f"{value:,}"


def counts(values: Iterable[int | None]) -> str:
    """Give one count, or the range of several."""
    known = sorted({value for value in values if value is not None})
    if not known:
        return MISSING
    return count(known[0]) if len(known) == 1 else f"{count(known[0])}–{count(known[-1])}"


def people(value: int | None) -> str:
    """Write n and a count, not to be broken: n 1,785."""
    return f"n\u00a0{count(value)}"


def listed(names: Sequence[str]) -> str:
    """Join names as in a sentence: gender, age and occupation."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else "".join(names)


def mask(names: Sequence[str]) -> str:
    """Name a mask by its protected attributes."""
    return ", ".join(names) or "nothing"


def sentence_mask(names: Sequence[str]) -> str:
    """Name a mask inside a sentence."""
    return listed(names) or "nothing"


def protecting(names: Sequence[str]) -> str:
    """Name a mask as the label of a mark."""
    return mask(names) if names else "nothing protected"


def metric(kind: str, name: str) -> str:
    """Name a metric: ("sampled", "ndcg@10") is sampled N@10."""
    return f"{kind} {measure(name)}"


def named_metric(text: str) -> str:
    """Name a metric by its kind and name in one: "full ndcg@10" is full N@10."""
    kind, _, name = text.partition(" ")
    return metric(kind, name).strip()


def measure(name: str) -> str:
    """Name a number of lists: ndcg@10 is N@10, user_kl is user KL."""
    head, at, tail = name.partition("@")
    return f"{_METRICS.get(head, head.replace('_', ' '))}{at}{tail}"


def balance(request: Mapping[str, object]) -> str:
    """Say what lists were balanced towards: uniform, weight 0.5; nothing where they were not."""
    target, weight = request.get("balance"), request.get("balance_weight")
    if target is None or not isinstance(weight, int | float):
        return ""
    return f"{clean(target)}, weight {weight:g}"


def outcome(name: str) -> str:
    """Say a verdict."""
    return _OUTCOMES.get(name, "not judged")


def target(name: str) -> str:
    """Name the target of an attack."""
    if name.startswith("part:"):
        return f"part {name.removeprefix('part:')}"
    if name.startswith("modal:"):
        return f"mean {name.removeprefix('modal:')} of the items seen"
    if found := _LIST.fullmatch(name):
        kind, k, seen = found.groups()
        return _LISTS[kind].format(k=k) + (", seen dropped" if seen else "")
    return _TARGETS.get(name, name)


def attacker(name: str) -> str:
    """Name a kind of attacker in words."""
    return _ATTACKERS.get(name, name)


def capital(text: str) -> str:
    """Raise the first letter and leave the rest as it is."""
    return text[:1].upper() + text[1:]


def sentence(text: str, *, raised: bool = True) -> str:
    """End with a full stop, and begin with a capital unless it goes on from other words."""
    ended = text if text.endswith((".", "!", "?")) else f"{text}."
    return capital(ended) if raised else ended


def shorten(text: str, width: int) -> str:
    """Cut to ``width`` characters, the last of them an ellipsis where anything was cut."""
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"
