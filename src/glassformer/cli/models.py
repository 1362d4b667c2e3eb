"""`glassformer models`: what ships, each with its card's first sentence."""

import click

from glassformer.shipped import cards


@click.command
def models() -> None:
    """List the models that ship."""
    known = cards()
    width = max(map(len, known), default=0)
    for name, says in known.items():
        click.echo(f"{name:<{width}}  {says}".rstrip())
