"""A transformer that can be trained, run and read, number by number.

Importing costs nothing: each name below is fetched from its own file when it is first asked for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from glassformer.config import TransformerConfig
    from glassformer.errors import InputError
    from glassformer.glass.trace import Trace
    from glassformer.model import Transformer
    from glassformer.tasks.model import load
    from glassformer.text.tokenizer import Tokenizer

__version__ = "0.1.0"

__all__ = [
    "InputError",
    "Tokenizer",
    "Trace",
    "Transformer",
    "TransformerConfig",
    "__version__",
    "load",
]

_HOMES = {
    "InputError": "glassformer.errors",
    "Tokenizer": "glassformer.text.tokenizer",
    "Trace": "glassformer.glass.trace",
    "Transformer": "glassformer.model",
    "TransformerConfig": "glassformer.config",
    "load": "glassformer.tasks.model",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
