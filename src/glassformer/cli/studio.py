"""`glassformer studio`: the transformer in a browser."""

import click

from glassformer.errors import InputError

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
    serve(listener, place, browser=not quiet)
