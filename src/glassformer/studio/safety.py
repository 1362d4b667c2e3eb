"""Who may ask: this machine's own browser and, where the studio is open to others, those who bring its token.

A page of another site can make a browser send requests to a server on this machine (cross-site request forgery), and by
a name of its own that it turns to this machine even read the answers (DNS rebinding). So the names under which the
studio is asked, and the pages that ask, are checked.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")
COOKIE = "glassformer_token"
MOST = 8 * 2**20  # bytes of what is asked: a text and its changes; files are counted where they are received
HEADERS = (
    (b"content-security-policy", b"default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
     b"frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)  # fmt: skip


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return host == "localhost" or ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def new_token() -> str:
    """A word that nobody guesses."""
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Guard:
    """Lets a request through, or answers it with one sentence.

    `token` is asked for where others can reach the studio: once in the address (`?token=`), afterwards in a cookie.
    """

    app: App
    port: int
    host: str = "127.0.0.1"
    token: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self.refused(headers, scope)
        if refused is not None:
            await said(send, *refused)
            return
        await self.app(scope, receive, self.with_headers(scope, send))

    def refused(self, headers: dict[str, str], scope: Scope) -> tuple[int, str] | None:
        """The status and the sentence of a request that is not let through."""
        host = headers.get("host", "")
        if self.token is None and host not in self.hosts():
            return 421, f"the studio is not called {host!r}; open http://127.0.0.1:{self.port}"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, f"a page of {origin} asked; only the studio's own page may"
        if self.token is not None and not self.knows(headers, scope):
            return 401, "this studio is open to others and asks for its token; open the address that it printed"
        return too_much(headers) if scope["method"] == "POST" else None

    def hosts(self) -> set[str]:
        """The names under which this machine's own browser asks."""
        names = (*OWN_NAMES, self.host)
        return {f"{name}:{self.port}" for name in names} | (set(names) if self.port == 80 else set())

    def knows(self, headers: dict[str, str], scope: Scope) -> bool:
        """Whether the request brings the token."""
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        given = cookie.value if cookie is not None else self.in_address(scope)
        return given is not None and hmac.compare_digest(given, self.token or "")

    @staticmethod
    def in_address(scope: Scope) -> str | None:
        """The token of `?token=`."""
        for part in scope.get("query_string", b"").decode("latin-1").split("&"):
            name, _, value = part.partition("=")
            if name == "token":
                return str(value)
        return None

    def with_headers(self, scope: Scope, send: Send) -> Send:
        """The answer with what browsers are told about it, and once with the cookie."""
        more = list(HEADERS)
        if self.token is not None and self.in_address(scope) is not None:
            cookie = f"{COOKIE}={self.token}; HttpOnly; SameSite=Strict; Path=/"
            more.append((b"set-cookie", cookie.encode("latin-1")))

        async def sending(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        return sending


def too_much(headers: dict[str, str]) -> tuple[int, str] | None:
    """What is said of a request that is too long, or that does not say how long it is."""
    length = headers.get("content-length", "")
    if not length.isdecimal():
        return 411, "the request does not say how long it is; send its content-length"
    if int(length) > MOST:
        return 413, f"the request has more than {MOST // 2**20} MiB; give a shorter text"
    return None


async def said(send: Send, status: int, sentence: str) -> None:
    """One sentence as plain text."""
    body = sentence.encode("utf-8")
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*headers, *HEADERS]})
    await send({"type": "http.response.body", "body": body})
