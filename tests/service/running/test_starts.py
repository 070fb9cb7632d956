"""Services that start: where they listen, for whom, with which model, and how long a connection rests."""

from __future__ import annotations

import random
import socket
import time

import httpx
import pytest

from service.__main__ import main


def test_with_a_key_it_listens_anywhere_and_answers_to_the_key_alone(a_bundle_folder, a_service, tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/store.db"
    assert main(["keys", "create", "app", "--scopes", "recommend", "--url", url]) == 0
    key = capsys.readouterr().out.strip()
    service = a_service(a_bundle_folder(), host="0.0.0.0", database_url=url)

    answers = [
        httpx.get(f"{service.url}/recommend?user=u0", headers=headers).status_code
        for headers in ({}, {"authorization": "Bearer evh_guess"}, {"authorization": f"Bearer {key}"})
    ]

    assert answers == [401, 401, 200]
    assert main(["keys", "revoke", "app", "--url", url]) == 0
    service.stop()
    again = a_service(a_bundle_folder(version="2"), host="0.0.0.0", database_url=url)
    assert httpx.get(f"{again.url}/attributes").status_code == 401


def test_a_model_that_was_activated_is_served_again_after_a_restart(a_bundle_folder, a_service, tmp_path):
    folder = a_bundle_folder()
    a_bundle_folder(version="2", seed=2)
    service = a_service(folder, database_url=f"sqlite:///{tmp_path}/store.db")
    assert httpx.post(f"{service.url}/models/2/activate").status_code == 200

    service.kill()
    service.start()

    assert httpx.get(f"{service.url}/recommend?user=u0").json()["model"]["version"] == "2"
    assert httpx.get(f"{service.url}/models").json()["active"]["activated"] is not None


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_service_that_is_told_to_end_while_it_starts_ends(a_bundle_folder, a_service, tmp_path, rounds, workers):
    url = f"sqlite:///{tmp_path}/store.db"
    service = a_service(a_bundle_folder(), start=False, database_url=url, workers=workers)

    for _ in range(rounds(4, 40)):
        service.begin()
        time.sleep(random.uniform(0, 1.5))
        service.stop()


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_loopback_may_be_written_as_ipv6(a_bundle_folder, a_service, tmp_path, host):
    service = a_service(a_bundle_folder(), start=False, host=host, database_url=f"sqlite:///{tmp_path}/store.db")
    service.url = f"http://[::1]:{service.port}"

    service.start()


def test_a_connection_rests_longer_than_a_balancer_keeps_it(a_bundle_folder, a_service, tmp_path):
    """uvicorn's own five seconds would end it before."""
    service = a_service(a_bundle_folder(), database_url=f"sqlite:///{tmp_path}/store.db")
    request = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
    with socket.create_connection(("127.0.0.1", service.port), timeout=60) as connection:
        connection.sendall(request)
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        time.sleep(6.5)
        connection.sendall(request)

        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
