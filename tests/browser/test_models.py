"""Models: which there are, what was measured on them, another one in the place of the active one."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect


@pytest.fixture
def models(serve):
    """A service of three versions; the first serves, the third cannot protect age."""
    versions = [{"version": "1"}, {"version": "2", "seed": 8}, {"version": "3", "attributes": ("gender",)}]
    service = serve(*versions)
    service.ask("POST", "/models/1/activate")
    return service


def active(service):
    return service.ask("GET", "/models")["active"]["version"]


def test_another_version_is_activated_once_that_is_confirmed(models, look):
    page = look(models, "/ui/models")
    expect(page.locator('[data-version="1"]')).to_contain_text("Active")

    page.get_by_role("button", name="Activate 2").click()
    dialog = page.get_by_role("dialog", name="Activate 2?")
    expect(dialog).to_contain_text("takes the place of 1")
    dialog.get_by_role("button", name="Leave it").click()
    expect(dialog).to_be_hidden()
    assert active(models) == "1"
    page.get_by_role("button", name="Activate 2").click()
    page.get_by_role("button", name="Activate it").click()

    expect(page.get_by_role("dialog", name="2 is active")).to_contain_text("0 users and 0 items are new")
    expect(page.locator('[data-version="2"]')).to_contain_text("Active")
    expect(page.locator('[data-version="1"]')).not_to_contain_text("Active")
    assert active(models) == "2"
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Activate 1")).to_be_visible()
    assert page.watched.complaints == []


def test_a_version_answers_a_share_of_the_users_that_grows_and_ends(models, look):
    page = look(models, "/ui/models")
    page.get_by_role("button", name="Activate 2").click()
    percent = page.get_by_label("Percent of the users that it answers")
    expect(percent).to_have_value("100")
    percent.fill("0")
    page.get_by_role("button", name="Activate it").click()
    expect(page.get_by_role("dialog", name="Activate 2?")).to_be_visible()
    percent.fill("12.5")
    page.get_by_role("button", name="Activate it").click()

    expect(page.get_by_role("dialog", name="2 answers 12.5 % of the users")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(page.locator('[data-version="2"]')).to_contain_text("12.5 % of the users")
    expect(page.locator('[data-version="1"]')).to_contain_text("Active, 87.5 % of the users")
    assert (active(models), models.ask("GET", "/models")["trial"]["share"]) == ("1", 0.125)

    page.get_by_role("button", name="Activate 2").click()
    expect(percent).to_have_value("12.5")
    percent.fill("50")
    page.get_by_role("button", name="Activate it").click()
    expect(page.get_by_role("dialog", name="2 answers 50 % of the users")).to_be_visible()
    page.get_by_role("button", name="Close").click()

    page.get_by_role("button", name="End the share of 2").click()
    page.get_by_role("button", name="End it").click()
    expect(page.get_by_role("dialog", name="2 answers nobody")).to_be_visible()
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="End the share of 2")).to_have_count(0)
    assert models.ask("GET", "/models")["trial"] is None
    assert page.watched.complaints == []


def test_a_version_that_may_get_no_share_says_why(models, look):
    page = look(models, "/ui/models")
    page.get_by_role("button", name="Activate 3").click()
    page.get_by_label("Percent of the users that it answers").fill("10")

    page.get_by_role("button", name="Activate it").click()

    said = page.get_by_role("dialog")
    expect(said).to_contain_text("Share refused")
    expect(said).to_contain_text("age")
    assert models.ask("GET", "/models")["trial"] is None


def test_requirements_that_cannot_be_met_are_explained_before_it_is_forced(models, look):
    models.ask("PUT", "/users/u5/requirement", {"attributes": ["age"]})
    page = look(models, "/ui/models")
    page.get_by_role("button", name="Activate 3").click()

    page.get_by_role("button", name="Activate it").click()
    said = page.get_by_role("alert")
    expect(said).to_contain_text("1 user could not be answered")
    expect(said).to_contain_text("“age”")
    expect(said).to_contain_text("Nobody is protected less.")
    assert active(models) == "1"
    page.get_by_role("button", name="Activate it all the same").click()

    dialog = page.get_by_role("dialog", name="3 is active")
    expect(dialog).to_contain_text("It can no longer protect age.")
    expect(dialog).to_contain_text("1 user cannot be answered")
    assert active(models) == "3"


def test_a_version_that_is_damaged_is_refused_in_plain_words(models, look):
    file = models.folder / "2" / "items.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    page = look(models, "/ui/models")
    page.get_by_role("button", name="Activate 2").click()

    page.get_by_role("button", name="Activate it").click()

    said = page.get_by_role("dialog")
    expect(said).to_contain_text("Model refused")
    expect(said).to_contain_text("items.safetensors")
    expect(said).to_contain_text("The active version serves on.")
    assert active(models) == "1"


def test_the_card_of_any_version_can_be_read(models, look):
    page = look(models, "/ui/models")
    expect(page.get_by_role("heading", name="Card of shop 1")).to_be_visible()

    page.get_by_role("button", name="Show card of 2").click()
    expect(page.get_by_role("heading", name="Card of shop 2")).to_be_focused()

    assert page.url == f"{models.url}/ui/models?version=2"
    expect(page.locator("#parts")).to_contain_text("Leakage was not measured")
    page.reload()
    expect(page.get_by_role("heading", name="Card of shop 2")).to_be_visible()
