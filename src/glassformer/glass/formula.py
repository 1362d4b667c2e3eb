"""A row of the table of formulas: how one kind of step is made from its inputs."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Array = NDArray[Any]
Constants = Mapping[str, Any]


@dataclass(frozen=True)
class Formula:
    """How one kind of step is made from its inputs.

    `text` and `latex` may hold `<name>`, replaced by the step's constant of that name, and `{{...}}`, a part that is
    there only when all of the `full` inputs are (a bias, a mask, segments).
    """

    symbol: str
    text: str
    latex: str
    compute: Callable[..., Array]
    full: int = 0
    says: str = ""  # the idea, in one plain sentence

    def written(self, inputs: int, constants: Constants) -> str:
        """The formula as one line of plain text."""
        return _fill(self.text, inputs >= self.full, constants)

    def typeset(self, inputs: int, constants: Constants) -> str:
        """The formula in LaTeX."""
        return _fill(self.latex, inputs >= self.full, constants)


def _fill(template: str, whole: bool, constants: Constants) -> str:
    chosen = re.sub(r"\{\{(.*?)\}\}", r"\1" if whole else "", template)
    return re.sub(r"<(\w+)>", lambda m: _plain(constants[m[1]]) if m[1] in constants else m[0], chosen)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
