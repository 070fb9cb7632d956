"""The web pages as they are sent: what they may load, what may be kept, and that nothing else is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from service.audit.request import METRICS
from service.ui import PAGES, assets

UI = Path(__file__).parents[3] / "service" / "ui"
ONLY_OURS = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' data:",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}


def policy_of(answer):
    directives = answer.headers["content-security-policy"].split("; ")
    return dict(directive.split(" ", 1) for directive in directives)


def loaded_by(page):
    """Addresses that a page names."""
    return re.findall(r'(?:href|src)="(/ui/static/[^"]+)"', page)


@pytest.mark.parametrize("path", PAGES.values())
def test_a_page_is_html_that_loads_from_its_own_service_alone(client, path):
    answer = client.get(path)

    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert answer.headers.get_list("cache-control") == ["no-cache"]
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert len(answer.headers.get_list("content-security-policy")) == 1
    assert "//" not in re.sub(r"<!doctype[^>]*>", "", answer.text)


def test_the_policy_allows_nothing_but_our_own_files(client):
    assert policy_of(client.get("/")) == ONLY_OURS
    assert policy_of(client.get("/ui/models")) == ONLY_OURS


def test_the_audits_page_may_show_a_report_and_still_runs_nothing_that_is_not_ours(client):
    policy = policy_of(client.get("/ui/audits"))

    assert policy == ONLY_OURS | {"style-src": "'self' 'unsafe-inline'", "frame-src": "blob:"}


@pytest.mark.parametrize("path", PAGES.values())
def test_a_page_has_no_script_and_no_style_inside(client, path):
    page = client.get(path).text

    assert re.findall(r"<script(?![^>]* src=)", page) == []
    assert "<style" not in page
    assert re.findall(r"\s(style|on[a-z]+)=", page) == []


@pytest.mark.parametrize("path", PAGES.values())
def test_what_a_page_names_is_there_with_its_own_type_and_may_be_kept(client, path):
    types = {"js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
    named = loaded_by(client.get(path).text)

    assert len(named) > 8
    for address in named:
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["content-type"] == types[address.split("?")[0].rsplit(".")[-1]]
        assert answer.headers.get_list("cache-control") == ["public, max-age=31536000, immutable"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_a_module_imports_is_named_by_an_address_that_may_be_kept(client):
    (script,) = [address for address in loaded_by(client.get("/").text) if "/explore.js" in address]
    text = client.get(script).text

    imported = re.findall(r'from "\./([^"]+)"', text)

    assert len(imported) > 5
    for address in imported:
        answer = client.get(f"/ui/static/{address}")
        assert answer.headers["cache-control"].endswith("immutable"), address


def test_a_page_preloads_every_module_that_it_will_run(client):
    for name, path in PAGES.items():
        page = client.get(path).text
        wanted, found = [f"{name}.js"], set()
        while wanted:
            module = wanted.pop()
            if module not in found:
                found.add(module)
                wanted += re.findall(r'from "\./([a-z]+\.js)"', (UI / "static" / module).read_text())
        named = {address.split("/")[-1].split("?")[0] for address in loaded_by(page)}
        assert found == {file for file in named if file.endswith(".js")}


def test_the_library_for_charts_comes_out_of_its_package(client):
    answer = client.get("/ui/static/chart.js")

    assert answer.text.startswith("/*!\n * Chart.js v4")
    assert "Released under the MIT License" in answer.text[:400]
    assert not (UI / "static" / "chart.js").exists()


def test_an_address_without_the_present_version_is_asked_for_again(client):
    for address in ("/ui/static/house.css", "/ui/static/house.css?v=", "/ui/static/house.css?v=0123456789ab"):
        answer = client.get(address)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")

        again = client.get(address, **{"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert client.get(address, **{"if-none-match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    "file",
    [
        "nothing.js",
        "",
        ".",
        "..",
        "../pages.py",
        "..%2Fpages.py",
        "%2e%2e%2fpages.py",
        "..%2F..%2Fapi%2Fpages.py",
        "..%5Cpages.py",
        "%2Fetc%2Fpasswd",
        "house.css%00",
        "house.css%2F",
        "house.css/",
        "House.css",
        "base.html.jinja",
        "chartkick.js",
        "Chart.bundle.js",
    ],
)
def test_what_is_not_in_the_table_is_nowhere(client, file):
    answer = client.get(f"/ui/static/{file}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_an_unknown_parameter_of_a_file_is_refused_as_everywhere(client):
    assert client.problem("/ui/static/house.css?version=1")["code"] == "invalid_query"


def test_a_page_opens_whatever_its_query_says_and_says_the_same(client):
    assert client.get("/?user=u0&sensitve=gender").text == client.get("/").text
    assert client.get("/ui/nothing").status_code == 404
    assert client.request("POST", "/ui/audits").status_code == 405


def test_pages_need_no_key_and_hold_no_data(a_keyed_client):
    client, _ = a_keyed_client(name="secretive", version="77")

    for path in PAGES.values():
        answer = client.get(path)
        assert answer.status_code == 200
        for word in ("secretive", "77", "gender", "u0"):
            assert word not in re.sub(r"\?v=\w+", "", answer.text)


def test_every_file_of_ours_is_used_by_a_page(client):
    named = [address for path in PAGES.values() for address in loaded_by(client.get(path).text)]
    used = {address.split("/")[-1].split("?")[0] for address in named}

    assert used | {"chart.js"} == assets().keys()


def test_the_form_for_an_audit_knows_every_metric_in_order():
    listed = (UI / "static" / "start.js").read_text().split("METRICS = {")[1].split("};")[0]

    assert tuple(re.findall(r"(\w+): \"", listed)) == METRICS


def test_the_pages_speak_as_the_rest_does():
    for file in [*(UI / "static").iterdir(), *(UI / "templates").iterdir()]:
        words = file.read_text().lower()
        for wrong in ("debias", "unbiased", "guarantee", "innerhtml", "eval("):
            assert wrong not in words, (file.name, wrong)
