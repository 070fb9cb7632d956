"""How often cold items are listed, as a report tells it."""

from __future__ import annotations

import pytest

from measure.report import render_html, render_markdown

ROWS = [
    {"sensitive": ["gender"], "n": 400, "exposure@10": {"value": 0.012, "ci95": [0.01, 0.014]}, "listed@10": 0.09},
    {
        "sensitive": ["gender"],
        "attribute": "gender",
        "groups": [
            {"class": "F", "n": 150, "exposure@10": 0.021, "listed@10": 0.17},
            {"class": "M", "n": 250, "exposure@10": 0.0066, "listed@10": 0.0434},
        ],
        "gap": {"value": 0.0144, "ci95": [0.011, 0.017], "between": ["F", "M"], "permutation95": 0.004},
    },
]


def test_shares_gaps_and_classes_are_told(a_tiny_result):
    result = a_tiny_result()
    result["card"]["fairness"]["cold"] = ROWS

    markdown = render_markdown(result)

    assert "## Cold items in lists" in markdown or "### Cold items in lists" in markdown
    for told in ("0.012", "0.010–0.014", "0.090", "0.014", "0.004", "0.021", "0.170", "0.043", "F and M"):
        assert told in markdown
    assert "Cold items in lists" in render_html(result)


@pytest.mark.parametrize("rows", [[], None])
def test_where_there_are_none_nothing_is_told(a_tiny_result, rows):
    result = a_tiny_result()
    if rows is not None:
        result["card"]["fairness"]["cold"] = rows

    assert "Cold items in lists" not in render_markdown(result)
