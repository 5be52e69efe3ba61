"""Only who has the address sees the scan, and nothing else can be had from the server."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tests.vol3d.view.page.scenes import organ, room
from vol3d.errors import UsageError
from vol3d.view.page import server as page_server
from vol3d.view.page.payload import Payload, describe
from vol3d.view.page.server import PageServer, static_files


@pytest.fixture(scope="module")
def payload() -> Payload:
    return describe(room())


@pytest.fixture
def server(payload: Payload) -> Iterator[PageServer]:
    with PageServer(payload) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


class Answer:
    def __init__(self, server: PageServer, path: str, method: str = "GET", host: str | None = None) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        connection.putrequest(method, path, skip_host=host is not None)
        if host is not None:
            connection.putheader("Host", host)
        connection.endheaders()
        response = connection.getresponse()
        self.status, self.headers, self.body = response.status, response.headers, response.read()
        connection.close()


def test_the_page_the_description_and_every_array_are_served_byte_for_byte(server: PageServer, payload: Payload):
    assert Answer(server, f"/{server.token}/").body == static_files()["index.html"]
    assert Answer(server, f"/{server.token}/scene.json").body == payload.json()
    for name, make in payload.buffers.items():
        answer = Answer(server, f"/{server.token}/data/{name}")
        assert answer.status == 200 and answer.body == bytes(make())
        assert int(answer.headers["Content-Length"]) == len(answer.body)


def test_surfaces_are_made_when_they_are_asked_for():
    with PageServer(describe(organ())) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        first = Answer(running, f"/{running.token}/data/mask0-surface3")
        assert first.status == 200 and len(first.body) > 1000
        assert Answer(running, f"/{running.token}/data/mask0-surface2").status == 404
        running.shutdown()


def test_everything_that_the_page_names_is_served(server: PageServer):
    for path, content in static_files().items():
        answer = Answer(server, f"/{server.token}/{path}")
        assert (answer.status, answer.body) == (200, content)
        folder = path.rpartition("/")[0]
        if path.startswith("vendor/three/three."):
            named = re.findall(rb'from"\./([^"]+)"', content)
        else:
            named = re.findall(rb"""(?:from |href=|src=)"(?:\./)?([\w./]+\.(?:js|css|svg))\"""", content)
        for name in named:
            assert f"{folder}/{name.decode()}".lstrip("/") in static_files(), f"{path} names {name!r}"


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/index.html", "/scene.json", "/data/cloud0-xyz", "/wrong/", "/wrong/scene.json", "//", "/%2e%2e/"),
        *("{token}", "/{token}", "/{token}x/", "/{token}/data/", "/{token}/data/nothing", "/{token}/vendor/"),
        *(
            "/{token}/../server.py",
            "/{token}/%2e%2e/server.py",
            "/{token}/vendor/three/LICENSE",
            "/{token}//etc/passwd",
        ),
        *("/{token}/data/cloud0-xyz/", "/{token}/cloud0-xyz", "http://elsewhere.org/x"),
    ],
)
def test_whatever_is_not_listed_or_lacks_the_token_is_not_found(server: PageServer, path: str):
    answer = Answer(server, path.format(token=server.token))
    assert (answer.status, answer.body) == (404, b"")


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", "", "0.0.0.0", "[::1]"])
def test_a_name_that_was_made_to_point_here_is_refused(server: PageServer, host: str):
    assert Answer(server, f"/{server.token}/", host=host).status == 404


@pytest.mark.parametrize("host", ["127.0.0.1:1234", "localhost:9000", "localhost"])
def test_the_other_end_of_a_tunnel_may_have_another_port(server: PageServer, host: str):
    assert Answer(server, f"/{server.token}/", host=host).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_sent(server: PageServer, method: str):
    assert Answer(server, f"/{server.token}/", method).status == 501


def test_head_tells_the_length_and_no_more(server: PageServer):
    answer = Answer(server, f"/{server.token}/scene.json", "HEAD")
    assert answer.body == b"" and int(answer.headers["Content-Length"]) == len(server.description)


def test_the_page_may_load_nothing_from_elsewhere_and_nothing_is_kept(server: PageServer):
    for path in ("", "scene.json", "nothing"):
        headers = Answer(server, f"/{server.token}/{path}").headers
        assert headers["Cache-Control"] == "no-store" and headers["Referrer-Policy"] == "no-referrer"
        rules = dict(rule.strip().split(" ", 1) for rule in headers["Content-Security-Policy"].split(";"))
        assert rules["default-src"] == rules["frame-ancestors"] == "'none'" and rules["connect-src"] == "'self'"
        assert re.fullmatch(r"'self' 'sha256-[\w+/=]+'", rules["script-src"])
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in headers


def test_the_ticket_of_the_browser_that_is_opened_works_once(server: PageServer):
    path = "/" + server.ticket_url.rsplit("/", 1)[1]
    first = Answer(server, path)
    assert (first.status, first.headers["Location"]) == (302, f"/{server.token}/")
    assert Answer(server, path).status == 404 and Answer(server, "/None").status == 404


def test_each_server_has_its_own_token(payload: Payload):
    with PageServer(payload) as first, PageServer(payload) as second:
        assert first.token != second.token and len(first.token) >= 32
        assert first.server_address[0] == second.server_address[0] == "127.0.0.1"


def test_a_taken_port_says_so(payload: Payload):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"port is taken; got {port}"):
            PageServer(payload, port)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_number_that_is_no_port_says_so(payload: Payload, port: int):
    with pytest.raises(UsageError, match="not a port"):
        PageServer(payload, port)


def raw(server: PageServer, request: bytes, seconds: float = 20) -> bytes:
    """What the server answers to these bytes, until it closes the connection."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=seconds) as connection:
        connection.sendall(request)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
        return answer


@pytest.mark.parametrize(
    "line",
    [
        *("GET http://[/ HTTP/1.1", "GET http://127.0.0.1/{token}/ HTTP/1.1", "GET //[ HTTP/1.1", "GET * HTTP/1.1"),
        *("GET /{token}/../../etc/passwd HTTP/1.1", "GET /{token}/%2e%2e%2f HTTP/1.1", "GET /\x00 HTTP/1.1"),
        *("GET / HTTP/9.9", "GET / HTTP/x", "GET  /{token}/  HTTP/1.1 x", "get /{token}/ HTTP/1.1", "\x1b[2J", ":"),
        *("CONNECT a:1 HTTP/1.1", "GET /" + "a" * 9000 + " HTTP/1.1"),
    ],
)
def test_what_is_no_request_for_the_page_is_not_found(server: PageServer, line: str, capfd):
    request = line.format(token=server.token).encode("latin-1") + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answer = raw(server, request)
    assert re.match(rb"HTTP/1.1 (404|501) ", answer) and answer.endswith(b"\r\n\r\n")
    assert capfd.readouterr() == ("", "")
    assert Answer(server, f"/{server.token}/").status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE", "PROPFIND", "X"])
@pytest.mark.parametrize("host", [b"Host: evil.example\r\n", b"", b"Host: localhost\r\nHost: evil.example\r\n"])
def test_every_method_asks_for_the_host(server: PageServer, method: str, host: bytes):
    request = f"{method} /{server.token}/ HTTP/1.1\r\nConnection: close\r\n".encode() + host + b"\r\n"
    assert raw(server, request).startswith(b"HTTP/1.1 404 ")


def test_http_0_9_gets_nothing(server: PageServer):
    assert raw(server, f"GET /{server.token}/\r\nHost: localhost\r\n\r\n".encode()) == b""


@pytest.mark.parametrize("more", [b"Content-Length: 5", b"Content-Length: -1", b"Transfer-Encoding: chunked"])
def test_a_body_is_no_further_request(server: PageServer, more: bytes):
    request = b"GET /%s/ HTTP/1.1\r\nHost: localhost\r\n" % server.token.encode()
    assert raw(server, request + more + b"\r\n\r\n" + request + b"\r\n").count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize("value", ["bytes=0-1", "bytes=-1", "bytes=a-", "bytes=5-2,,,", "\x7f", "x" * 5000])
def test_a_range_is_not_looked_at(server: PageServer, value: str):
    head = f"GET /{server.token}/scene.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    answer = raw(server, f"{head}Range: {value}\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(server.description)


def test_requests_in_one_piece_are_answered_in_turn(server: PageServer):
    one = f"GET /{server.token}/scene.json HTTP/1.1\r\nHost: localhost\r\n".encode()
    assert raw(server, one + b"\r\n" + one + b"Connection: close\r\n\r\n").count(server.description) == 2


def test_a_slow_or_endless_request_is_given_up(server: PageServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(page_server, "REQUEST_S", 0.5)
    began = time.monotonic()
    address = ("127.0.0.1", server.server_port)
    with socket.create_connection(address, timeout=20) as connection, contextlib.suppress(ConnectionError):
        while time.monotonic() - began < 15:
            connection.sendall(b"G")
            time.sleep(0.1)
    assert time.monotonic() - began < 5
    assert raw(server, b"GET /" + b"a" * (1 << 20)) == b""


def test_only_so_many_connections_are_held(payload: Payload, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(page_server, "CONNECTIONS", 3)
    monkeypatch.setattr(page_server, "REQUEST_S", 1.0)
    with PageServer(payload) as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        before = threading.active_count()
        held = [socket.create_connection(("127.0.0.1", running.server_port)) for _ in range(12)]
        time.sleep(0.5)
        assert threading.active_count() - before <= 3
        time.sleep(1.0)
        assert Answer(running, f"/{running.token}/").status == 200
        for one in held:
            one.close()
        running.shutdown()
