"""One writer for every report: what the card holds is told, what it does not hold is not there."""

from __future__ import annotations

import json
import re

import pytest

from measure.report import render_html, render_markdown

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


def test_a_small_card_reads_as_it_always_did(a_small_report, headings):
    markdown = render_markdown(a_small_report)

    assert markdown.startswith(GOLDEN + "## How to read the numbers")
    assert headings(markdown)[2:] == ["Accuracy kept", "Leakage of the fair vector", "Model card", "Limits"]
    assert "| gender | gender | **0.560** | 0.530–0.590 | 0.540 | yes | 0.800 | MLP | 400 |" in markdown


def test_every_leakage_row_is_in_both_reports(a_report, walk):
    report = a_report(attributes=2)
    rows = report["card"]["leakage"]["by_mask"]
    rows.append({**rows[0], "target": "something@new"})
    for index, row in enumerate(rows):
        row["strongest"] = {"attacker": "mlp", "auc": 0.505 + 0.007 * index}
        row["attackers"] = {}
        row.pop("base_auc", None)
        row["permutation95"] = 0.5

    html, markdown = walk(render_html(report)).text, render_markdown(report)

    assert 50 < len(rows) < 70
    for row in rows:
        assert f"{row['strongest']['auc']:.3f}" in html
        assert f"{row['strongest']['auc']:.3f}" in markdown


@pytest.mark.parametrize("attributes", [1, 3, 6])
def test_the_page_is_well_formed_and_needs_nothing_from_outside(a_report, attributes, walk):
    html = render_html(a_report(attributes))

    page = walk(html)
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
def test_every_row_of_a_table_is_as_wide_as_its_header(a_report, attributes, walk):
    report = a_report(attributes)

    for table in re.findall(r"<table>.*?</table>", render_html(report), re.DOTALL):
        assert len(set(walk(table).rows)) == 1
    for table in re.findall(r"(?:^\|.*\|\n)+", render_markdown(report), re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_names_with_markup_stay_names(a_report, walk):
    evil = '</svg></title></style><img src=x onerror="alert(1)"> | **b** [l](https://e.vil) `c`\n# h'
    text = json.dumps(a_report(attributes=2))
    for word in ("gender", "F", "part:shared", "mlp", "transport", "select", "ml1m-pmf", "train users only", "list@50"):
        text = text.replace(json.dumps(word), json.dumps(evil))
    report = json.loads(text)

    html, markdown = render_html(report), render_markdown(report)

    page = walk(html)
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<img src=x" in page.text
    assert re.search(r"<(?!/?\w)|<\w", markdown) is None
    assert not re.search(r"(?<!\\)\]\(|(?<!\\)`|https://|^# h", markdown, re.MULTILINE)
    assert "\\[l\\](https:&#47;/e.vil)" in markdown


def test_what_was_not_measured_is_left_out_and_never_zero(a_small_report, walk, headings):
    html, markdown = render_html(a_small_report), render_markdown(a_small_report)

    for title in (
        "Lists",
        "New users",
        "Light users",
        "Scores left",
        "Controls",
        "Accuracy by group",
        "Unprotected attributes",
    ):
        assert title not in headings(markdown)
        assert f">{title}</h2>" not in html
    assert not re.search(r"\b0\.0+\b|\bnan\b|\bNone\b|\binf\b", markdown + walk(html).text)
    assert "Not measured here, and so left out: scores left, leakage of the parts, leakage of the lists" in markdown


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
def test_an_empty_report_is_a_page_without_numbers(report, walk, headings):
    page = walk(render_html(report))

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


def test_a_reproduced_protocol_and_a_quick_look_come_with_a_warning(a_small_report, a_report, walk):
    a_small_report["bundle"]["mode"] = "reproduce"

    warned = walk(render_html(a_small_report)).text

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
    assert "sampled N@10 is kept least by age 25-34: 40.0 % (n 443)." in markdown


def test_the_words_promise_nothing(a_report):
    told = (render_html(a_report(6)) + render_markdown(a_report(6))).lower()

    for word in ("debias", "unbiased", "guarantee"):
        assert word not in told


def test_numbers_outside_an_axis_stay_inside_the_plot(a_small_report, walk):
    row = a_small_report["card"]["leakage"]["by_mask"][0]
    row["strongest"] = {"attacker": "mlp", "auc": 1e30, "ci95": [-5, 10**400]}

    page = walk(render_html(a_small_report))

    places = [float(value) for name in ("x1", "x2", "cx") for value in page.values(name)]
    assert places
    assert 0 <= min(places) <= max(places) <= 340
