"""The studio's server: what the page may ask for, each answer made of numbers that the model computed."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from glassformer import __version__
from glassformer.errors import InputError
from glassformer.shipped import shipped_recipes
from glassformer.studio.front import page
from glassformer.studio.runs import Runs, Wish
from glassformer.studio.searches import Searched
from glassformer.studio.shelf import Opened, Shelf
from glassformer.studio.streams import tokens
from glassformer.studio.takes import RESIDUAL, TAKES, At, taken
from glassformer.studio.texts import Name, Words
from glassformer.studio.touch import EditAsked, edits_of
from glassformer.studio.trainings import Trainings
from glassformer.studio.understand import OVER_TOKENS, attributed, differing, layered
from glassformer.studio.uploads import received
from glassformer.studio.values import numbers
from glassformer.studio.words import row_found, row_names
from glassformer.training.roles import ROLES


class Asked(BaseModel):
    """A text for a model."""

    model_config = ConfigDict(extra="forbid")

    model: Name
    task: Name | None = None
    text: Words
    context: Words | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    edits: list[EditAsked] = Field(default_factory=list, max_length=64)
    first: bool = False  # of a text that goes on, only the run that makes its first token
    target: Words | None = None  # the answer that is wanted: a step of training on it
    learning_rate: float | None = Field(default=None, gt=0)

    def wish(self, opened: Opened) -> Wish:
        """What is wanted of the model."""
        return Wish(
            text=self.text,
            context=self.context,
            options=self.options,
            edits=edits_of(self.edits, opened),
            first=self.first,
            target=self.target,
            learning_rate=self.learning_rate,
        )


class TrainingAsked(BaseModel):
    """A recipe, the files for it, and a sentence to look at meanwhile."""

    model_config = ConfigDict(extra="forbid")

    recipe: Words
    data: list[Name] = Field(min_length=1)
    probe: Words | None = None
    target: Words | None = None  # what is wanted of the probe
    held: bool = False  # before the first step


def create_app(*, own_files: bool = True) -> FastAPI:
    """The application; whoever serves it puts a `Guard` before it.

    `own_files`: a training may read this machine's files by their path; else only those that were sent.
    """
    folder = TemporaryDirectory(prefix="glassformer-studio-")
    shelf, runs = Shelf(), Runs()
    trainings = Trainings(lambda: Path(folder.name))

    @asynccontextmanager
    async def lasting(app: FastAPI) -> AsyncIterator[None]:
        yield
        trainings.close()
        folder.cleanup()

    app = FastAPI(
        title="glassformer studio",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=lasting,
    )

    @app.exception_handler(InputError)
    def refused(request: Request, error: InputError) -> JSONResponse:
        return JSONResponse({"error": " ".join(str(error).split())}, status_code=400)

    @app.exception_handler(RequestValidationError)
    def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        sentence = first["msg"].removeprefix("Value error, ")
        return JSONResponse({"error": f"{where}: {sentence}" if where else sentence}, status_code=400)

    @app.exception_handler(Exception)
    def failed(request: Request, error: Exception) -> JSONResponse:
        """Something that nobody foresaw: the page says so and stays as it is; the server's own log has the rest."""
        sentence = f"the studio failed at this ({type(error).__name__}); what happened is printed where it was started"
        return JSONResponse({"error": sentence}, status_code=500)

    @app.get("/api/models")
    def models() -> list[dict[str, Any]]:
        return shelf.listed()

    @app.get("/api/models/{name:path}")
    def model(name: str, task: str | None = None) -> dict[str, Any]:
        return shelf.open(name, task).described()

    @app.post("/api/runs")
    def make(asked: Asked) -> dict[str, Any]:
        opened = shelf.open(asked.model, asked.task)
        return runs.make(opened, asked.wish(opened)).manifest()

    @app.get("/api/runs/{number}")
    def manifest(number: int) -> dict[str, Any]:
        return runs.get(number).manifest()

    @app.get("/api/runs/{number}/beginning/{place}")
    def beginning(number: int, place: int) -> dict[str, Any]:
        return runs.get(number).beginning(place)

    @app.get("/api/runs/{number}/ending")
    def ending(number: int) -> dict[str, Any]:
        return runs.get(number).ending()

    @app.get("/api/runs/{number}/values/{name}")
    def values(number: int, name: str, part: str = "") -> Response:
        kept = runs.get(number)
        found = numbers(kept.value(name), part)
        headers = found.headers(kept.peak(name))
        return Response(found.data, media_type="application/octet-stream", headers=headers)

    @app.get("/api/runs/{number}/words/{name}")
    def words(number: int, name: str, start: Annotated[int, Query(ge=0)] = 0) -> list[str]:
        return row_names(runs.get(number).opened, name, start)

    @app.get("/api/runs/{number}/word/{name}")
    def word(number: int, name: str, word: str) -> dict[str, Any]:
        return row_found(runs.get(number).opened, name, word)

    @app.get("/api/runs/{number}/worked/{name}")
    def worked(number: int, name: str, row: int, column: int, text: int = 0, head: int = 0) -> dict[str, str]:
        return {"worked": runs.get(number).worked(name, row, column, text=text, head=head)}

    @app.get("/api/runs/{number}/equation/{name}")
    def equation(number: int, name: str, text: int = 0, head: int = 0) -> list[dict[str, Any]]:
        return runs.get(number).equation(name, text=text, head=head)

    @app.get("/api/runs/{number}/likeliest/{name}")
    def likeliest(number: int, name: str, text: int = 0, top: int = 8) -> list[list[dict[str, Any]]]:
        return runs.get(number).likeliest(name, text=text, top=top)

    @app.get("/api/runs/{number}/beams")
    def beams(
        number: int, beams: Annotated[int, Query(ge=2, le=16)] = 4, search: Searched = "beams"
    ) -> dict[str, Any]:
        return runs.get(number).beams(beams, search)

    @app.get("/api/methods")
    def methods() -> list[str]:
        return list(OVER_TOKENS)

    @app.get("/api/runs/{number}/attribution")
    def attribution(
        number: int,
        method: str = OVER_TOKENS[0],
        target: str | None = None,
        against: str | None = None,
        position: int | None = None,
    ) -> dict[str, Any]:
        return attributed(runs.get(number), method, target=target, against=against, position=position)

    @app.get("/api/runs/{number}/lens")
    def each_layer(number: int) -> dict[str, Any]:
        return layered(runs.get(number))

    @app.get("/api/runs/{number}/differences/{other}")
    def differences(number: int, other: int) -> dict[str, Any]:
        return differing(runs.get(number), runs.get(other))

    @app.get("/api/takes")
    def takes() -> list[dict[str, str]]:
        return [{"kind": kind, "title": take.title} for kind, take in TAKES.items()]

    @app.get("/api/runs/{number}/take/{kind}")
    def take(number: int, kind: str, step: str = RESIDUAL.step, head: int | None = None) -> Response:
        name, media_type, content = taken(runs.get(number), kind, At(step, head))
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type=media_type, headers=headers)

    @app.get("/api/runs/{number}/verified")
    def verified(number: int) -> dict[str, Any]:
        found = runs.get(number).trace.verify()
        worst = found.worst
        return {
            "said": str(found),
            "error": found.max_error,
            "relative_error": found.max_relative_error,
            "worst": None if worst is None else worst.name,
        }

    @app.post("/api/stream")
    def stream(asked: Asked) -> StreamingResponse:
        opened = shelf.open(asked.model, asked.task)
        wish = asked.wish(opened)
        return StreamingResponse(as_events(lambda: tokens(opened, wish)), media_type="text/event-stream")

    @app.get("/api/recipes")
    def recipes() -> dict[str, str]:
        return {task: file.read_text("utf-8") for task, file in shipped_recipes().items()}

    @app.put("/api/files/{name}")
    async def file(name: str, request: Request) -> dict[str, str]:
        await received(name, request.stream(), Path(folder.name))
        return {"file": name}

    @app.post("/api/trainings")
    def train(asked: TrainingAsked) -> dict[str, Any]:
        data = [located(each, Path(folder.name), own_files) for each in asked.data]
        return trainings.start(asked.recipe, data, asked.probe, asked.target, held=asked.held).described()

    @app.get("/api/trainings")
    def every_training() -> list[dict[str, Any]]:
        return [each.described() for each in trainings.held.values()]

    @app.get("/api/trainings/{number}")
    def training(number: int) -> dict[str, Any]:
        return trainings.get(number).described()

    @app.get("/api/trainings/{number}/events")
    def events(number: int, start: int = 0) -> StreamingResponse:
        followed = trainings.get(number)
        return StreamingResponse(as_events(lambda: followed.followed(start)), media_type="text/event-stream")

    @app.post("/api/trainings/{number}/moment")
    def moment(number: int) -> dict[str, Any]:
        opened = trainings.get(number).moment()
        shelf.put(opened)
        return opened.described()

    @app.post("/api/trainings/{number}/{wanted}")
    def ask(number: int, wanted: Literal["run", "step", "hold", "stop"]) -> dict[str, Any]:
        followed = trainings.get(number)
        followed.ask(wanted)
        return followed.described()

    @app.get("/api/{rest:path}")
    def nothing(rest: str) -> JSONResponse:
        return JSONResponse({"error": f"the studio has nothing called {rest}"}, status_code=404)

    app.router.routes.extend(page())
    return app


def located(given: str, folder: Path, own_files: bool) -> str:
    """`train=FILE` or a folder, as a training reads it: files that were sent stand in the studio's folder."""
    role, equals, name = given.partition("=") if given.partition("=")[0] in ROLES else ("", "", given)
    sent = folder / name
    if sent.parent == folder and sent.is_file():
        return f"{role}{equals}{sent}"
    if not own_files:
        raise InputError(f"{name} was not sent; choose the file on the page, for this studio is open to others")
    return given


def as_events(make: Callable[[], Iterator[dict[str, Any]]]) -> Iterator[str]:
    """Server-sent events, one for each thing that comes; what goes wrong on the way is an event too."""
    try:
        for each in make():
            yield f"data: {json.dumps(each, ensure_ascii=False)}\n\n"
        yield "event: end\ndata: {}\n\n"
    except InputError as error:
        yield f"event: refused\ndata: {json.dumps({'error': str(error)}, ensure_ascii=False)}\n\n"
