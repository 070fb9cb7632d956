"""One writer for every report: what the card holds is told, what it does not hold is not there."""

from __future__ import annotations

import json
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
VOID = {"meta", "br", "hr", "img", "input", "link", "circle", "line", "path", "polyline", "rect"}


class SampleCard:
    """A card as training would write it: made up, but with the sizes and spreads of ML-1M."""

    def __init__(self, attributes: list[str], seed: int = 5) -> None:
        self.attributes = attributes
        self.rng = np.random.default_rng(seed)
        m = len(attributes)
        sizes = range(m + 1) if m <= 4 else (0, 1, 2, m)
        self.masks = [list(mask) for size in sizes for mask in combinations(attributes, size)]

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
        for attribute in self.attributes:
            n = 1785 // len(CLASSES[attribute])
            rows = [
                (label, self.accuracy(mask, n - 7 * i, self.rng.uniform(0.9, 1.1)))
                for i, label in enumerate(CLASSES[attribute])
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
        attributes = [{"name": name, "classes": CLASSES[name]} for name in self.attributes]
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
                },
                "leakage": {
                    "protocol": {"profile": "full", "verdict": True, "labels": "train users only", "not_measured": []},
                    "by_mask": self.leakage(),
                },
                "front": self.front(),
            },
        }  # fmt: skip


@pytest.fixture
def a_report():
    """Build a report over the first so many attributes; keyword arguments replace keys of its card."""

    def build(attributes: int = 3, **card: Any) -> dict[str, Any]:
        report = SampleCard(list(CLASSES)[:attributes]).build()
        report["card"] |= card
        return report

    return build


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


GOLDEN = """\
What was measured · tiny 2

# With gender protected, 90.0 % of sampled N@10 is kept

> Leakage was measured with the quick profile, which runs fewer attackers: a look, not a verdict.

The strongest attacker recovers gender at 0.560 (unprotected 0.800). An AUC of 0.500 is chance.

Gender: still recovered in part, above what shuffled labels give.

The bundle uses the method afrl. Each request says whether to protect gender.

## At a glance

The first line is the base model alone; each other line is one mask, what a request asks to protect. \
Bold: that attribute is protected.

Accuracy kept (n 1,200) and leakage of the fair vector (n 400):

| Protected | Sampled N@10 kept | Full N@10 kept | gender, AUC |
| --- | ---: | ---: | ---: |
| unprotected | 100.0 % | 100.0 % | 0.800 |
| gender | 90.0 % | 80.0 % | **0.560** |

"""


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


def test_a_small_card_reads_as_it_always_did(a_small_report):
    markdown = render_markdown(a_small_report)

    assert markdown.startswith(GOLDEN + "## How to read the numbers")
    assert headings(markdown)[2:] == ["Accuracy kept", "Leakage of the fair vector", "Where this comes from", "Limits"]
    assert "| gender | gender | **0.560** | 0.530–0.590 | 0.540 | yes | 0.800 | MLP | 400 |" in markdown


def test_every_leakage_row_is_in_both_reports(a_report):
    report = a_report(attributes=2)
    rows = report["card"]["leakage"]["by_mask"]
    rows.append({**rows[0], "target": "something@new"})
    for index, row in enumerate(rows):
        row["strongest"] = {"attacker": "mlp", "auc": 0.505 + 0.007 * index}
        row["attackers"] = {}
        row.pop("base_auc", None)
        row["permutation95"] = 0.5

    html, markdown = Page(render_html(report)).text, render_markdown(report)

    assert 50 < len(rows) < 70
    for row in rows:
        assert f"{row['strongest']['auc']:.3f}" in html
        assert f"{row['strongest']['auc']:.3f}" in markdown


@pytest.mark.parametrize("attributes", [1, 3, 6])
def test_the_page_is_well_formed_and_needs_nothing_from_outside(a_report, attributes):
    html = render_html(a_report(attributes))

    page = Page(html)
    ids = page.values("id")
    targets = [value.removeprefix("#") for value in page.values("href")]
    named = [name for value in page.values("aria-labelledby") for name in value.split()]

    assert page.open == []
    assert len(ids) == len(set(ids))
    assert {*targets, *named} <= set(ids)
    assert all(value.startswith("#") for value in page.values("href"))
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "image", "use"}
    assert not re.search(r"(?:src|srcset|action)\s*=|@import|url\(|https?://", html)


@pytest.mark.parametrize("attributes", [1, 3, 6])
def test_every_row_of_a_table_is_as_wide_as_its_header(a_report, attributes):
    report = a_report(attributes)

    for table in re.findall(r"<table>.*?</table>", render_html(report), re.DOTALL):
        assert len(set(Page(table).rows)) == 1
    for table in re.findall(r"(?:^\|.*\|\n)+", render_markdown(report), re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_names_with_markup_stay_names(a_report):
    evil = '</svg></title></style><img src=x onerror="alert(1)"> | **b** [l](https://e.vil) `c`\n# h'
    text = json.dumps(a_report(attributes=2))
    for word in ("gender", "F", "part:shared", "mlp", "transport", "select", "ml1m-pmf", "train users only", "list@50"):
        text = text.replace(json.dumps(word), json.dumps(evil))
    report = json.loads(text)

    html, markdown = render_html(report), render_markdown(report)

    page = Page(html)
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<img src=x" in page.text
    assert re.search(r"<(?!/?\w)|<\w", markdown) is None
    assert not re.search(r"(?<!\\)\]\(|(?<!\\)`|https://|^# h", markdown, re.MULTILINE)
    assert "\\[l\\](https:&#47;/e.vil)" in markdown


def test_what_was_not_measured_is_left_out_and_never_zero(a_small_report):
    html, markdown = render_html(a_small_report), render_markdown(a_small_report)

    for title in ("Lists", "New users", "Controls", "Accuracy by group", "Unprotected attributes"):
        assert title not in headings(markdown)
        assert f">{title}</h2>" not in html
    assert not re.search(r"\b0\.0+\b|\bnan\b|\bNone\b|\binf\b", markdown + Page(html).text)
    assert "Not measured here, and so left out: leakage of the parts, leakage of the lists" in markdown


def test_nulls_and_numbers_that_are_none_count_as_not_measured(a_small_report):
    card = a_small_report["card"]
    card["accuracy"]["by_mask"][0] |= {"n": None, "full": None}
    card["leakage"]["by_mask"][0] |= {"permutation95": float("nan"), "base_auc": None, "n": True}

    markdown = render_markdown(a_small_report)

    assert "| gender | gender | **0.560** | 0.530–0.590 | – | – | – | MLP | – |" in markdown
    assert "Full N@10" not in "".join(re.findall(r"^\| Protected.*$", markdown, re.MULTILINE))
    assert "nan" not in markdown


@pytest.mark.parametrize(
    "report", [{}, {"bundle": {}, "card": {}}, {"bundle": None, "card": {"leakage": {"by_mask": "?"}}}]
)
def test_an_empty_report_is_a_page_without_numbers(report):
    page = Page(render_html(report))

    assert page.open == []
    assert "Accuracy and leakage of this bundle" in page.text
    assert headings(render_markdown(report)) == ["Limits"]


def test_excess_is_relative_to_the_base_and_absent_where_the_base_has_none(a_small_report):
    rows = a_small_report["card"]["leakage"]["by_mask"]
    rows.append({"sensitive": [], "attribute": "gender", "target": "fair", "n": 400, "strongest": {"auc": 0.65}})
    rows.append({"sensitive": ["gender"], "attribute": "age", "target": "fair", "n": 400, "strongest": {"auc": 0.51}})
    rows.append({"sensitive": [], "attribute": "age", "target": "base", "n": 400, "strongest": {"auc": 0.505}})

    markdown = render_markdown(a_small_report)

    assert "| nothing | 50.0 % | – | 400 |" in markdown
    assert "| gender | protected | – | 400 |" in markdown


def test_a_reproduced_protocol_and_a_quick_look_come_with_a_warning(a_small_report, a_report):
    a_small_report["bundle"]["mode"] = "reproduce"

    warned = Page(render_html(a_small_report)).text

    assert "a look, not a verdict" in warned
    assert "labels of all users" in warned
    assert 'class="warning"' not in render_html(a_report())


def test_with_many_masks_a_panel_draws_those_that_protect_its_attribute(a_report):
    html = render_html(a_report(attributes=6))

    panel = re.search(r'<svg class="plot"[^>]*leakage-1-t.*?</svg>', html, re.DOTALL)

    assert panel is not None
    assert panel[0].count('<text class="label') == 8
    assert "(138 rows)" in html


def test_the_headline_and_the_group_that_pays_most_are_told_in_words(a_report):
    report = a_report()
    last = report["card"]["accuracy"]["by_mask"][-1]
    last["groups"]["age"][1]["sampled"]["ndcg@10"] = 0.4 * last["groups"]["age"][1]["base"]["sampled"]["ndcg@10"]

    markdown = render_markdown(report)

    assert "# With gender, age and occupation protected, 89." in markdown
    assert "sampled N@10 is kept least by age 25-34: 40.0 % (n 439)." in markdown


def test_the_words_promise_nothing(a_report):
    told = (render_html(a_report(6)) + render_markdown(a_report(6))).lower()

    for word in ("debias", "unbiased", "guarantee"):
        assert word not in told


def test_numbers_outside_an_axis_stay_inside_the_plot(a_small_report):
    row = a_small_report["card"]["leakage"]["by_mask"][0]
    row["strongest"] = {"attacker": "mlp", "auc": 1e30, "ci95": [-5, 10**400]}

    page = Page(render_html(a_small_report))

    places = [float(value) for name in ("x1", "x2", "cx") for value in page.values(name)]
    assert places
    assert 0 <= min(places) <= max(places) <= 340
