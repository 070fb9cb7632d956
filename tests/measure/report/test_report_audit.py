"""The report of an audit: verdict, front, lists and groups, and where it all comes from."""

from __future__ import annotations

import json
import math
import re
from html import unescape

import numpy as np
import pytest

from measure.report import render_html, render_markdown

EVIL = '</svg></title></style><img src=x onerror="alert(1)"> | **b** [l](https://e.vil) `c`\n# h'
OF_FAIRNESS = {
    "overlap": "Overlap between masks",
    "exposure": "Exposure by user group",
    "parity": "Parity between classes",
    "utility": "Utility by intersection",
    "activity": "Activity",
    "clients": "Clients",
    "calibration": "Calibration",
    "catalogue": "Coverage and concentration",
}


def section(html: str, slug: str) -> str:
    return re.search(rf'<section id="{slug}".*?</section>', html, re.DOTALL)[0]


def chapter(markdown: str, title: str) -> str:
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", markdown, re.DOTALL | re.MULTILINE)[1]


def fraction(x: float) -> float:
    """How far along a track a horizontal place is."""
    return (x - 8) / 324


def test_the_verdict_stands_above_everything_else(rendered):
    html, markdown = rendered

    said = "Occupation fails; age and accuracy are inconclusive; gender passes."
    assert html.index('<p class="ruling fail">') < html.index('<p class="lead">') < html.index("<h2")
    assert f"<strong>Verdict: fail.</strong> {said}" in html
    assert markdown.split("\n\n")[2] == f"> **Verdict: fail.** {said}"


@pytest.mark.parametrize(
    ("outcome", "word"),
    [("pass", "Pass"), ("fail", "Fail"), ("inconclusive", "Inconclusive"), ("not_judged", "Not judged")],
)
def test_each_verdict_has_a_word_and_a_shape_of_its_own(a_tiny_result, outcome, word):
    result = a_tiny_result()
    result["verdict"]["attributes"][0]["verdict"] = outcome

    html, markdown = render_html(result), render_markdown(result)

    found = re.search(r'<ul class="rulings">\s*<li class="(\w+)">(<svg.*?</svg>).*?</li>', html, re.DOTALL)
    assert found[1] == outcome
    assert f'<span class="what">gender</span><strong>{word}</strong><span>The strongest' in found[0]
    others = {"pass", "fail", "inconclusive", "not_judged"} - {outcome}
    for other in others:
        result["verdict"]["attributes"][0]["verdict"] = other
        assert found[2] not in section(render_html(result), "verdict").split("</li>")[0]
    assert f"- **gender: {word.lower()}.** The strongest attacker is at 0.571; 0.6 is allowed." in markdown


def test_the_worst_row_is_told_with_its_interval_and_threshold(rendered):
    _, markdown = rendered

    told = chapter(markdown, "Verdict")
    assert "| occupation | fail | ≤ 0.6 | 0.644 | 0.623–0.665 | occupation | fair vectors of all masks that" in told
    assert "| accuracy | inconclusive | ≥ 80 % | 82.3 % | 77.6–87.1 % | gender, age, occupation | full N@10 |" in told


def test_a_word_that_is_no_verdict_passes_nothing(a_tiny_result):
    result = a_tiny_result()
    result["verdict"] |= {"overall": "passed with honours", "reason": None}

    html = render_html(result)

    assert '<p class="ruling not_judged">' in html
    assert "Verdict: not judged.</strong> No reason is given." in html


def test_why_nothing_was_judged_is_told_instead_of_a_warning(a_small_report):
    reason = "the quick profile is a look: run the full one for a verdict"
    a_small_report["verdict"] = {"overall": "not_judged", "reason": reason, "attributes": []}

    html, markdown = render_html(a_small_report), render_markdown(a_small_report)

    assert "> **Verdict: not judged.** The quick profile is a look: run the full one for a verdict." in markdown
    assert f"Nothing was judged here: {reason}." in markdown
    assert 'class="warning"' not in html
    assert not re.search(r'class="(ruling )?(pass|fail|inconclusive)"', html)


def test_what_is_not_judged_is_told_first_with_its_reason(a_result):
    result = a_result()
    why = "labels: no two groups of 30 can be made of 103 labelled users (classes: 100, 3)"
    result["verdict"]["attributes"][1] |= {
        "verdict": "not_judged",
        "worst": None,
        "sentence": f"age: not judged: {why}.",
    }
    result["verdict"] |= {
        "overall": "not_judged",
        "reason": f"age: {why}",
        "not_judged": [{"of": "age", "code": "no_two_groups", "reason": why, "rows": 12}],
    }
    leakage = result["card"]["leakage"]
    leakage["by_mask"] = [row for row in leakage["by_mask"] if row["attribute"] != "age"]
    leakage["protocol"] |= {
        "attributes": ["gender", "age", "occupation"],
        "not_measured": [{"attribute": "age", "code": "no_two_groups", "reason": why}],
    }

    html, markdown = render_html(result), render_markdown(result)

    assert f"> **Verdict: not judged.** Age: {why}." in markdown
    assert f"| age | {why} | 12 |" in chapter(markdown, "Verdict").split("Demanded")[0]
    assert "Not everything was judged here" in markdown
    assert f"Not measured: age ({why})." in html
    assert html.index("not measured") < html.index('id="verdict"')


def test_groups_that_were_merged_are_named_and_nothing_is_kept_of_a_ranking_that_says_nothing(a_result):
    result = a_result()
    for row in result["card"]["leakage"]["by_mask"]:
        if row["attribute"] == "age":
            row |= {"classes": [[0, 1], [2, 3]], "groups": ["18 to 34", "35 to 70"]}
    why = "sampled: 1,785 of 1,785 users are ranked against fewer than 99 unseen items (20 in the middle)"
    result["card"]["accuracy"]["protocol"]["not_measured"] = [
        {"metric": "sampled", "code": "too_few_items", "reason": why}
    ]

    markdown = render_markdown(result)

    assert "| age | 18 to 34; 35 to 70 |" in markdown
    assert f"| sampled | {why} |" in markdown
    assert "of sampled N@10 is kept" not in markdown


def test_without_a_verdict_there_is_neither_word_nor_threshold(a_report, headings):
    html, markdown = render_html(a_report()), render_markdown(a_report())

    assert "Verdict" not in headings(markdown)
    assert 'class="threshold"' not in html
    assert 'class="ruling' not in html


@pytest.mark.parametrize("slug", ["leakage", "lists", "together", "verdict"])
def test_the_threshold_of_leakage_is_a_line_across_the_plot(a_result, slug):
    result = a_result()
    result["verdict"]["thresholds"]["leakage_at_most"] = 0.7

    panel = re.search(r"<svg class=\"plot\".*?</svg>", section(render_html(result), slug), re.DOTALL)[0]

    ticks = [float(tick) for tick in re.findall(r'class="tick"[^>]*>([\d.]+)<', panel)]
    drawn = re.search(r'class="threshold" d="([^"]+)"', panel)[1]
    (x,) = {float(each) for each in re.findall(r"M([\d.]+) ", drawn)}
    labels = [float(each) for each in re.findall(r'class="label \w*" x="[\d.]+" y="([\d.]+)"', panel)]
    tops = [float(each) for each in re.findall(r"M[\d.]+ ([\d.]+)V", drawn)]
    assert all(label + 3 < top for label, top in zip(labels, tops, strict=True))  # none goes through a label
    assert min(ticks) + fraction(x) * (max(ticks) - min(ticks)) == pytest.approx(0.7, abs=0.002)
    assert "; threshold 0.700</desc>" in panel


def test_accuracy_kept_has_intervals_and_its_threshold(a_result):
    result = a_result()
    result["card"]["accuracy"]["by_mask"][1]["kept"]["full"]["ndcg@10"]["ci95"] = [0.911, 0.987]

    found = section(render_html(result), "accuracy")

    assert "95\u00a0% interval 91.1–98.7\u00a0%" in found
    assert "threshold 80.0\u00a0%" in found


def test_the_front_has_one_point_a_mask_at_its_leakage_and_accuracy(a_result):
    result = a_result()
    row = next(row for row in result["card"]["accuracy"]["by_mask"] if row["sensitive"] == ["gender", "age"])
    row["full"]["ndcg@10"] = 0.9 * row["base"]["full"]["ndcg@10"]
    for leak in result["card"]["leakage"]["by_mask"]:
        if (leak["sensitive"], leak["target"], leak["attribute"]) == (["gender", "age"], "fair", "age"):
            leak["strongest"] |= {"auc": 0.594, "ci95": [0.571, 0.622]}

    html, markdown = render_html(result), render_markdown(result)

    best, gender = re.findall(r"<svg class=\"plot\".*?</svg>", section(html, "front"), re.DOTALL)[:2]
    assert best.count('<circle class="strong"') == 7
    assert gender.count('<circle class="strong"') == 4
    assert gender.count('class="reference"') == 1
    assert (
        "gender, age protected, age: leakage 0.594 (95\u00a0% interval 0.571–0.622), full N@10 kept 90.0\u00a0%" in best
    )
    assert {"g", "a", "o", "g+a", "g+o", "a+o", "g+a+o"} >= set(re.findall(r'class="point"[^>]*>([^<]+)<', best))
    assert re.search(
        r"\| gender, age \| g\+a \| [\d.]+ % \| 90.0 % \| age \| \*\*0.594\*\* \| 0.571–0.622 \|", markdown
    )


def test_names_are_shortened_until_they_differ(a_result):
    result = json.loads(json.dumps(a_result()).replace('"gender"', '"agency"'))

    markdown = render_markdown(result)

    assert "| agency, age | agen+age |" in markdown


def test_one_mask_alone_is_no_front(a_small_report, headings):
    assert "Accuracy against leakage" not in headings(render_markdown(a_small_report))


def test_overlap_names_the_mask_it_is_compared_with(a_result):
    result = a_result()
    result["card"]["fairness"]["overlap"][0] |= {
        "jaccard@10": {"value": 0.477, "ci95": [0.456, 0.498]},
        "rbo@10": {"value": 0.573},
    }

    told = chapter(render_markdown(result), "Overlap between masks")
    result["card"]["fairness"]["protocol"]["reference"] = ["age"]

    assert "the same user's list with nothing protected" in told
    assert "the same user's list with age protected" in render_markdown(result)
    assert "| gender | 0.477 | 0.456–0.498 | 0.573 | – | 1,785 |" in told


def test_exposure_draws_every_class_where_its_share_is(a_tiny_result):
    result = a_tiny_result()
    row = next(row for row in result["card"]["fairness"]["exposure"] if row["sensitive"] == ["gender"])
    row["groups"][0]["shares"] = {"Comedy": 0.30, "Drama": 0.40, "War": 0.30}
    row["groups"][1]["shares"] = {"Comedy": 0.35, "Drama": 0.45, "War": 0.20}
    row["total_variation"] = {"value": 0.1, "ci95": [0.04, 0.16], "between": ["F", "M"], "permutation95": 0.12}

    html, markdown = render_html(result), render_markdown(result)

    found = section(html, "exposure")
    assert "<desc" in found
    assert "War: M 20.0 – F 30.0\u00a0%; Comedy: F 30.0 – M 35.0\u00a0%" in found
    at = {name: float(x) for x, name in re.findall(r'cx="([\d.]+)"[^>]*><title>War, (\w): ', found)}
    edge = max(float(tick) for tick in re.findall(r'class="tick"[^>]*>(\d+)\s%<', found)) / 100
    assert fraction(at["F"]) * edge == pytest.approx(0.30, abs=0.001)
    assert fraction(at["M"]) * edge == pytest.approx(0.20, abs=0.001)
    assert "| gender | gender | 0.100 | 0.040–0.160 | 0.120 | no | F and M | 64 |" in markdown
    assert "| gender | F | 31 | 30.0 | 40.0 | 30.0 |" in markdown


def test_parity_names_the_pair_and_the_item_group(a_tiny_result):
    result = a_tiny_result()
    row = next(row for row in result["card"]["fairness"]["parity"] if row["sensitive"] == ["gender"])
    row["demographic"] = {"value": 0.212, "ci95": [-0.02, 0.3], "item_group": "War", "between": ["M", "F"]}
    row["opportunity"] = {"value": 0.092, "ci95": [0.01, 0.2], "between": ["F", "M"], "permutation95": 0.05}
    row["differential"] = {"value": 1.501, "item": 193, "between": ["M", "F"], "permutation95": 0.9}
    row["groups"][0] |= {"positives": 30, "hit@10": 0.481}

    told = chapter(render_markdown(result), "Parity between classes")

    assert "| gender | gender | 0.212 | -0.020 to 0.300 | – | – | War | M and F | 64 |" in told
    assert "| gender | gender | 0.092 | 0.010–0.200 | 0.050 | yes | F and M | 64 |" in told
    assert "| gender | gender | 1.501 | – | 0.900 | yes | row 193 | M and F | 64 |" in told
    assert "| gender | gender | F | 31 | 30 | 0.481 |" in told


def test_a_heat_map_tints_by_value_and_says_what_is_withheld(a_tiny_result):
    result = a_tiny_result()
    row = next(row for row in result["card"]["fairness"]["utility"] if row["sensitive"] == ["gender"])
    row["utility@10"] = [[0.08, 0.2, None], [0.12, 0.0, "?"]]
    for other in result["card"]["fairness"]["utility"]:
        if other is not row:
            other["utility@10"] = [[0.4, None, None], [None, None, None]]

    html, markdown = render_html(result), render_markdown(result)

    found = section(html, "utility")
    cells = re.findall(r'<td class="number( withheld)?"( style="--shade:(\d+)%")?>([^<]*)</td>', found)[:9]
    assert [(shade, text) for _, _, shade, text in cells] == [
        ("", "31"), ("20", "0.08"), ("50", "0.20"), ("", "&lt;30"),
        ("", "33"), ("30", "0.12"), ("0", "0.00"), ("", "–"), ("", ""),
    ]  # fmt: skip
    assert [bool(withheld) for withheld, *_ in cells].count(True) == 1
    assert "<30: withheld, too few users; the deeper the tint, the more is found, up to 0.40" in unescape(found)
    assert "| F | 31 | 0.08 | 0.20 | &lt;30 |" in markdown
    assert "| M | 33 | 0.12 | 0.00 | – |" in markdown


def test_a_map_of_which_every_cell_is_withheld_is_a_sentence(a_tiny_result):
    result = a_tiny_result()
    for row in result["card"]["fairness"]["utility"]:
        row["utility@10"] = [[None] * 3] * 2

    told = chapter(render_markdown(result), "Utility by intersection")

    assert "Every cell is of fewer than 30 users: all are withheld." in told
    assert "Utility@10" not in told


def test_spread_and_errors_are_told_by_mask(a_tiny_result):
    result = a_tiny_result()
    row = result["card"]["fairness"]["utility"][0]
    row |= {"cv": {"value": 0.31, "ci95": [0.27, 0.36]}, "min": 0.09, "ucv": None, "icv": {"value": 0.27}}
    row["errors"] = [{"attribute": "gender", "between": ["F", "M"], "n": 64, "e@10": 0.096, "precision_gap": 0.0092}]

    told = chapter(render_markdown(result), "Utility by intersection")

    assert "| nothing | 0.310 | 0.270–0.360 | 0.090 | – | – | – | 0.270 | – | 64 |" in told
    assert "| gender | nothing | F and M | 0.096 | 0.009 | 64 |" in told


def test_compact_tables_hold_activity_clients_calibration_and_catalogue(a_tiny_result):
    result = a_tiny_result()
    fairness = result["card"]["fairness"]
    mask = {"sensitive": ["gender"]}
    gap = {"value": 0.05, "ci95": [-0.02, 0.12]}
    fairness["activity"] = [
        mask | {"gap": gap, "active": {"n": 35, "ndcg@10": 0.1412}, "others": {"n": 600, "ndcg@10": 0.0912}}
    ]
    fairness["clients"] = [
        mask
        | {
            "attribute": "gender", "clients": "occupation", "item_group": "War", "global": 0.02,
            "local": {"max": 0.41, "mean": 0.2, "permutation95": 0.3},
            "by_client": [{"client": "artist", "n": 44, "value": 0.41}], "withheld": ["homemaker"],
        }
    ]  # fmt: skip
    fairness["calibration"] = [mask | {"n": 64, "system_kl": 0.71, "user_kl": {"value": 0.62, "ci95": [0.6, 0.64]}}]
    fairness["catalogue"] = [mask | {"n": 64, "coverage@10": 0.34, "gini@10": 0.91}]

    markdown = render_markdown(result)

    assert "| gender | 0.050 | -0.020 to 0.120 | 0.1412 | 35 | 0.0912 | 600 |" in chapter(markdown, "Activity")
    told = chapter(markdown, "Clients")
    assert "| gender | gender | War | 0.020 | 0.410 | 0.200 | 0.300 | yes | 1 | 44 |" in told
    assert "| gender | gender | artist | 44 | 0.410 |" in told
    assert "| occupation | homemaker | too few users of each gender inside" in chapter(markdown, "Withheld, and why")
    assert "| gender | 0.620 | 0.600–0.640 | 0.710 | 64 |" in chapter(markdown, "Calibration")
    assert "| gender | 0.340 | 0.910 | 64 |" in chapter(markdown, "Coverage and concentration")


@pytest.mark.parametrize("name", OF_FAIRNESS)
def test_each_section_says_what_nought_means(rendered, name):
    assert re.search(r"\b0\b", chapter(rendered[1], OF_FAIRNESS[name]).split("\n|")[0])


@pytest.mark.parametrize("name", OF_FAIRNESS)
def test_a_section_that_was_not_measured_is_not_there(a_tiny_result, headings, name):
    result = a_tiny_result()
    before = headings(render_markdown(result))
    del result["card"]["fairness"][name]

    markdown = render_markdown(result)

    assert [title for title in before if title not in headings(markdown)] == [OF_FAIRNESS[name]]
    assert f'id="{name}"' not in render_html(result)
    assert "Not measured here, and so left out: " in chapter(markdown, "Limits")


def test_what_was_not_asked_for_is_told_apart_from_what_could_not_be_measured(a_tiny_result):
    result = a_tiny_result()
    result["request"]["metrics"] = ["accuracy", "leakage", "activity"]
    result["card"]["fairness"] = {
        "protocol": {"not_measured": [{"section": "activity", "reason": "fewer than 30 of the most active users"}]}
    }

    markdown = render_markdown(result)

    assert "Not measured here, and so left out: the gap by activity." in markdown
    assert "Not asked for, and so left out: overlap between masks, exposure by user group" in markdown
    assert "| activity | fewer than 30 of the most active users |" in chapter(markdown, "Withheld, and why")


def test_the_model_card_tells_request_seconds_protocols_and_what_was_withheld(a_result):
    result = a_result()
    result["request"]["users"] = 500
    result["card"]["leakage"]["protocol"]["settings"] = {"gender": {"svm": {"c": 10.0, "gamma": 0.5}}}

    markdown = render_markdown(result)

    told = chapter(markdown, "Model card")
    for line in (
        "### The bundle", "- **method:** transport", "### Data and split", "- **data: users:** 5,950",
        "- **measured:** 2026-11-25T14:03:11Z", "- **users:** at most 500 audit users, drawn by seed",
        "- **profile:** full", "| leakage | 301.4 |", "| all | 709.4 |", "### How lists and groups were measured",
        "- **resamples:** 1,000", "| gender | c 10, gamma 0.5 |",
    ):  # fmt: skip
        assert line in told
    withheld = chapter(markdown, "Withheld, and why")
    assert (
        "| occupation | farmer and tradesman/craftsman | too few audit users in a class of them (under 30)" in withheld
    )
    assert markdown.startswith("Audit · ml1m-pmf 7 · measured 2026-11-25 · full profile\n")


def test_candidates_of_a_model_that_orders_few_items_are_told(a_small_report):
    row = a_small_report["card"]["accuracy"]["by_mask"][0]
    row["candidates"] = {"recall@10": 0.981, "full_without": {"ndcg@10": 0.0834}}

    markdown = render_markdown(a_small_report)

    assert "| Protected | Recall@10 of the model's own list | Full N@10 were every item a candidate | n |" in markdown
    assert "| gender | 0.9810 | 0.0834 | 1,200 |" in markdown


def test_both_reports_have_the_same_tables(rendered):
    html, markdown = rendered

    def read(table: str) -> list[list[str]]:
        rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
        cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
        return [[unescape(re.sub("<[^>]+>", "", cell)).replace("\u00a0", " ") for cell in row] for row in cells]

    def lines(table: str) -> list[list[str]]:
        rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()]
        del rows[1]
        return [[unescape(re.sub(r"\*\*|\\", "", cell.strip(" "))) for cell in row] for row in rows]

    tables = [read(table) for table in re.findall(r"<table.*?</table>", html, re.DOTALL)]
    assert len(tables) > 40
    assert tables == [lines(table) for table in re.findall(r"(?:^\|.*\|\n)+", markdown, re.MULTILINE)]


def test_many_item_groups_are_cut_into_tables_that_a_sheet_holds(a_tiny_result):
    result = a_tiny_result()
    shares = {f"group {place}": 1 / 45 for place in range(45)}
    fairness = result["card"]["fairness"]
    fairness["protocol"]["item_groups"] = list(shares)
    for row in fairness["exposure"]:
        for group in row["groups"]:
            group["shares"] = shares

    html = render_html(result)

    widths = [
        len(re.findall(r"<th scope=\"col\"", table))
        for table in re.findall(r'<table class="slim">.*?</table>', section(html, "exposure"), re.DOTALL)
    ]
    assert widths == [23, 23, 8]
    assert "(3 of 3)" in html
    assert len(re.findall(r'text class="label', section(html, "exposure"))) == 2 + 20


@pytest.mark.parametrize("which", ["a_result", "a_tiny_result"])
def test_an_audit_page_needs_no_network_and_no_script(request, walk, which):
    html = render_html(request.getfixturevalue(which)())

    page = walk(html)
    ids = page.values("id")
    targets = [value.removeprefix("#") for value in page.values("href")]
    named = [name for value in page.values("aria-labelledby") for name in value.split()]
    assert page.open == []
    assert len(ids) == len(set(ids))
    assert {*targets, *named} <= set(ids)
    assert all(value.startswith("#") for value in page.values("href"))
    assert not page.tags & {"script", "link", "img", "iframe", "object", "embed", "base", "image", "use"}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert not re.search(r"(?:src|srcset|action)\s*=|@import|url\(|https?://", html)


def test_every_plot_has_words_and_every_table_names_its_columns(rendered, walk):
    html, _ = rendered

    plots = re.findall(r'<svg class="plot".*?</svg>', html, re.DOTALL)
    tables = re.findall(r"<table.*?</table>", html, re.DOTALL)
    regions = re.findall(r'role="region" aria-label="([^"]*)"', html)
    assert len(plots) > 30
    for plot in plots:
        assert re.match(
            r'<svg class="plot" role="img" aria-labelledby="\S+ \S+"[^>]*><title[^>]*>[^<]+</title><desc', plot
        )
        assert "<desc" in plot.replace("></desc>", "")
    for table in tables:
        body = walk(table).values("scope")
        assert body.count("row") == table.count("<tr") - 1
        assert body.count("col") == len(re.findall(r"<th[ >]", table.split("</thead>")[0]))
    assert len(regions) == len(set(regions)) == len(tables)
    assert html.count("<h1") == 1


def test_hostile_names_stay_names_everywhere(a_tiny_result, walk):
    text = json.dumps(a_tiny_result())
    words = (
        "gender", "F", "Comedy", "War", "farmer", "protecting_masks", "full ndcg@10", "quick", "ml1m-pmf", "jaccard@10",
        "hit@10", "2026-11-25T14:03:11Z", "leakage", "as served: seen items dropped",
    )  # fmt: skip
    for word in words:
        text = text.replace(json.dumps(word) + ",", json.dumps(EVIL) + ",").replace(
            json.dumps(word) + ":", json.dumps(word + EVIL) + ":"
        )
    result = json.loads(text)
    for entry in (result["verdict"], *result["verdict"]["attributes"], result["verdict"]["accuracy"]):
        entry |= {"sentence": EVIL, "reason": EVIL}

    html, markdown = render_html(result), render_markdown(result)

    page = walk(html)
    assert page.open == []
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<img src=x" in page.text
    assert re.search(r"<(?!/?\w)|<\w", markdown) is None
    assert not re.search(r"(?<!\\)\]\(|(?<!\\)`|https://|^# h", markdown, re.MULTILINE)


JUNK = (None, True, "?", -1, 1e30, 10**400, math.nan, math.inf, [], {}, [[]], {"value": "x"}, [[], {}, 7])


def places(value: object, path: tuple = ()) -> list[tuple]:
    """Every place in JSON data that something else can be put into."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, each in inside for place in places(each, (*path, key))]


@pytest.mark.parametrize("seed", range(2))
def test_no_junk_anywhere_breaks_the_page(a_tiny_result, walk, seed):
    text, rng = json.dumps(a_tiny_result()), np.random.default_rng(seed)
    paths = places(json.loads(text))
    tops = [path for path in paths if len(path) <= 4]

    for path in [tops[i] for i in rng.integers(len(tops), size=25)] + [
        paths[i] for i in rng.integers(len(paths), size=15)
    ]:
        result = json.loads(text)
        *outer, last = path
        inner = result
        for key in outer:
            inner = inner[key]
        inner[last] = JUNK[rng.integers(len(JUNK))]

        page = walk(render_html(result))
        render_markdown(result)

        assert page.open == [], path
        assert not re.search(r"\bnan\b|\bNone\b|\binf\b", page.text), path


def test_a_page_of_the_size_of_movielens_stays_light(rendered):
    assert len(rendered[0].encode()) < 1.5 * 2**20


def test_the_same_result_gives_the_same_bytes(a_result, rendered):
    html, markdown = rendered
    again = json.loads(json.dumps(a_result()))

    assert render_html(again).encode() == html.encode()
    assert render_markdown(again) == markdown


def test_an_audit_promises_nothing(rendered):
    told = "".join(rendered).lower()

    for word in ("debias", "unbiased", "guarantee"):
        assert word not in told


def test_item_features_and_cold_items_are_told_where_the_card_has_them(a_result, rendered):
    plain, result = rendered[1], a_result()
    plot = {"name": "plot|x", "source": "plot of items.csv", "dimensions": 64, "items": 3677, "of": 3709}
    result["card"] |= {"modalities": [plot, {"name": "audio"}, 7], "cold_items": {"served": 1177, "map": "ridge"}}

    markdown = render_markdown(result)

    assert "Item features" not in plain
    assert "Cold items" not in plain
    assert "| plot\\|x | plot of items.csv | 64 | 3,677 of 3,709 |" in markdown
    facts = chapter(markdown, "Model card")
    assert "Cold items, which nobody had touched" in facts
    assert "1,177" in facts
