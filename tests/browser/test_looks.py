"""Every page in light and dark, on a desk and on a phone: nothing wrong, nothing foreign, open to everybody."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

PAGES = {"explore": "/?user=u7&sensitive=gender&k=10", "welcome": "/", "audits": "/ui/audits", "models": "/ui/models"}
READY = {"explore": ".by-mask canvas", "welcome": "#some-users button", "audits": ".verdict", "models": ".version"}


@pytest.fixture(scope="module")
def furnished(serve):
    """A service with two versions and an audit."""
    service = serve({"version": "1"}, {"version": "2", "seed": 8})
    wanted = {"masks": [["gender"], ["age"], ["gender", "age"]], "metrics": ["accuracy", "leakage", "overlap"]}
    service.ask("POST", "/audit/runs", wanted)
    return service


def opened(furnished, look, name, **how):
    page = look(furnished, PAGES[name], **how)
    expect(page.locator(READY[name]).first).to_be_visible(timeout=240_000)
    page.wait_for_function("document.fonts.status === 'loaded'")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_errors_and_no_serious_barrier(furnished, look, name, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    page = opened(furnished, look, name, width=width, scheme=scheme)
    found = axe.run(page).response["violations"]

    assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == [], found
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.watched.complaints == []
    assert page.watched.elsewhere(furnished.url) == []


def test_dialogs_and_a_notice_have_no_serious_barrier(furnished, look):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    models = opened(furnished, look, "models", width=390)
    models.get_by_role("button", name="Activate 1").click()
    audits = opened(furnished, look, "audits", width=390)
    audits.get_by_text("More choices").click()
    unknown = look(furnished, "/?user=nobody", scheme="dark")
    expect(unknown.get_by_role("alert")).to_be_visible()

    for page in (models, audits, unknown):
        found = axe.run(page).response["violations"]
        assert [one["id"] for one in found if one["impact"] in ("serious", "critical")] == [], found
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("name", PAGES)
def test_nothing_jumps_while_a_page_is_loaded(furnished, look, name):
    watch = """
        globalThis.shift = 0;
        new PerformanceObserver((list) => list.getEntries().forEach((one) => (globalThis.shift += one.value)))
          .observe({ type: "layout-shift", buffered: true });
    """

    page = look(furnished, PAGES[name], prepare=lambda one: one.add_init_script(watch))
    expect(page.locator(READY[name]).first).to_be_visible(timeout=240_000)
    page.wait_for_timeout(500)

    assert page.evaluate("shift") < 0.1


@pytest.mark.parametrize("name", PAGES)
def test_a_page_opened_again_asks_for_its_files_no_more(furnished, look, name):
    page = opened(furnished, look, name)
    again = page.context.new_page()

    again.goto(furnished.url + PAGES[name])
    expect(again.locator(READY[name]).first).to_be_visible()

    loaded = "performance.getEntriesByType('resource').filter(({ name }) => name.includes('/ui/static/'))"
    sizes = again.evaluate(f"{loaded}.map(({{ transferSize }}) => transferSize)")
    assert len(sizes) > 8
    assert sum(sizes) == 0
