"""One report of the measurements on a bundle: a self-contained HTML page, and Markdown with the same tables.

Plain data in, text out; the page needs no network and runs no script. ``report_sections`` tells it in
order, from sections that share a few plain pieces (``page``); ``html`` and ``markdown`` write those down.
"""

from collections.abc import Mapping
from typing import Any

from measure.report import html, markdown
from measure.report.reading import read
from measure.report.report_sections import tell

__all__ = ["render_html", "render_markdown"]


def render_html(report: Mapping[str, Any]) -> str:
    """Write a report as one HTML page with inline plots.

    Args:
        report: ``{"bundle": facts, "card": card.json}`` as training has it, or the result of an audit with
            ``request``, ``measured`` and ``verdict`` besides; JSON data. ``bundle`` may hold name, version, created,
            method, mode, base_model, attributes (``[{name, classes}]``), data, content_hash and any other facts;
            ``card`` accuracy, leakage, fairness, front. What is absent anywhere is left out of the page, what is not
            of its kind counts as absent, and names are escaped.
    """
    return html.render(tell(read(report)))


def render_markdown(report: Mapping[str, Any]) -> str:
    """Write the same report as GitHub-flavoured Markdown: the tables and the words, without plots."""
    return markdown.render(tell(read(report)))
