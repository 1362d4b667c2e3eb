"""`glassformer models`: what ships, each with its card's first sentence."""

from importlib.resources import files
from importlib.resources.abc import Traversable

import click


def first_sentence(card: str) -> str:
    """The first line of prose: below the front matter between its two `---` lines, and below the headings."""
    body = card.split("\n---\n", 1)[1] if card.startswith("---\n") else card
    lines = (line.strip() for line in body.splitlines())
    prose = next((line for line in lines if line and not line.startswith(("#", "<", "!"))), "")
    return prose.split(". ")[0].rstrip(".")


def shipped() -> list[Traversable]:
    """The folders of the models inside the package."""
    folder = files("glassformer") / "models"
    inside = folder.iterdir() if folder.is_dir() else iter(())
    return sorted(
        (entry for entry in inside if (entry / "config.json").is_file()), key=lambda entry: entry.name
    )


@click.command
def models() -> None:
    """List the models that ship."""
    folders = shipped()
    width = max((len(folder.name) for folder in folders), default=0)
    for folder in folders:
        card = folder / "README.md"
        line = first_sentence(card.read_text("utf-8")) if card.is_file() else ""
        click.echo(f"{folder.name:<{width}}  {line}".rstrip())
