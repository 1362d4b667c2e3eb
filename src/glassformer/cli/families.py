"""`glassformer families`: the published families that are read, and how far from the reference each was found."""

import json
from importlib.resources import files
from typing import Any

import click

LEAST = 1e-17  # below this two are equal


@click.command
@click.option("--classes", is_flag=True, help="Also name the published classes that were compared.")
@click.option("--json", "as_json", is_flag=True, help="Print what was verified as one JSON object.")
def families(classes: bool, as_json: bool) -> None:
    """List the families that are read, and how each was verified."""
    text = (files("glassformer.families") / "verified.json").read_text("utf-8")
    if as_json:
        click.echo(text, nl=False)
        return
    verified = json.loads(text)
    found: dict[str, dict[str, Any]] = verified["families"]
    width = max(map(len, found))
    click.echo(f"{'':<{width}}  classes  ours-theirs  saved-again  formulas  tokens  what it is")
    for name, each in found.items():
        figures = "  ".join(
            (
                f"{len(each['classes']):>7}",
                f"{shown(each['loaded']):>11}",
                f"{shown(each['reopened']):>11}",
                f"{shown(each['formulas']):>8}",
                f"{each['tokens'] or '':>6}",
            )
        )
        click.echo(f"{name:<{width}}  {figures}  {each['source']}")
        if classes:
            click.echo("\n".join(f"{'':<{width}}    {one}" for one in each["classes"]))
    click.echo(f"\n{verified['how']}")


def shown(difference: float) -> str:
    """A difference as people write it."""
    return "0" if difference < LEAST else f"{difference:.0e}"
