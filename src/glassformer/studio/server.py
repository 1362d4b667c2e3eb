"""Serving the studio: an address, a guard before it, a browser that opens."""

import socket
import threading
import webbrowser
from collections.abc import Callable
from typing import NamedTuple

import uvicorn
from starlette.applications import Starlette

from glassformer.errors import InputError
from glassformer.studio.front import Front
from glassformer.studio.safety import Guard, is_loopback, new_token


class Place(NamedTuple):
    """Where the studio is found."""

    host: str
    port: int
    token: str | None

    @property
    def address(self) -> str:
        """What to open."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/" + (f"?token={self.token}" if self.token else "")


def bound(host: str, port: int) -> tuple[socket.socket, Place]:
    """A socket that listens; beyond this machine a token is asked for. Port 0 is any that is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # who comes before the server does is kept waiting, not turned away
    except OSError as error:
        listener.close()
        raise InputError(
            f"the studio cannot listen at {host}, port {port}: {(error.strerror or str(error)).lower()}; "
            "give another --port"
        ) from error
    return listener, Place(host, listener.getsockname()[1], None if is_loopback(host) else new_token())


def serve(
    listener: socket.socket, place: Place, make: Callable[[], Starlette], *, browser: bool = True
) -> None:
    """Answer until interrupted; `make` builds the studio itself meanwhile."""
    app = Guard(Front(make), place.port, place.host, place.token)
    if browser:
        threading.Thread(target=webbrowser.open, args=[place.address], daemon=True).start()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=3))
    server.run(sockets=[listener])
