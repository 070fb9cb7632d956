"""A bundle's card as a page to read: report.html, self-contained, and report.md with the same tables."""

from __future__ import annotations

from pathlib import Path

from bundle import Bundle
from measure.report import render_html, render_markdown


def default_folder(bundle: Bundle) -> Path:
    """Where a report goes unless told otherwise."""
    return Path("reports") / f"{bundle.description.name}-{bundle.description.version}"


def write_report(bundle: Bundle, folder: Path) -> tuple[Path, Path]:
    """Write both forms into ``folder``, over older ones; gives their paths."""
    report = {"bundle": bundle.description.facts(), "card": bundle.card}
    html, markdown = folder / "report.html", folder / "report.md"
    folder.mkdir(parents=True, exist_ok=True)
    html.write_text(render_html(report), encoding="utf-8")
    markdown.write_text(render_markdown(report), encoding="utf-8")
    return html, markdown
