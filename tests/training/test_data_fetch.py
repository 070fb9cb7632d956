"""Downloads from a loopback server: what is unpacked, and what is refused without a trace."""

import hashlib
import io
import socket
import stat
import threading
import zipfile
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request

import pytest

from training.__main__ import main
from training.data.fetch import NoDowngrade, fetch
from training.errors import FetchError


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        status, headers, body = self.server.pages.get(self.path, (404, {}, b""))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def serve():
    """Serve pages on the loopback address; give the address of the first."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def start(body=b"", status=200, headers=None, **more):
        server.pages = {"/data.zip": (status, headers or {}, body), **more}
        return f"http://127.0.0.1:{server.server_port}/data.zip"

    yield start
    server.shutdown()
    thread.join()
    server.server_close()


def a_zip(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return buffer.getvalue()


def a_special(name: str, kind: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = (kind | 0o777) << 16
    return entry


GOOD = a_zip(("ml/ratings.dat", b"1::2::3::4\n"), ("ml/deep/README", b"read me"))


def test_a_zip_is_unpacked_into_a_new_folder_without_its_own_common_folder(serve, tmp_path):
    folder = fetch(serve(GOOD), tmp_path / "sets" / "ml", hashlib.sha256(GOOD).hexdigest())

    assert folder == tmp_path / "sets" / "ml"
    assert (folder / "ratings.dat").read_bytes() == b"1::2::3::4\n"
    assert (folder / "deep" / "README").read_bytes() == b"read me"
    assert [path.name for path in folder.parent.iterdir()] == ["ml"]


def test_a_redirect_is_followed(serve, tmp_path):
    url = serve(b"", 302, {"Location": "/there.zip"}, **{"/there.zip": (200, {}, GOOD)})

    assert (fetch(url, tmp_path / "ml") / "ratings.dat").exists()


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"<html>sorry</html>", "is not a readable zip"),
        (GOOD[:-30], "is not a readable zip"),
        (GOOD.replace(GOOD[50:54], b"\xff\xff\xff\xff"), "is not a readable zip"),
        (a_zip(("../evil", b"x")), "'../evil' names a path that leaves the folder"),
        (a_zip(("a/../../evil", b"x")), "leaves the folder"),
        (a_zip(("/etc/evil", b"x")), "leaves the folder"),
        (a_zip(("..\\evil", b"x")), "leaves the folder"),
        (a_zip(("C:evil", b"x")), "leaves the folder"),
        (a_zip(("a\x1b[2J", b"x")), "leaves the folder"),
        (a_zip((a_special("link", stat.S_IFLNK), b"/etc/passwd")), "'link' is a link or a device"),
        (a_zip((a_special("pipe", stat.S_IFIFO), b"")), "is a link or a device"),
        (a_zip(("a", b"x"), ("a/b", b"y")), "names two entries the same"),
        (a_zip(("bomb", b"\0" * 100_000)), "unpacks to too much; allowed: 50,000 bytes"),
        (b"x" * 20_000, "is too large; allowed: 10,000 bytes"),
    ],
)
def test_a_bad_zip_is_refused_and_leaves_nothing(serve, tmp_path, body, says):
    with pytest.raises(FetchError) as caught:
        fetch(serve(body), tmp_path / "ml", max_bytes=10_000, max_unpacked_bytes=50_000)

    assert says in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_another_digest_than_expected_is_refused(serve, tmp_path):
    with pytest.raises(FetchError, match="is not the SHA-256 expected") as caught:
        fetch(serve(GOOD), tmp_path / "ml", "0" * 64)

    assert caught.value.value == hashlib.sha256(GOOD).hexdigest()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"status": 404}, "answered with status 404"),
        ({"status": 503}, "answered with status 503"),
        ({"status": 302, "headers": {"Location": "file:///etc/passwd"}}, "answered with status 302"),
        ({"status": 302, "headers": {"Location": "ftp://127.0.0.1/data.zip"}}, "answered with status 302"),
        ({"status": 302, "headers": {"Location": "/data.zip"}}, "answered with status 302"),
        ({"body": GOOD, "headers": {"Content-Length": str(len(GOOD) + 9)}}, "broke off"),
    ],
)
def test_a_server_that_does_not_deliver_is_an_error_that_says_so(serve, tmp_path, answer, says):
    with pytest.raises(FetchError, match=says):
        fetch(serve(**answer), tmp_path / "ml")

    assert list(tmp_path.iterdir()) == []


def test_a_redirect_never_leaves_https():
    request = Request("https://example.org/data.zip")

    with pytest.raises(FetchError, match="is where a redirect leads"):
        NoDowngrade().redirect_request(request, io.BytesIO(), 302, "Found", HTTPMessage(), "http://example.org/x.zip")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x.zip", "data:,x", "ml-1m.zip", ""])
def test_only_http_is_fetched(tmp_path, url):
    with pytest.raises(FetchError, match="allowed: http, https"):
        fetch(url, tmp_path / "ml")


@pytest.mark.parametrize("url", ["http://[::1", "http:///x.zip", "http://127.0.0.1:port/x.zip"])
def test_an_address_that_is_none_is_refused(tmp_path, url):
    with pytest.raises(FetchError):
        fetch(url, tmp_path / "ml")


def test_a_folder_that_exists_is_left_alone(serve, tmp_path):
    (tmp_path / "ml").mkdir()

    with pytest.raises(FetchError, match="a folder that exists"):
        fetch(serve(GOOD), tmp_path / "ml")


def test_a_server_that_is_not_there_is_an_error_that_says_so(tmp_path):
    with pytest.raises(FetchError, match="cannot be reached"):
        fetch("http://127.0.0.1:9/data.zip", tmp_path / "ml")


def test_the_command_fetches_an_archive_that_has_the_digest_given(serve, tmp_path):
    url, digest = serve(GOOD), hashlib.sha256(GOOD).hexdigest()

    status = main(["data", "fetch", url, str(tmp_path / "ml"), "--sha256", digest])

    assert status == 0
    assert (tmp_path / "ml" / "ratings.dat").exists()


def test_without_a_network_the_command_ends_with_one_line(tmp_path, monkeypatch, capsys):
    def no_names(*args, **more):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_names)

    status = main(["data", "fetch", "https://example.org/data.zip", str(tmp_path / "ml")])

    said = capsys.readouterr()
    assert status != 0
    assert said.out == ""
    assert said.err.splitlines() == [
        "error: https://example.org/data.zip: cannot be reached: [Errno -2] Name or service not known"
    ]
    assert list(tmp_path.iterdir()) == []
