"""Services with API keys: what the page says without one, with one, and with one that may not."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect


@pytest.fixture(scope="module")
def keyed(serve):
    """A service with a key for each scope."""
    return serve(keys=True, rate_limit="off")


def use_key(page, secret):
    page.get_by_role("dialog").get_by_label("Key").fill(secret)
    page.get_by_role("button", name="Use this key").click()


def enter_key(page, secret):
    page.get_by_role("button", name="Enter a key").click()
    use_key(page, secret)


def test_without_a_key_one_is_asked_for_and_with_it_the_page_works(keyed, look):
    page = look(keyed, "/?user=u7&sensitive=gender")
    expect(page.get_by_role("alert")).to_contain_text("This service needs an API key")

    enter_key(page, keyed.keys["all"])

    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("heading", name="User u7: gender protected")).to_be_visible()
    expect(page.locator(".pair section:nth-of-type(2) li")).to_have_count(10)
    expect(page.get_by_role("button", name="API key: set")).to_be_visible()


def test_a_key_stays_in_the_tab_and_in_no_address_and_is_forgotten_at_a_press(keyed, look):
    page = look(keyed, "/?user=u7&sensitive=gender")
    secret = keyed.keys["all"]
    enter_key(page, secret)
    expect(page.locator(".pair")).to_be_visible()

    page.get_by_role("link", name="Models").click()
    expect(page.get_by_role("heading", name="Card of shop 1")).to_be_visible()
    assert [one for one in page.watched.asked if secret in one] == []
    stored = "JSON.stringify([{...sessionStorage}, {...localStorage}, document.cookie])"
    assert page.evaluate(stored) == f'[{{"evenhand.key":"{secret}"}},{{}},""]'
    page.get_by_role("button", name="API key: set").click()
    page.get_by_role("button", name="Forget the key").click()

    expect(page.get_by_role("alert")).to_contain_text("This service needs an API key")
    assert page.evaluate("sessionStorage.length") == 0


def test_a_wrong_key_is_not_kept(keyed, look):
    page = look(keyed, "/")
    expect(page.get_by_role("alert")).to_contain_text("needs an API key")

    enter_key(page, "evh_wrong")
    expect(page.get_by_role("dialog")).to_contain_text("This key is not valid")
    assert page.evaluate("sessionStorage.length") == 0
    use_key(page, "two words")

    expect(page.get_by_role("dialog")).to_contain_text("A key has no spaces")


def test_the_scope_that_is_missing_is_named_on_each_page(keyed, look):
    page = look(keyed, "/ui/audits")
    enter_key(page, keyed.keys["recommend"])

    expect(page.get_by_role("alert").first).to_contain_text("Your key lacks the scope audit")
    expect(page.get_by_role("alert").first).to_contain_text("python -m service keys create")
    page.get_by_role("link", name="Models").click()
    page.get_by_role("button", name="Show card of 1").click()
    expect(page.get_by_role("heading", name="Card of shop 1")).to_be_visible()


def test_without_the_audit_scope_lists_are_shown_once_that_is_agreed_to(keyed, look):
    page = look(keyed, "/?user=u9&sensitive=gender")
    enter_key(page, keyed.keys["recommend"])
    expect(page.get_by_role("alert")).to_contain_text("Your key lacks the scope audit")
    expect(page.locator(".pair")).to_have_count(0)
    assert [one for one in page.watched.asked if "/recommend" in one] == []

    page.get_by_role("button", name="Show lists without it").click()
    expect(page.locator(".pair section:nth-of-type(2) li")).to_have_count(10)

    expect(page.locator("#parts")).to_contain_text("these lists count as shown to the user")
    page.get_by_role("switch", name="age").click()
    expect(page.get_by_role("heading", name="User u9: gender and age protected")).to_be_visible()


def test_the_overlap_of_lists_without_the_audit_scope_is_that_of_the_audit(keyed, look):
    numbers = []
    for scope in ("all", "recommend"):
        page = look(keyed, "/?user=u9&sensitive=gender")
        enter_key(page, keyed.keys[scope])
        if scope == "recommend":
            page.get_by_role("button", name="Show lists without it").click()
        expect(page.locator(".pair")).to_be_visible()
        numbers.append(page.locator(".tiles strong").all_inner_texts())

    assert numbers[0] == numbers[1]


def test_too_many_requests_are_told_with_the_time_to_wait_and_asked_again(serve, look):
    service = serve(keys=True, rate_limit="6/6 seconds")
    page = look(service, "/")
    enter_key(page, service.keys["all"])
    expect(page.get_by_role("dialog")).to_be_hidden()

    page.goto(f"{service.url}/?user=u7&sensitive=gender&k=5")
    expect(page.get_by_role("alert")).to_contain_text("Too many requests with this key")
    expect(page.get_by_role("alert")).to_contain_text("Asking again in")

    expect(page.locator(".pair section:nth-of-type(2) li")).to_have_count(5)
