"""`glassformer studio`: the transformer in a browser."""

from typing import TYPE_CHECKING

import click

from glassformer.errors import InputError

if TYPE_CHECKING:
    from starlette.applications import Starlette

NEEDED = "the studio needs more than glassformer brings by itself; run pip install 'glassformer[studio]'"


@click.command
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen at; one that others can reach asks them for a token.",
)
@click.option(
    "--port", default=8420, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one."
)
@click.option("--no-browser", "quiet", is_flag=True, help="Print the address and open nothing.")
def studio(host: str, port: int, quiet: bool) -> None:
    """Open the transformer in a browser.

    Choose a model and a text there, and look at every number of the run: a guided walk, a map of all steps, attention.
    The page needs no network; it is served by this machine to itself.
    """
    try:
        from glassformer.studio.server import bound, serve
    except ImportError as error:
        raise InputError(NEEDED) from error
    listener, place = bound(host, port)
    click.echo(f"the studio is open at {place.address} (Ctrl+C ends it)")
    serve(listener, place, lambda: whole(own_files=place.token is None), browser=not quiet)


def whole(*, own_files: bool) -> "Starlette":
    """The studio itself, with torch and all models' code."""
    from glassformer.studio.app import create_app

    return create_app(own_files=own_files)
