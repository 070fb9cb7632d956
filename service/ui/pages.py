"""The pages as HTML, written once: nothing of a request is in them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import DictLoader, Environment, StrictUndefined

from service.ui.assets import assets, imports_of, version

PAGES = {"explore": "/", "audits": "/ui/audits", "models": "/ui/models"}
"""Name of a page, and of its template, script and style → its path."""


@cache
def render(name: str, root_path: str = "") -> bytes:
    """One page of `PAGES`, every address in it with the path under which a proxy shows the service."""
    script = f"{name}.js"
    modules = [file for file in imports_of(script) if file != script]
    return _environment().get_template(f"{name}.html.jinja").render(page=name, modules=modules, root=root_path).encode()


def _address(file: str) -> str:
    """The address of an asset, with the hash that makes it safe to cache."""
    assert file in assets(), file  # noqa: S101  a template names a file that is not there
    return f"/ui/static/{file}?v={version()}"


@cache
def _environment() -> Environment:
    folder = files("service.ui").joinpath("templates")
    sources = {file.name: file.read_text(encoding="utf-8") for file in folder.iterdir() if ".jinja" in file.name}
    environment = Environment(
        loader=DictLoader(sources), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals.update(asset=_address, paths=PAGES)
    return environment
