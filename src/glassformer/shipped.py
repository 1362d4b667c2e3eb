"""The models and recipes inside the package, found without loading anything."""

from importlib.resources import files
from pathlib import Path


def shipped() -> dict[str, Path]:
    """Name -> checkpoint folder."""
    place = Path(str(files("glassformer") / "models"))
    return {folder.name: folder for folder in sorted(place.glob("*")) if (folder / "config.json").is_file()}


def cards() -> dict[str, str]:
    """Name -> what its card says first."""
    return {name: says(folder) for name, folder in shipped().items()}


def shipped_recipes() -> dict[str, Path]:
    """Task -> a recipe for a file of its examples and two processor cores."""
    place = Path(str(files("glassformer") / "recipes"))
    return {file.stem: file for file in sorted(place.glob("*.toml"))}


def says(folder: Path) -> str:
    """The first sentence of a model's card; nothing where it has none."""
    card = folder / "README.md"
    return first_sentence(card.read_text("utf-8")) if card.is_file() else ""


def first_sentence(card: str) -> str:
    """The first line of prose: below the front matter between its two `---` lines, and below the headings."""
    body = card.split("\n---\n", 1)[1] if card.startswith("---\n") else card
    lines = (line.strip() for line in body.splitlines())
    prose = next((line for line in lines if line and not line.startswith(("#", "<", "!"))), "")
    return prose.split(". ")[0].rstrip(".")
