"""The web pages and their files. They hold no data: their scripts ask for it with a key, as any client does."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import Field

from service.api.query import Parameters, parse
from service.api.state import state_of
from service.errors import NotFoundError
from service.ui import assets, render, version

router = APIRouter(
    tags=["pages"], include_in_schema=False, generate_unique_id_function=lambda route: f"{route.name}_page"
)

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Everything from here, nothing written into the page itself, no frame, no other site."""
REPORT_POLICY = POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'") + "; frame-src blob:"
"""The audits page shows a report in a frame without any right. What the frame shows is bound by its page's policy too,
and a report carries its styles inside."""
KEPT = "public, max-age=31536000, immutable"
ASKED_AGAIN = "no-cache"


class AssetParameters(Parameters):
    """The query parameters of GET /ui/static/{file}."""

    v: Annotated[str, Field(max_length=64)] = ""
    """Version of all files together; with the present one, the answer may be kept for good."""


@router.get("/")
async def explore(request: Request) -> Response:
    """Show the lists of a user side by side. A page does not look at its query string: its script does, and says so."""
    return _page(request, "explore", POLICY)


@router.get("/ui/audits")
async def audits(request: Request) -> Response:
    """Show, start and compare audits."""
    return _page(request, "audits", REPORT_POLICY)


@router.get("/ui/models")
async def models(request: Request) -> Response:
    """Show versions and their cards, and activate one."""
    return _page(request, "models", POLICY)


@router.get("/ui/static/{file}")
async def static(request: Request) -> Response:
    """Give one file of the closed table.

    Raises:
        NotFoundError: it is not in the table.
    """
    asked = parse(AssetParameters, request.scope["query_string"])
    asset = assets().get(request.path_params["file"])
    if asset is None:
        raise NotFoundError
    headers = {"etag": asset.etag, "cache-control": KEPT if asked.v == version() else ASKED_AGAIN}
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, headers=headers, media_type=asset.media_type)


def _page(request: Request, name: str, policy: str) -> Response:
    headers = {"content-security-policy": policy, "cache-control": ASKED_AGAIN}
    return Response(render(name, state_of(request).root_path), headers=headers, media_type="text/html")
