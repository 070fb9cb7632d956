"""The same report as GitHub-flavoured Markdown: words and tables, no plots."""

import re
from collections.abc import Iterable, Sequence

from measure.report import words
from measure.report.figures import Figure
from measure.report.page import Block, Bullets, Cell, Facts, Heading, Page, Ruling, Rulings, Table

_SPECIAL = re.compile(r"([\\`*\[\]|~])|(?<![^\W_])_|_(?![^\W_])")
_BLOCK = re.compile(r"^(?=[#+-]\s|>)|^(\d+)(?=[.)]\s)")


def render(page: Page) -> str:
    """Write a page."""
    blocks = [escape(page.kicker), f"# {escape(page.headline)}"]
    blocks += [f"> {_ruling(page.ruling)}"] if page.ruling else []
    blocks += [f"> {escape(page.warning)}"] if page.warning else []
    blocks += [escape(text) for text in page.lead]
    for section in page.sections:
        blocks.append(f"## {escape(section.title)}")
        blocks += [text for block in section.blocks if (text := _block(block))]
    return "\n\n".join(blocks) + "\n"


def escape(text: str) -> str:
    """Make text mean itself: no markup, HTML, table border or automatic link, and on one line."""
    line = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = _SPECIAL.sub(lambda found: "\\" + found[0], line).replace("://", ":&#47;/").replace("www.", "www&#46;")
    return _BLOCK.sub(lambda found: f"{found[1]}\\" if found[1] else "\\", line)


def _block(block: Block) -> str:
    match block:
        case str():
            return escape(block)
        case Table():
            return _table(block)
        case Heading():
            return f"### {escape(block.text)}"
        case Rulings():
            return "\n".join(f"- {_ruling(ruling)}" for ruling in block.items)
        case Facts():
            return "\n".join(f"- **{escape(term)}:** {escape(value)}" for term, value in block.rows)
        case Bullets():
            return "\n".join(f"- {escape(item)}" for item in block.items)
        case Figure():
            return ""


def _ruling(ruling: Ruling) -> str:
    return f"**{escape(f'{ruling.subject}: {words.outcome(ruling.outcome)}.')}** {escape(ruling.sentence)}".rstrip()


def _table(table: Table) -> str:
    first: Sequence[Cell] = table.rows[0] if table.rows else ()
    rules = ["---:" if cell.number else "---" for cell in first] or ["---" for _ in table.columns]
    lines = [_line(escape(column) for column in table.columns), _line(rules)]
    lines += [_line(map(_cell, row)) for row in table.rows]
    return "\n".join([*([f"{escape(table.caption)}:", ""] if table.caption else []), *lines])


def _cell(cell: Cell) -> str:
    return f"**{escape(cell.text)}**" if cell.strong else escape(cell.text)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
