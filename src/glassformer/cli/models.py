"""`glassformer models`: what ships, each with its card's first sentence."""

import click

from glassformer.shipped import says, shipped


@click.command
def models() -> None:
    """List the models that ship."""
    folders = shipped()
    width = max(map(len, folders), default=0)
    for name, folder in folders.items():
        click.echo(f"{name:<{width}}  {says(folder)}".rstrip())
