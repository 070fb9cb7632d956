"""Cards and audit results as they would be measured: made up, but with the sizes and spreads of ML-1M."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from measure.report import render_html, render_markdown

CLASSES = {
    "gender": ["F", "M"],
    "age": ["under 25", "25-34", "35-44", "45 and over"],
    "occupation": ["academic", "artist", "clerical", "engineer", "executive", "retired", "student", "other"],
    "region": ["north", "south", "east", "west"],
    "marital_status": ["single", "married", "other"],
    "education": ["school", "college", "graduate"],
}
UNPROTECTED = {
    "gender": 0.838, "age": 0.764, "occupation": 0.671, "region": 0.612, "marital_status": 0.655, "education": 0.604
}  # fmt: skip

ML1M = {
    "gender": {"F": 505, "M": 1280},
    "age": {"under 18": 65, "18-24": 323, "25-34": 623, "35-44": 353, "45-49": 162, "50-55": 146, "56 and over": 113},
    "occupation": {
        "academic/educator": 156, "artist": 79, "clerical/admin": 51, "college/grad student": 224,
        "customer service": 33, "doctor/health care": 70, "executive/managerial": 201, "homemaker": 31,
        "K-12 student": 58, "lawyer": 38, "programmer": 115, "retired": 42, "sales/marketing": 89, "scientist": 43,
        "self-employed": 71, "technician/engineer": 149, "unemployed": 32, "writer": 83, "other": 182,
        "other (together)": 38,
    },
}  # fmt: skip
"""Audit users by class; farmers and craftsmen are too few, and measured together."""
GENRES = {
    "Action": 0.14, "Adventure": 0.08, "Animation": 0.03, "Children's": 0.04, "Comedy": 0.17, "Crime": 0.05,
    "Documentary": 0.005, "Drama": 0.18, "Fantasy": 0.02, "Film-Noir": 0.015, "Horror": 0.04, "Musical": 0.025,
    "Mystery": 0.02, "Romance": 0.07, "Sci-Fi": 0.07, "Thriller": 0.09, "War": 0.03, "Western": 0.015,
}  # fmt: skip
"""Share of what is shown."""


class SampleCard:
    """A card as training would write it."""

    def __init__(self, classes: dict[str, list[str]], seed: int = 5) -> None:
        self.classes, self.attributes = classes, list(classes)
        self.rng = np.random.default_rng(seed)
        m = len(classes)
        sizes = range(m + 1) if m <= 4 else (0, 1, 2, m)
        self.masks = [list(mask) for size in sizes for mask in combinations(classes, size)]

    def accuracy(self, mask: list[str], n: int = 1785, scale: float = 1.0) -> dict[str, Any]:
        keep = 1 - 0.035 * len(mask) + self.rng.normal(0, 0.004)
        base = {
            "sampled": {"ndcg@10": 0.5345 * scale, "hit@10": 0.7712 * scale},
            "full": {"ndcg@10": 0.1066 * scale, "recall@20": 0.2811 * scale},
        }
        shares = {"sampled": keep, "full": 1 - 2.1 * (1 - keep)}
        row = {kind: {name: value * shares[kind] for name, value in found.items()} for kind, found in base.items()}
        return {"sensitive": mask, "n": n, **row, "base": base}

    def with_groups(self, mask: list[str]) -> dict[str, Any]:
        groups = {}
        for attribute, classes in self.classes.items():
            n = 1785 // len(classes)
            rows = [
                (label, self.accuracy(mask, n - 3 * i, self.rng.uniform(0.9, 1.1))) for i, label in enumerate(classes)
            ]
            groups[attribute] = [
                {"class": label} | {k: row[k] for k in ("n", "sampled", "full", "base")} for label, row in rows
            ]
        return {**self.accuracy(mask), "groups": groups}

    def leak(self, mask: list[str], attribute: str, target: str, level: float, **more: Any) -> dict[str, Any]:
        names = ("logistic", "mlp", "boosting", "knn", "svm")
        found = {}
        for name, share in zip(names, self.rng.permutation([1.0, 0.93, 0.86, 0.8, 0.65]), strict=True):
            auc = 0.5 + (level - 0.5) * share
            ci = [max(auc - 0.024, 0.5), min(auc + 0.024, 1.0)]
            ways = {"cross_validated": auc, "fitted_on_train": auc - 0.012}
            found[name] = {"auc": auc, "ci95": ci, "way": "cross_validated", **ways}
        best = max(found, key=lambda name: found[name]["auc"])
        return {
            "sensitive": mask, "attribute": attribute, "target": target, "n": 1785, "attackers": found,
            "strongest": {"attacker": best, "auc": found[best]["auc"], "ci95": found[best]["ci95"]},
            "permutation95": float(self.rng.uniform(0.53, 0.54)), "permutation_p": 0.005, "profile": "full",
            "n_train": 3570, **more,
        }  # fmt: skip

    def leakage(self) -> list[dict[str, Any]]:
        rows = []
        for a in self.attributes:
            base = UNPROTECTED[a]
            rows += [self.leak([], a, "base", base), self.leak([], a, "noise", 0.52)]
            for mask in self.masks:
                low = 0.545 + 0.01 * len(mask) if a in mask else base - 0.012 * len(mask)
                rows.append(self.leak(mask, a, "fair", low, base_auc=base))
            for part in ("shared", *self.attributes):
                level = 0.54 if part == "shared" else base if part == a else 0.5 + (base - 0.5) * 0.35
                rows.append(self.leak([], a, f"part:{part}", level))
            listed = 0.5 + (base - 0.5) * 0.9
            for target in ("list@10", "list@50", "list@10:seen", "list@50:seen"):
                rows.append(self.leak([], a, f"base_{target}", listed))
                rows += [
                    self.leak(mask, a, target, 0.56 if a in mask else listed)
                    for mask in ([a], self.attributes)[: len(self.attributes)]
                ]
            rows.append(self.leak([], a, "constant@10:seen", 0.57))
            for target, level in (("all_masks", base), ("lists@10", listed)):
                rows.append(self.leak([], a, target, level))
            for target in ("protecting_masks", "protecting_lists@10"):
                rows.append(self.leak([a], a, target, 0.62))
            rows.append(self.leak(self.attributes, a, "folded_in", 0.57, n=88, base_auc=base))
            rows.append(self.leak(self.attributes, a, "light", 0.59, n=512, base_auc=base))
        return rows

    def front(self) -> list[dict[str, Any]]:
        rows = []
        for mask in ([self.attributes[0]], self.attributes) if len(self.attributes) > 1 else ([self.attributes[0]],):
            for s in (0.1, 0.25, 0.5, 0.75, 1.0):
                leaks = {a: 0.54 + (UNPROTECTED[a] - 0.54) * (1 - s) ** 2 for a in mask}
                kept = {"sampled_kept": 1 - 0.035 * len(mask) * s**1.5, "full_kept": 1 - 0.08 * len(mask) * s**1.5}
                rows.append({"strength": s, "sensitive": mask, **kept, "leakage": leaks, "users": "select"})
        return rows

    def build(self) -> dict[str, Any]:
        attributes = [{"name": name, "classes": classes} for name, classes in self.classes.items()]
        return {
            "bundle": {
                "name": "ml1m-pmf", "version": "7", "created": "2026-11-22T09:30:00Z", "method": "transport",
                "mode": "strict", "base_model": "pmf", "attributes": attributes,
                "content_hash": "3f9a" * 16, "user_split_salt": "salt-0",
                "data": {"source": "ml-1m", "fingerprint": "81c0" * 16, "users": 5950, "items": 3533},
                "seeds": {"run": 2026}, "code_revision": "4ae7b5f",
            },
            "card": {
                "accuracy": {
                    "protocol": {"users": "audit", "against": "items not in seen", "sampled_negatives": 99},
                    "by_mask": [self.with_groups(mask) for mask in self.masks],
                    "folded_in": [self.accuracy(mask, 88, 0.93) for mask in ([], self.attributes)],
                    "light": [self.accuracy(mask, 512, 0.91) for mask in ([], self.attributes)],
                },
                "leakage": {
                    "protocol": {"profile": "full", "verdict": True, "labels": "train users only", "not_measured": [],
                                 "light": {"n": 512, "interactions_at_most": 59}},
                    "by_mask": self.leakage(),
                    "trace": {"protocol": {}, "by_mask": [
                        {"sensitive": list(mask), "attribute": a, "n": 5649, "auc": 0.69, "ci95": [0.68, 0.7],
                         "base_auc": 0.98} for mask in self.masks for a in mask
                    ]},
                },
                "front": self.front(),
            },
        }  # fmt: skip


class SampleAudit(SampleCard):
    """The result of an audit run: a card with fairness, what was asked for, and a verdict."""

    def __init__(self, sizes: dict[str, dict[str, int]], genres: dict[str, float], seed: int = 5) -> None:
        super().__init__({attribute: list(found) for attribute, found in sizes.items()}, seed)
        self.sizes, self.genres = sizes, genres
        self.tastes = {
            (attribute, label): self.rng.normal(0, 0.16, len(genres))
            for attribute in sizes
            for label in sizes[attribute]
        }
        """How far a class is from the mix of all, in logarithms."""
        self.n = sum(next(iter(sizes.values())).values())

    def estimate(self, value: float, width: float, **more: Any) -> dict[str, Any]:
        low, high = value - width * self.rng.uniform(0.8, 1.2), value + width * self.rng.uniform(0.8, 1.2)
        return {"value": float(value), "ci95": [float(low), float(high)], **more}

    def strength(self, mask: list[str], attribute: str) -> float:
        """How much of what sets classes apart is left."""
        return (0.35 if attribute in mask else 1.0) * (1 - 0.05 * len(mask))

    def shares(self, attribute: str, label: str, strength: float) -> dict[str, float]:
        mix = np.array(list(self.genres.values())) * np.exp(strength * self.tastes[attribute, label])
        return dict(zip(self.genres, (mix / mix.sum()).tolist(), strict=True))

    def overlap(self, mask: list[str]) -> dict[str, Any]:
        near = 0.82 - 0.13 * len(mask)
        return {
            "sensitive": mask, "n": self.n, "jaccard@10": self.estimate(near, 0.012),
            "rbo@10": self.estimate(near + 0.06, 0.011),
        }  # fmt: skip

    def exposure(self, mask: list[str], attribute: str) -> dict[str, Any]:
        strength = self.strength(mask, attribute)
        groups = [
            {"class": label, "n": n, "shares": self.shares(attribute, label, strength)}
            for label, n in self.sizes[attribute].items()
        ]
        pairs = [
            (sum(abs(a["shares"][g] - b["shares"][g]) for g in self.genres) / 2, [a["class"], b["class"]])
            for a, b in combinations(groups, 2)
        ]
        value, between = max(pairs)
        found = self.estimate(value, 0.015, between=between, permutation95=0.02 + 0.002 * len(groups))
        return {"sensitive": mask, "attribute": attribute, "groups": groups, "total_variation": found}

    def parity(self, mask: list[str], attribute: str) -> dict[str, Any]:
        strength, labels = self.strength(mask, attribute), list(self.sizes[attribute])
        groups = [
            {
                "class": label, "n": n, "positives": n - 2, "hit@10": float(0.12 + 0.02 * self.rng.normal() * strength),
                "shares": {g: 1 - (1 - share) ** 8 for g, share in self.shares(attribute, label, strength).items()},
            }
            for label, n in self.sizes[attribute].items()
        ]  # fmt: skip
        between = [labels[0], labels[-1]]
        bound = 0.03 + 0.003 * len(groups)
        return {
            "sensitive": mask, "attribute": attribute, "groups": groups,
            "demographic": self.estimate(
                0.03 + 0.2 * strength, 0.03, item_group=list(self.genres)[-1], between=between, permutation95=bound
            ),
            "opportunity": self.estimate(0.01 + 0.04 * strength, 0.03, between=between, permutation95=bound),
            "differential": {
                "value": 0.3 + 1.1 * strength, "item": 1201, "between": between, "items": 88, "permutation95": 0.9,
            },
        }  # fmt: skip

    def utility(self, mask: list[str]) -> dict[str, Any]:
        first, *others = self.sizes.items()
        users = [{"group": label, "n": n} for label, n in first[1].items()]
        if others:
            users = [
                {"group": f"{one} × {two}", "n": round(n * m / self.n)}
                for one, n in first[1].items()
                for two, m in others[0][1].items()
            ]
        users = [user for user in users if user["n"] >= 30]
        items = [{"group": genre, "n": round(share * 3533)} for genre, share in self.genres.items()]
        keep = 1 - 0.06 * len(mask)
        positives = [[round(2.1 * user["n"] * share) for share in self.genres.values()] for user in users]
        cells = [
            [None if n < 30 else float(max(keep * self.rng.normal(0.16, 0.05), 0.0)) for n in line]
            for line in positives
        ]
        levels = {"cv": 0.31 + 0.02 * len(mask), "min": 0.09 * keep, "ucv": 0.19, "icv": 0.27}
        errors = [
            {
                "attribute": a, "between": list(self.sizes[a])[:2], "n": self.n, "e@10": 0.12 + 0.01 * len(mask),
                "precision_gap": 0.0144,
            }
            for a in self.attributes
        ]  # fmt: skip
        return {
            "sensitive": mask, "attributes": " × ".join(self.attributes[:2]), "users": users, "items": items,
            "utility@10": cells, "positives": positives,
            "ci95": [[cell and [max(cell - 0.03, 0.0), cell + 0.03] for cell in line] for line in cells],
            **{name: self.estimate(level, 0.04) for name, level in levels.items()}, "errors": errors,
        }  # fmt: skip

    def activity(self, mask: list[str]) -> dict[str, Any]:
        active = {"n": round(self.n / 20), "ndcg@10": 0.1412 - 0.01 * len(mask)}
        others = {"n": self.n - active["n"], "ndcg@10": 0.0891 - 0.006 * len(mask)}
        gap = self.estimate(active["ndcg@10"] - others["ndcg@10"], 0.06)
        return {"sensitive": mask, "gap": gap, "active": active, "others": others, "interactions_at_least": 520}

    def clients(self, mask: list[str]) -> dict[str, Any]:
        first, last = self.attributes[0], self.attributes[-1]
        strength = self.strength(mask, first)
        by_client = [
            {"client": label, "n": n, "value": float(abs(0.1 * strength + self.rng.normal(0, 0.05)))}
            for label, n in self.sizes[last].items()
        ]
        values = [each["value"] for each in by_client]
        return {
            "sensitive": mask, "attribute": first, "clients": last, "item_group": next(iter(self.genres)),
            "global": 0.09 * strength, "local": {
                "max": max(values), "mean": float(np.mean(values)), "permutation95": 0.21,
            },
            "by_client": by_client, "withheld": ["homemaker"],
        }  # fmt: skip

    def calibration(self, mask: list[str]) -> dict[str, Any]:
        own = self.estimate(0.62 + 0.03 * len(mask), 0.02)
        return {"sensitive": mask, "n": self.n, "user_kl": own, "system_kl": 0.71}

    def catalogue(self, mask: list[str]) -> dict[str, Any]:
        m = len(mask)
        return {"sensitive": mask, "n": self.n, "coverage@10": 0.34 + 0.02 * m, "gini@10": 0.91 - 0.01 * m}

    def fairness(self) -> dict[str, Any]:
        pairs = [(mask, attribute) for mask in self.masks for attribute in self.attributes]
        return {
            "protocol": {
                "users": "audit", "n": self.n, "k": 10, "lists": "as served: seen items dropped", "at_least": 30,
                "resamples": 1000, "permutations": 200, "seed": 3, "items": 3533, "item_groups": list(self.genres),
                "not_measured": [], "reference": [], "rbo": {"p": 0.9, "form": "extrapolated"},
                "withheld": [
                    {
                        "attribute": self.attributes[-1], "classes": ["farmer", "tradesman/craftsman"],
                        "reason": "too few audit users in a class of them (under 30): measured together",
                    }
                ],
            },
            "overlap": [self.overlap(mask) for mask in self.masks[1:]],
            "exposure": [self.exposure(mask, attribute) for mask, attribute in pairs],
            "parity": [self.parity(mask, attribute) for mask, attribute in pairs],
            "utility": [self.utility(mask) for mask in self.masks],
            "activity": [self.activity(mask) for mask in self.masks],
            "clients": [self.clients(mask) for mask in self.masks],
            "calibration": [self.calibration(mask) for mask in self.masks],
            "catalogue": [self.catalogue(mask) for mask in self.masks],
        }  # fmt: skip

    def verdict(self) -> dict[str, Any]:
        found = []
        for attribute, (outcome, auc) in zip(
            self.attributes, (("pass", 0.571), ("inconclusive", 0.589), ("fail", 0.644)), strict=False
        ):
            ci = [auc - 0.021, auc + 0.021]
            worst = {"sensitive": [attribute], "target": "protecting_masks", "auc": auc, "ci95": ci}
            told = f"{attribute}: the strongest attacker is at {auc:.3f}; 0.6 is allowed."
            found.append({"attribute": attribute, "verdict": outcome, "worst": worst, "sentence": told})
        worst = {"sensitive": self.attributes, "metric": "full ndcg@10", "kept": 0.823, "ci95": [0.776, 0.871]}
        return {
            "overall": "fail" if len(found) > 2 else "inconclusive", "reason": None,
            "thresholds": {"leakage_at_most": 0.6, "kept_at_least": 0.8}, "attributes": found,
            "accuracy": {
                "verdict": "inconclusive", "worst": worst,
                "sentence": "With everything protected, 82.3 % of full ndcg@10 is kept, the least of all masks; 80 % "
                "is demanded.",
            },
        }  # fmt: skip

    def build(self) -> dict[str, Any]:
        result = super().build()
        for row in result["card"]["accuracy"]["by_mask"]:
            row["kept"] = {
                kind: {name: self.estimate(row[kind][name] / row["base"][kind][name], 0.03) for name in row[kind]}
                for kind in ("sampled", "full")
            }
        del result["card"]["front"]
        result["card"]["fairness"] = self.fairness()
        metrics = ("accuracy", "leakage", "parts", "lists", "joined")
        return result | {
            "request": {
                "profile": "full", "masks": self.masks, "metrics": [*metrics, *list(result["card"]["fairness"])[1:]],
                "users": None, "seed": 3, "version": "7",
            },
            "measured": {
                "at": "2026-11-25T14:03:11Z",
                "seconds": {
                    "accuracy": 1.2, "leakage": 301.4, "parts": 96.2, "lists": 214.7, "joined": 88.0, "fairness": 7.9,
                },
            },
            "verdict": self.verdict(),
        }  # fmt: skip


VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Walks a page: open elements close in order, and what they were is kept."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.rows: list[int] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "tr":
            self.rows.append(0)
        if tag in ("td", "th"):
            self.rows[-1] += 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += data

    def values(self, attribute: str) -> list[str]:
        return [value for name, value in self.attributes if name == attribute]


def headings(markdown: str) -> list[str]:
    return re.findall(r"^## (.+)$", markdown, re.MULTILINE)


@pytest.fixture
def walk():
    """Walk a page that is written as HTML."""
    return Page


@pytest.fixture(name="headings")
def headings_of():
    """Give the headings of sections in Markdown."""
    return headings


@pytest.fixture
def a_report():
    """Build a report over the first so many attributes; keyword arguments replace keys of its card."""

    def build(attributes: int = 3, **card: Any) -> dict[str, Any]:
        report = SampleCard({name: CLASSES[name] for name in list(CLASSES)[:attributes]}).build()
        report["card"] |= card
        return report

    return build


@pytest.fixture
def a_result():
    """Build the result of an audit of ML-1M's size."""
    return lambda seed=5: SampleAudit(ML1M, GENRES, seed).build()


@pytest.fixture(scope="session")
def rendered():
    """That result as HTML and as Markdown."""
    result = SampleAudit(ML1M, GENRES, 5).build()
    return render_html(result), render_markdown(result)


@pytest.fixture
def a_tiny_result():
    """Build the result of an audit of one attribute and three item groups."""
    genres = {"Comedy": 0.5, "Drama": 0.4, "War": 0.1}
    return lambda: SampleAudit({"gender": {"F": 31, "M": 33}}, genres).build()


@pytest.fixture
def a_small_report():
    """One attribute, one protecting mask, and as little as a card may hold."""
    near, far = {"ndcg@10": 0.5}, {"ndcg@10": 0.1}
    return {
        "bundle": {
            "name": "tiny", "version": "2", "method": "afrl", "attributes": [{"name": "gender", "classes": ["F", "M"]}],
        },
        "card": {
            "accuracy": {
                "by_mask": [
                    {
                        "sensitive": ["gender"], "n": 1200, "sampled": {"ndcg@10": 0.45}, "full": {"ndcg@10": 0.08},
                        "base": {"sampled": near, "full": far},
                    }
                ]
            },
            "leakage": {
                "protocol": {"profile": "quick", "verdict": False},
                "by_mask": [
                    {
                        "sensitive": ["gender"], "attribute": "gender", "target": "fair", "n": 400, "base_auc": 0.8,
                        "strongest": {"attacker": "mlp", "auc": 0.56, "ci95": [0.53, 0.59]}, "permutation95": 0.54,
                    }
                ],
            },
        },
    }  # fmt: skip
