"""Only who has the address sees the scan, and nothing else can be had from the server."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Iterator

import pytest

from tests.vol3d.view.page.scenes import organ, room
from vol3d.errors import UsageError
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
