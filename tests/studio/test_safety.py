"""Only this machine's own page may ask; where others can reach the studio, only with its token."""

from collections.abc import Mapping

import pytest
from fastapi.testclient import TestClient

from glassformer.errors import InputError
from glassformer.studio.app import create_app
from glassformer.studio.safety import COOKIE, Guard, is_loopback
from glassformer.studio.server import bound

OWN = "127.0.0.1:8420"


@pytest.fixture(scope="module")
def guarded() -> TestClient:
    return TestClient(Guard(create_app(), 8420), base_url=f"http://{OWN}")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:8420"}, 200),
        ({"host": "[::1]:8420"}, 200),
        ({"origin": f"http://{OWN}"}, 200),
        ({"host": "evil.example"}, 421),
        ({"host": "evil.example:8420"}, 421),
        ({"host": "127.0.0.1:9999"}, 421),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://127.0.0.1:3000"}, 403),
    ],
)
def test_who_may_ask(guarded: TestClient, headers: Mapping[str, str], status: int) -> None:
    response = guarded.get("/api/models", headers=headers)
    assert response.status_code == status
    assert "default-src 'self'" in response.headers["content-security-policy"]
    assert response.headers["x-content-type-options"] == "nosniff"
    if status != 200:
        assert len(response.text.split()) > 5


def test_a_token_is_asked_for_and_then_remembered() -> None:
    client = TestClient(Guard(create_app(), 8420, "0.0.0.0", "secret"), base_url="http://192.0.2.7:8420")
    assert client.get("/api/models").status_code == 401
    assert client.get("/api/models?token=wrong").status_code == 401
    first = client.get("/?token=secret")
    assert first.status_code == 200
    assert "HttpOnly" in first.headers["set-cookie"]
    assert client.cookies[COOKIE] == "secret"
    assert client.get("/api/models").status_code == 200
    assert client.get("/api/models", headers={"origin": "http://evil.example"}).status_code == 403


@pytest.mark.parametrize(
    ("host", "own"), [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("a.b", False)]
)
def test_what_only_this_machine_reaches(host: str, own: bool) -> None:
    assert is_loopback(host) is own


def test_a_port_in_use_is_said_in_a_sentence() -> None:
    listener, place = bound("127.0.0.1", 0)
    with listener:
        listener.listen()
        assert place.address == f"http://127.0.0.1:{place.port}/"
        with pytest.raises(InputError, match="give another --port"):
            bound("127.0.0.1", place.port)
    listener, place = bound("0.0.0.0", 0)
    with listener:
        assert place.token is not None
        assert place.token in place.address
