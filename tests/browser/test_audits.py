"""Audits: started, watched, read, compared, ended."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

LOOK = {"profile": "quick", "masks": [["gender"]], "metrics": ["accuracy", "leakage"]}
WITHIN_MS = 300_000


def audited(service, **wanted):
    """Id of a run that is done."""
    run = service.ask("POST", "/audit/runs", {**LOOK, **wanted})["id"]
    deadline = time.monotonic() + WITHIN_MS / 1000
    while (found := service.ask("GET", f"/audit/runs/{run}"))["status"] in ("queued", "running"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert found["status"] == "done", found
    return run


@pytest.fixture(scope="module")
def audits(serve):
    """A service with two finished runs, the second of other users, of whom less is known: (service, first, second)."""
    service = serve({"version": "1"}, {"version": "2", "seed": 8, "attributes": ("gender",)})
    return service, audited(service, version="1"), audited(service, version="2")


def test_a_full_audit_is_started_watched_and_read(audits, look):
    service, *_ = audits
    page = look(service, "/ui/audits")
    page.get_by_role("radio", name="Full").check()
    page.get_by_text("More choices").click()
    page.get_by_role("group", name="Masks").get_by_role("radio", name="Only these").check()
    page.get_by_role("checkbox", name="Gender", exact=True).check()
    page.get_by_role("group", name="Metrics").get_by_role("radio", name="Only these").check()
    for box in page.get_by_role("group", name="Metrics").get_by_role("checkbox").all():
        box.set_checked(box.get_attribute("value") in ("accuracy", "leakage"))

    page.get_by_role("button", name="Start the audit").click()
    row = page.locator(".run").first
    expect(row.get_by_role("progressbar")).to_be_visible()
    expect(row.locator(".doing")).to_contain_text(re.compile(r"\d+\s%: "))
    expect(row.get_by_role("button", name="Show the result")).to_be_visible(timeout=WITHIN_MS)

    run = service.ask("GET", "/audit/runs")["runs"][0]
    verdict = service.ask("GET", f"/audit/runs/{run['id']}")["result"]["verdict"]
    assert run["request"] | {"seed": 0} == {
        "profile": "full",
        "masks": [["gender"]],
        "metrics": ["accuracy", "leakage"],
        "users": None,
        "seed": 0,
        "version": "2",
        "balance": None,
        "balance_weight": None,
    }
    word = {"pass": "Pass", "fail": "Fail", "inconclusive": "Inconclusive", "not_judged": "Not judged"}[
        verdict["overall"]
    ]
    expect(page.locator("#announced")).to_contain_text("The audit of shop 2 is done.")
    expect(row.locator(".badge")).to_have_text(word)
    expect(page.locator(".verdict .badge")).to_have_text(word)
    sentence = verdict["attributes"][0]["sentence"].removeprefix("gender: ")
    expect(page.locator(".judged")).to_contain_text(sentence[1:])
    expect(page.locator("#parts canvas")).to_have_count(2)
    assert page.url == f"{service.url}/ui/audits?run={run['id']}"
    assert page.watched.complaints == []


def test_every_number_of_a_drawing_is_in_a_table(audits, look):
    service, first, _ = audits
    card = service.ask("GET", f"/audit/runs/{first}")["result"]["card"]
    page = look(service, f"/ui/audits?run={first}")
    expect(page.locator(".verdict")).to_contain_text("Not judged")

    for summary in page.get_by_text("The same as a table").all():
        summary.click()
    tables = " ".join(page.get_by_role("table").all_inner_texts())

    for row in card["leakage"]["by_mask"]:
        if row["target"] == "fair":
            assert f"{row['strongest']['auc']:.3f}" in tables
            assert "–".join(f"{end:.3f}" for end in row["strongest"]["ci95"]) in tables
    for row in card["accuracy"]["by_mask"]:
        assert f"{row['full']['ndcg@10']:.4f}" in tables


def test_the_full_report_opens_in_a_frame_without_rights_and_can_be_kept(audits, look, tmp_path):
    service, first, _ = audits
    page = look(service, f"/ui/audits?run={first}")

    page.get_by_role("button", name="Open the full report").click()
    frame = page.frame_locator("#report-frame iframe")
    expect(frame.get_by_role("heading", level=1)).to_be_visible()

    assert page.locator("#report-frame iframe").get_attribute("sandbox") == "allow-same-origin"
    frame.get_by_role("navigation").get_by_role("link").last.click()
    assert page.evaluate("document.querySelector('#report-frame iframe').contentWindow.scrollY") > 0
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename == f"evenhand-audit-shop-1-{first}.html"
    download.value.save_as(tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text().startswith("<!doctype html>")
    page.get_by_role("button", name="Close").click()
    expect(page.locator("#report")).to_be_hidden()
    assert page.watched.complaints == []


def test_two_runs_are_set_side_by_side(audits, look):
    service, first, second = audits
    compared = service.ask("GET", f"/audit/runs/{first}/comparison?with={second}")
    page = look(service, "/ui/audits")
    button = page.get_by_role("button", name="Compare two")
    expect(button).to_be_disabled()
    for run in (second, first):
        page.locator(f'[data-run="{run}"]').get_by_role("checkbox").check()

    button.click()
    title = page.get_by_role("heading", name="Two audits side by side")
    expect(title).to_be_focused()

    assert page.url == f"{service.url}/ui/audits?compare={first},{second}"
    table = page.get_by_role("table", name="Leakage of the fair vector")
    (row,) = [one for one in compared["leakage"] if (one["target"], one["attribute"]) == ("fair", "gender")]
    cells = table.get_by_role("row").filter(has_text="gender").get_by_role("cell").all_inner_texts()
    sign = "+" if row["difference"] > 0 else "−"
    assert cells[1] == f"{row['first']['auc']:.3f}"
    assert cells[3] == f"{row['second']['auc']:.3f}"
    assert cells[5] == f"{sign}{abs(row['difference']):.3f}"
    page.reload()
    expect(title).to_be_visible()
    assert page.watched.complaints == []


def test_a_run_is_cancelled_and_deleted(audits, look):
    service, *_ = audits
    run = service.ask("POST", "/audit/runs", {"profile": "full"})["id"]
    page = look(service, "/ui/audits")
    row = page.locator(f'[data-run="{run}"]')

    row.get_by_role("button", name="Cancel the audit").click()
    expect(row).to_contain_text("Cancelled")
    assert service.ask("GET", f"/audit/runs/{run}")["status"] == "cancelled"
    row.get_by_role("button", name="Delete the audit").click()

    expect(row).to_have_count(0)
    assert run not in [one["id"] for one in service.ask("GET", "/audit/runs")["runs"]]


def test_an_audit_of_nothing_is_not_asked_for(audits, look):
    service, *_ = audits
    runs = service.ask("GET", "/audit/runs")["runs"]
    page = look(service, "/ui/audits")
    page.get_by_text("More choices").click()
    page.get_by_role("group", name="Masks").get_by_role("radio", name="Only these").check()

    page.get_by_role("button", name="Start the audit").click()

    expect(page.locator("#start")).to_contain_text("Tick at least one of the masks, or take them all.")
    assert service.ask("GET", "/audit/runs")["runs"] == runs


def test_what_the_service_refuses_is_said_where_it_was_asked_for(audits, look):
    service, *_ = audits
    page = look(service, "/ui/audits")
    page.get_by_text("More choices").click()
    page.get_by_label("Seed").fill("-1")

    page.get_by_role("button", name="Start the audit").click()

    notice = page.locator("#start").get_by_role("alert")
    expect(notice).to_contain_text("Invalid body")
    expect(notice).to_contain_text("Seed:")


def test_without_any_run_the_page_says_what_to_begin_with(serve, look):
    page = look(serve(), "/ui/audits")

    expect(page.locator("#runs")).to_contain_text("No audit yet. The quick look is a good beginning.")
    assert page.watched.complaints == []
