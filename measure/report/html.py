"""The page as HTML: everything inside one file, every text escaped, no script."""

from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from measure.report import page, plots, words


def render(content: page.Page) -> str:
    """Write a page."""
    return _template().render(page=content)


def _kind(block: page.Block) -> str:
    """Name the block's type, by which the template chooses."""
    return type(block).__name__.lower()


@cache
def _template() -> Template:
    folder = files(__package__)
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    style = folder.joinpath("page.css").read_text(encoding="utf-8")
    drawn = {"draw": plots.draw, "swatch": plots.swatch, "shape": plots.shape}
    environment.globals.update(kind=_kind, outcome=words.outcome, style=Markup(style), **drawn)  # noqa: S704  ours
    return environment.from_string(folder.joinpath("page.html.jinja").read_text(encoding="utf-8"))
