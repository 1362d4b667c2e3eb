"""What stands before the studio: the page itself at once, and all else as soon as torch and the models' code are there.

Importing them takes longer than all that follows, so it happens in a thread while the browser opens.
"""

import asyncio
import mimetypes
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.resources import files
from pathlib import Path

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from glassformer.shipped import cards

STATIC = Path(str(files("glassformer") / "studio" / "static"))
SHARED = Path(str(files("glassformer") / "show" / "assets"))


class Files:
    """The files of a folder, read once: they are small, and handed out without waiting for a thread or for the disk."""

    def __init__(self, folder: Path) -> None:
        paths = [path for path in folder.rglob("*") if path.is_file()]
        self.held = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One of them; a folder is its index.html."""
        name = scope["path"].removeprefix(scope.get("root_path", "")).lstrip("/") or "index.html"
        content = self.held.get(name) if scope["method"] in ("GET", "HEAD") else None
        if content is None:
            await PlainTextResponse(f"the studio has no file {name}", 404)(scope, receive, send)
            return
        kind = mimetypes.guess_type(name)[0] or "text/plain"
        headers = {"cache-control": "no-cache"}  # after an update the page is the new one
        await Response(content, media_type=kind, headers=headers)(scope, receive, send)


def page() -> list[Mount]:
    """The files of the page, and those that it shares with the pages that stand alone."""
    return [Mount("/shared", Files(SHARED), name="shared"), Mount("/", Files(STATIC), name="page")]


def listed(others: tuple[str, ...] = ()) -> list[dict[str, str]]:
    """The models that ship, each with a sentence about it, and others by name alone."""
    known = cards()
    beside = {name: "" for name in others if name not in known}
    return [{"name": name, "says": says} for name, says in {**known, **beside}.items()]


class Front:
    """Serves the page and the list of models from the first moment; who asks for more waits until `make` is done."""

    def __init__(self, make: Callable[[], Starlette]) -> None:
        self.make = make
        self.frame = Starlette(routes=page(), lifespan=self._lasting)
        self.made: asyncio.Task[Starlette] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the beginning and the end of this server."""
        if scope["type"] == "lifespan" or not scope["path"].startswith("/api/"):
            await self.frame(scope, receive, send)
            return
        assert self.made is not None, "asked before the server began"
        if scope["path"] == "/api/models" and not self.made.done():
            await JSONResponse(listed())(scope, receive, send)
            return
        studio = await asyncio.shield(self.made)  # someone who goes away ends his own waiting alone
        await studio(scope, receive, send)

    @asynccontextmanager
    async def _lasting(self, frame: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            self.made = asyncio.create_task(self._begin(stack))
            yield
            await self.made

    async def _begin(self, stack: AsyncExitStack) -> Starlette:
        studio = await asyncio.to_thread(self.make)
        await stack.enter_async_context(studio.router.lifespan_context(studio))
        return studio
