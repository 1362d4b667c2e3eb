"""Which of these kinds a folder is, if it is one."""

from pathlib import Path

from glassformer.foreign import ctranslate2, llama2_c
from glassformer.foreign.checkpoint import Foreign

KINDS = (ctranslate2, llama2_c)


def read(folder: Path) -> Foreign | None:
    """The model of a folder that another program wrote, or None."""
    kind = next((kind for kind in KINDS if kind.is_one(folder)), None)
    return None if kind is None else kind.read(folder)
