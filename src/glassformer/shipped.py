"""The models inside the package, found without loading anything."""

from importlib.resources import files
from pathlib import Path


def shipped() -> dict[str, Path]:
    """Name -> checkpoint folder."""
    place = Path(str(files("glassformer") / "models"))
    return {folder.name: folder for folder in sorted(place.glob("*")) if (folder / "config.json").is_file()}
