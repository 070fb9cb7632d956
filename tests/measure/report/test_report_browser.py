"""The report in a real browser: open to everybody, on a phone, on a desk and on paper."""

from __future__ import annotations

import shutil

import pytest

from measure.report import render_html

pytestmark = pytest.mark.debian
AXE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture(scope="module")
def browser():
    """Start Debian's chromium."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("there is no chromium")
    with pytest.importorskip("playwright.sync_api").sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def look(browser, tmp_path):
    """Open a result's report; what it asked the network for is with the page."""
    opened = []

    def open_page(result, width=1280, scheme="light", paper=False):
        (tmp_path / "report.html").write_text(render_html(result), encoding="utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True, offline=True
        )
        opened.append(context)
        page = context.new_page()
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto((tmp_path / "report.html").as_uri())
        if paper:
            page.emulate_media(media="print")
        return page

    yield open_page
    for context in opened:
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_nothing_wrong_with_everything_open(a_tiny_result, look, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()

    page = look(a_tiny_result(), width, scheme)
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    found = axe.run(page, options=AXE).response["violations"]

    assert [(each["id"], each["impact"]) for each in found] == []


@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_is_wider_than_the_window_and_nothing_comes_from_elsewhere(a_result, look, width):
    page = look(a_result(), width)

    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert [url for url in page.asked if not url.endswith("report.html")] == []
    assert page.evaluate("document.scripts.length") == 0


def test_text_in_plots_stays_inside_them_and_labels_stay_beside_numbers(a_result, look):
    page = look(a_result())

    crossing = page.evaluate(
        """() => [...document.querySelectorAll('svg.plot')].flatMap(plot => {
            const frame = plot.viewBox.baseVal
            const box = text => text.getBBox()
            const out = [...plot.querySelectorAll('text')].filter(
                text => box(text).x < -1 || box(text).x + box(text).width > frame.width + 1)
            const clash = [...plot.querySelectorAll('.label')].filter(text => {
                const value = text.nextElementSibling
                return value?.matches('.value') && box(text).x + box(text).width > box(value).x})
            return [...out, ...clash].map(text => text.textContent)
        })"""
    )

    assert crossing == []


def test_on_paper_every_table_is_open_and_none_is_cut(a_result, look):
    page = look(a_result(), width=688, paper=True)  # A4 less its margins

    hidden = page.evaluate("[...document.querySelectorAll('table')].filter(each => !each.offsetHeight).length")
    cut = page.evaluate(
        """() => [...document.querySelectorAll('table, svg.plot')]
            .filter(each => each.getBoundingClientRect().right > innerWidth + 1)
            .map(each => each.caption?.textContent ?? each.textContent.slice(0, 40))"""
    )

    assert hidden == 0
    assert cut == []
    assert not page.locator("nav").is_visible()
