"""Explore: one user, toggles, lists side by side."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from bundle import SupportedMasks


def items(page, column):
    """Titles of one of the two lists, by rank."""
    return page.locator(f".pair section:nth-of-type({column}) li .title").all_inner_texts()


def served(service, user, sensitive, k=10):
    """What the service itself recommends."""
    page = service.ask("GET", f"/recommend?user={user}&k={k}&sensitive={sensitive}")
    return [item["title"] for item in page["items"]]


def test_toggling_an_attribute_shows_the_list_that_the_service_would_give(shop, look):
    page = look(shop, "/?user=u7&sensitive=")
    expect(page.get_by_role("heading", name="User u7: nothing protected")).to_be_visible()

    page.get_by_role("switch", name="gender").click()
    expect(page.get_by_role("heading", name="User u7: gender protected")).to_be_visible()

    assert items(page, 1) == served(shop, "u7", "")
    assert items(page, 2) == served(shop, "u7", "gender") != items(page, 1)
    assert page.url == f"{shop.url}/?user=u7&sensitive=gender&k=10"
    assert page.watched.complaints == []


def test_what_moved_came_and_left_is_said_in_words(shop, look):
    page = look(shop, "/?user=u7&sensitive=gender,age")
    before, after = served(shop, "u7", ""), served(shop, "u7", "gender,age")
    expect(page.locator(".pair")).to_be_visible()

    for rank, title in enumerate(after, 1):
        row = page.locator(".pair section:nth-of-type(2) li").nth(rank - 1)
        was = before.index(title) + 1 if title in before else None
        expected = "new" if was is None else "same place" if was == rank else f"was {was}"
        assert expected in row.text_content()
    gone = [title for title in before if title not in after]
    assert page.locator("li.gone .title").all_inner_texts() == gone
    summary = page.locator("#summary").inner_text()
    assert f"{len(gone)} item" in summary


def test_every_mask_is_asked_for_once_and_toggling_asks_for_nothing_more(shop, look):
    page = look(shop, "/?user=u3&sensitive=")
    expect(page.locator(".pair")).to_be_visible()
    asked = len([one for one in page.watched.asked if "/audit/users/u3" in one])

    for name in ("gender", "age", "gender"):
        page.get_by_role("switch", name=name).click()
    expect(page.get_by_role("heading", name="User u3: age protected")).to_be_visible()

    assert len([one for one in page.watched.asked if "/audit/users/u3" in one]) == asked == 1


def test_lists_made_for_the_page_do_not_count_as_shown(shop, look):
    page = look(shop, "/?user=u11&sensitive=age")
    expect(page.locator(".pair")).to_be_visible()

    rows = shop.ask("GET", "/audit/requests?user=u11")["requests"]

    assert {row["purpose"] for row in rows} == {"ui"}


def test_another_user_is_picked_from_the_suggestions(shop, look):
    page = look(shop, "/?user=u1&sensitive=gender")
    expect(page.get_by_role("heading", name="User u1: gender protected")).to_be_visible()

    field = page.get_by_role("combobox", name="User")
    field.fill("u12")
    option = page.get_by_role("option", name="u123")
    expect(option).to_be_visible()
    option.click()

    expect(page.get_by_role("heading", name="User u123: gender protected")).to_be_visible()
    assert items(page, 2) == served(shop, "u123", "gender")
    page.go_back()
    expect(page.get_by_role("heading", name="User u1: gender protected")).to_be_visible()


def test_somebody_else_is_somebody_else(shop, look):
    page = look(shop, "/?user=u1&sensitive=gender")
    expect(page.locator(".pair")).to_be_visible()

    page.get_by_role("button", name="Somebody else").click()
    expect(page.locator("#result-title")).not_to_have_text(re.compile("User u1:"))

    assert re.search(r"\?user=u\d+&", page.url)
    assert "?user=u1&" not in page.url


def test_a_view_can_be_sent_to_somebody_else_as_its_address(shop, look):
    page = look(shop, "/")
    page.get_by_role("button", name="Show somebody").click()
    expect(page.locator(".pair")).to_be_visible()
    page.get_by_role("switch", name="age").click()
    page.get_by_label("Items in a list").select_option("20")
    expect(page.locator(".pair section:nth-of-type(2) li")).to_have_count(20)
    seen = page.locator("#result-title").inner_text(), items(page, 1), items(page, 2)

    other = look(shop, page.url.removeprefix(shop.url))
    expect(other.locator(".pair section:nth-of-type(2) li")).to_have_count(20)

    assert (other.locator("#result-title").inner_text(), items(other, 1), items(other, 2)) == seen


def test_explore_is_used_by_keyboard_alone(shop, look):
    page = look(shop, "/")
    expect(page.get_by_role("switch", name="gender")).to_be_checked()

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "user"
    page.keyboard.type("u44")
    expect(page.get_by_role("option", name="u445")).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    active = page.evaluate("document.activeElement.getAttribute('aria-activedescendant')")
    assert page.locator(f"#{active}").inner_text() == "u440"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="User u440: gender protected")).to_be_visible()
    for wanted in ("Show", "Somebody else", "gender", "age"):
        page.keyboard.press("Tab")
        name = (
            "document.activeElement.labels?.[0]?.querySelector('b').textContent ?? document.activeElement.textContent"
        )
        assert page.evaluate(name) == wanted
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Space")

    expect(page.get_by_role("heading", name="User u440: gender and age protected")).to_be_visible()
    assert items(page, 2) == served(shop, "u440", "gender,age")


def test_escape_closes_the_suggestions_and_keeps_what_was_typed(shop, look):
    page = look(shop, "/")
    field = page.get_by_role("combobox", name="User")
    field.click()
    page.keyboard.type("u4")
    expect(page.get_by_role("listbox", name="Users")).to_be_visible()

    page.keyboard.press("Escape")

    expect(page.get_by_role("listbox", name="Users")).to_be_hidden()
    expect(field).to_have_value("u4")
    expect(field).to_have_attribute("aria-expanded", "false")


def test_what_is_typed_before_the_page_knows_the_attributes_stays(shop, look):
    held = []
    page = look(shop, "/", prepare=lambda page: page.route("**/attributes", lambda one: held.append(one)))
    page.get_by_role("combobox", name="User").fill("u44")
    expect(page.get_by_role("option", name="u445")).to_be_visible()

    held.pop().continue_()

    expect(page.get_by_role("heading", name="Whose lists?")).to_be_visible()
    expect(page.get_by_role("combobox", name="User")).to_have_value("u44")


def test_a_user_that_nobody_knows_is_said_plainly(shop, look):
    page = look(shop, "/?user=nobody&sensitive=gender")

    notice = page.get_by_role("alert")

    expect(notice).to_contain_text("Unknown user")
    expect(notice).to_contain_text("No user 'nobody' in this bundle.")
    expect(page.locator(".pair")).to_have_count(0)


def test_a_mistyped_parameter_of_the_address_is_not_passed_over(shop, look):
    page = look(shop, "/?user=u7&sensitve=age")

    expect(page.get_by_role("alert")).to_contain_text(
        "sensitve: this page knows user, sensitive, k, balance and balance_weight"
    )


def test_what_is_always_protected_is_on_says_why_and_cannot_be_switched_off(serve, look):
    service = serve({"version": "1", "always_protected": ["gender"]}, required="age")

    page = look(service, "/?user=u5&sensitive=")
    expect(page.get_by_role("heading", name="User u5: gender and age protected")).to_be_visible()

    for name, why in (("gender", "On: always protected by the bundle"), ("age", "On: required by the operator")):
        switch = page.get_by_role("switch", name=name)
        expect(switch).to_be_checked()
        expect(switch).to_be_disabled()
        expect(switch).to_have_accessible_description(why)
    reasons = page.get_by_role("region", name="Protected attributes and who asked for them").inner_text()
    assert "always protected by the bundle" in reasons
    expect(page.locator("#summary")).to_contain_text("This is the least that is protected here")


def test_a_requirement_that_the_user_stored_is_on_and_says_so(serve, look):
    service = serve()
    service.ask("PUT", "/users/u5/requirement", {"attributes": ["age"]})

    page = look(service, "/?user=u5&sensitive=")

    switch = page.get_by_role("switch", name="age")
    expect(switch).to_be_disabled()
    expect(switch).to_have_accessible_description("On: the user’s own stored requirement")
    page.get_by_role("switch", name="gender").click()
    expect(page.get_by_role("heading", name="User u5: gender and age protected")).to_be_visible()


def test_a_combination_without_lists_is_refused_with_those_that_there_are(serve, look):
    masks = SupportedMasks(kind="list", masks=[[], ["gender", "age"]])
    service = serve({"version": "1", "supported_masks": masks})
    page = look(service, "/?user=u7&sensitive=")
    expect(page.locator(".pair")).to_be_visible()

    page.get_by_role("switch", name="gender").click()
    notice = page.get_by_role("alert")
    expect(notice).to_contain_text("This bundle has no list that protects exactly: gender (request).")
    notice.get_by_role("button", name="gender and age").click()

    expect(page.get_by_role("heading", name="User u7: gender and age protected")).to_be_visible()
    expect(notice).to_have_count(0)
    assert items(page, 2) == served(service, "u7", "gender,age")


def test_the_page_waits_for_a_service_that_starts_again(serve, look):
    service = serve()
    page = look(service, "/?user=u7&sensitive=")
    expect(page.locator(".pair")).to_be_visible()
    service.stop()

    page.get_by_label("Items in a list").select_option("5")
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    service.start()

    expect(page.locator(".pair section:nth-of-type(2) li")).to_have_count(5)
    expect(page.get_by_role("alert")).to_have_count(0)


def many(page):
    """64 attributes, of which one is always protected, and long names."""
    names = [f"attribute_with_a_rather_long_name_{place:02}" for place in range(64)]
    reference = {"sensitive": [], "applied": [], "items": [{"item": "1", "rank": 1, "was": 1}], "left": []}
    lists = [reference | {"overlap": {"jaccard": 1, "rbo": 1}, "sentence": None}]
    for name in names[1:]:
        applied = [{"attribute": name, "source": "request"}]
        overlap = {"jaccard": 0, "rbo": 0}
        left = [{"item": "1", "was": 1}]
        items = [{"item": "2", "rank": 1, "was": None, "title": "x" * 250}]
        more = {"sensitive": [name], "applied": applied, "items": items, "left": left, "overlap": overlap}
        lists.append(more | {"sentence": "Everything changes."})
    schema = {
        "attributes": [{"name": name, "classes": ["yes", "no"]} for name in names],
        "supported_masks": {"kind": "all", "masks": []},
        "always_protected": [],
        "required": [],
        "default": [names[1]],
        "balance": {"targets": ["uniform", "history"], "default": None, "weight": 0.5, "max_weight": 1},
    }
    user = {"user": "u1", "model": {"name": "m", "version": "1"}, "k": 10, "reference": [], "lists": lists}
    page.route("**/attributes", lambda route: route.fulfill(json=schema))
    page.route("**/audit/users/u1?*", lambda route: route.fulfill(json=user | {"attributes": []}))


def test_sixty_four_attributes_and_endless_titles_fit(shop, look):
    page = look(shop, "/?user=u1", width=390, prepare=many)
    expect(page.locator(".pair")).to_be_visible()

    page.get_by_label("Find an attribute").fill("_63")

    expect(page.get_by_role("switch")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.watched.complaints == []


def nothing_left(page):
    """A user who has seen everything."""
    one = {"sensitive": [], "applied": [], "items": [], "left": [], "overlap": {"jaccard": None, "rbo": None}}
    user = {"user": "u1", "model": {"name": "m", "version": "1"}, "k": 10, "reference": []}
    body = user | {"lists": [one | {"sentence": None}], "attributes": []}
    page.route("**/audit/users/u1?*", lambda route: route.fulfill(json=body))


def test_an_empty_list_says_that_nothing_is_left(shop, look):
    page = look(shop, "/?user=u1&sensitive=", prepare=nothing_left)

    expect(page.locator("#summary")).to_have_text("Nothing is left to recommend to this user.")
    expect(page.locator("#parts")).not_to_contain_text("NaN")


def test_a_balanced_list_is_set_beside_the_same_without_balance(shop, look):
    page = look(shop, "/?user=u7&sensitive=gender")
    expect(page.locator(".pair")).to_be_visible()
    expect(page.get_by_label("Weight")).to_be_hidden()

    page.get_by_label("Balance item groups").select_option("uniform")
    expect(page.get_by_role("heading", name="Balanced: every group alike, weight 0.50")).to_be_visible()
    page.get_by_label("Weight").fill("1")
    expect(page.get_by_role("heading", name="Balanced: every group alike, weight 1.00")).to_be_visible()

    path = "/recommend?user=u7&sensitive=gender&balance=uniform&balance_weight=1"
    balanced = shop.ask("GET", path)
    divergence = balanced["balance"]["divergence"]
    assert items(page, 1) == served(shop, "u7", "gender")
    assert items(page, 2) == [item["title"] for item in balanced["items"]]
    assert page.url == f"{shop.url}/?user=u7&sensitive=gender&k=10&balance=uniform&balance_weight=1"
    expect(page.locator("#parts")).to_contain_text(f"{divergence['after']:.2f}was {divergence['before']:.2f}")
    assert page.watched.complaints == []


def test_the_choice_says_that_the_operator_balances_by_default(serve, look):
    page = look(serve(balance="uniform"), "/?user=u5&sensitive=gender&balance=none")

    expect(page.locator("#parts")).to_contain_text("from “every group alike”")
    expect(page.locator("#balance option:checked")).to_have_text("As by default: every group alike")


def test_a_history_is_refused_under_protection_and_other_targets_are_offered(shop, look):
    page = look(shop, "/?user=u7&sensitive=gender&balance=history")

    notice = page.get_by_role("alert")
    expect(notice).to_contain_text("A list that follows the user’s own history would show what is withheld")
    expect(notice).to_contain_text("Protected here: gender (asked for here).")
    notice.get_by_role("button", name="as in the catalogue").click()

    expect(page.get_by_role("heading", name="Balanced: as in the catalogue, weight 0.50")).to_be_visible()
    expect(notice).to_have_count(0)
    page.get_by_label("Balance item groups").select_option("Not balanced here")
    expect(page.get_by_role("heading", name="Protected: gender")).to_be_visible()
