"""`glassformer models`: what ships, each with its card's first sentence."""

import click

from glassformer.shipped import shipped


def first_sentence(card: str) -> str:
    """The first line of prose: below the front matter between its two `---` lines, and below the headings."""
    body = card.split("\n---\n", 1)[1] if card.startswith("---\n") else card
    lines = (line.strip() for line in body.splitlines())
    prose = next((line for line in lines if line and not line.startswith(("#", "<", "!"))), "")
    return prose.split(". ")[0].rstrip(".")


@click.command
def models() -> None:
    """List the models that ship."""
    folders = shipped()
    width = max(map(len, folders), default=0)
    for name, folder in folders.items():
        card = folder / "README.md"
        line = first_sentence(card.read_text("utf-8")) if card.is_file() else ""
        click.echo(f"{name:<{width}}  {line}".rstrip())
