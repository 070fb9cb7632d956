"""Settings: typed, bounded, and nothing mistyped passes."""

from __future__ import annotations

import pytest

from service.errors import StartError
from service.settings import Settings, read_settings


def test_everything_but_the_bundle_has_a_default(monkeypatch):
    monkeypatch.setenv("EVENHAND_BUNDLE", "bundles/tiny")

    settings = read_settings()

    assert str(settings.bundle) == "bundles/tiny"
    assert (settings.host, settings.port, settings.scores, settings.allow_no_keys) == ("127.0.0.1", 8000, "off", False)
    assert settings.default == settings.required == ()


def test_lists_are_comma_separated(monkeypatch):
    monkeypatch.setenv("EVENHAND_REQUIRED", "gender,age")

    assert read_settings(bundle="b").required == ("gender", "age")


def test_the_command_line_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("EVENHAND_PORT", "9000")

    assert read_settings(bundle="b", port="9001").port == 9001
    assert read_settings(bundle="b", port=None).port == 9000


def test_a_variable_set_to_nothing_is_not_set(monkeypatch):
    monkeypatch.setenv("EVENHAND_PORT", "")
    monkeypatch.setenv("EVENHAND_REQUIRED", "")

    assert read_settings(bundle="b") == Settings(bundle="b")


def test_a_mistyped_variable_refuses_the_start_and_names_the_known_ones(monkeypatch):
    monkeypatch.setenv("EVENHAND_REQUIERD", "gender")

    with pytest.raises(StartError, match=r"unknown setting EVENHAND_REQUIERD; known are .*EVENHAND_REQUIRED"):
        read_settings(bundle="b")


def test_variables_of_the_tests_and_the_deployment_are_left_alone(monkeypatch):
    monkeypatch.setenv("EVENHAND_DATA", "data")
    monkeypatch.setenv("EVENHAND_BUNDLE_DIR", "bundles")

    assert read_settings(bundle="b").port == 8000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "eighty"),
        ("DEVICE", "tpu"),
        ("INDEX", "annoy"),
        ("SCORES", "on"),
        ("REQUIRED", "gender,"),
        ("DEFAULT", "Gender"),
        ("DEFAULT", ",".join(f"a{number}" for number in range(65))),
        ("QUEUE_SIZE", "0"),
        ("DEADLINE_S", "0"),
        ("DEADLINE_S", "nan"),
        ("MAX_BATCH", "100000"),
        ("LOG_LEVEL", "loud"),
        ("ALLOW_NO_KEYS", "maybe"),
        ("CACHE", "disk"),
        ("CACHE_TTL_S", "0"),
        ("CACHE_ENTRIES", "-1"),
        ("CACHE_MB", "lots"),
        ("REDIS_PREFIX", "two words"),
        ("REDIS_TIMEOUT_MS", "0"),
        ("CURSOR_TTL_S", "0"),
        ("LOG_MAX_DAYS", "0"),
        ("LOG_MAX_ROWS", "0"),
        ("DRAIN_S", "-1"),
        ("DRAIN_S", "inf"),
    ],
)
def test_a_value_out_of_bounds_refuses_the_start_in_one_line_that_names_it(monkeypatch, name, value):
    monkeypatch.setenv(f"EVENHAND_{name}", value)

    with pytest.raises(StartError) as refused:
        read_settings(bundle="b")

    assert f"EVENHAND_{name}" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_secrets_are_not_shown_where_settings_are(monkeypatch):
    monkeypatch.setenv("EVENHAND_SECRET", "sixteen letters or more")
    monkeypatch.setenv("EVENHAND_REDIS_URL", "redis://:hunter2@redis/0")

    settings = read_settings(bundle="b")

    assert settings.secret is not None
    assert settings.secret.get_secret_value() == "sixteen letters or more"
    assert not any(secret in f"{settings!r} {settings}" for secret in ("hunter2", "sixteen"))


def test_no_bundle_is_said_with_both_ways_to_name_one():
    with pytest.raises(StartError, match="EVENHAND_BUNDLE is not set, nor is --bundle given"):
        read_settings()


def test_every_setting_says_what_it_means():
    assert all(field.description for field in Settings.model_fields.values())


LINKS = {
    "EVENHAND_SERVICE_HOST": "10.96.0.7",
    "EVENHAND_SERVICE_PORT": "8000",
    "EVENHAND_SERVICE_PORT_HTTP": "8000",
    "EVENHAND_PORT": "tcp://10.96.0.7:8000",
    "EVENHAND_PORT_8000_TCP": "tcp://10.96.0.7:8000",
    "EVENHAND_PORT_8000_TCP_PROTO": "tcp",
    "EVENHAND_PORT_8000_TCP_PORT": "8000",
    "EVENHAND_PORT_8000_TCP_ADDR": "10.96.0.7",
    "EVENHAND_PORT_53_UDP": "udp://[fd00::7]:53",
    "EVENHAND_PORT_53_UDP_PROTO": "udp",
    "EVENHAND_PORT_53_UDP_ADDR": "fd00::7",
    "EVENHAND_METRICS_PORT": "tcp://10.96.0.8:9000",
    "EVENHAND_POSTGRES_SERVICE_HOST": "10.96.0.9",
}


def test_links_of_kubernetes_services_are_left_alone(monkeypatch):
    for name, value in LINKS.items():
        monkeypatch.setenv(name, value)

    settings = read_settings(bundle="b")

    assert (settings.port, settings.metrics_port) == (8000, None)


def test_a_port_is_a_setting_beside_links(monkeypatch):
    for name, value in LINKS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("EVENHAND_PORT", "9000")

    assert read_settings(bundle="b").port == 9000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EVENHAND_SERVICE_HOST", "shop.example"),
        ("EVENHAND_SERVICE_HOSTS", "10.96.0.7"),
        ("EVENHAND_SERVICE_PORT", "http"),
        ("EVENHAND_PORT", "tcp://evenhand:8000"),
        ("EVENHAND_PORT", "http://10.96.0.7:8000"),
        ("EVENHAND_PORT_8000_TCP_PROTO", "8000"),
        ("EVENHAND_PORT_8000_TCP_ADDR", ""),
        ("EVENHAND_PORTS", "8000"),
        ("EVENHAND_MAX_PORT", "8000"),
    ],
)
def test_what_only_looks_like_a_link_is_refused(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    with pytest.raises(StartError, match=name):
        read_settings(bundle="b")


@pytest.mark.parametrize("path", ["evenhand", "/evenhand/", "//evil.example", "/a?b", "/a b"])
def test_a_root_path_is_a_path(monkeypatch, path):
    monkeypatch.setenv("EVENHAND_ROOT_PATH", path)

    with pytest.raises(StartError, match="EVENHAND_ROOT_PATH"):
        read_settings(bundle="b")
