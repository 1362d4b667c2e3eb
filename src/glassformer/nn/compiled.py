"""Work handed to torch's compiler: on a GPU many small steps become few, and memory is read less often.

Ansel et al. 2024.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch

BACKEND = "inductor"


@cache
def compiled(work: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, translated when it is first called, and again for shapes that it has not met."""
    return torch.compile(work, backend=BACKEND)
