"""An answer as it comes: every token, its probability, and the likeliest others that were not chosen."""

import math
from collections.abc import Iterator
from typing import Any

from glassformer.decoding.pieces import Pieces, alone
from glassformer.errors import InputError
from glassformer.studio.kept import OTHERS
from glassformer.studio.runs import Wish
from glassformer.studio.shelf import Opened
from glassformer.tasks.generation import Generation
from glassformer.tasks.rewriting import Rewriting


def tokens(opened: Opened, wish: Wish) -> Iterator[dict[str, Any]]:
    """Plain values, one mapping a token; the pieces of text put together are the answer."""
    task, model = opened.model.task, opened.model.transformer
    if not isinstance(task, Generation | Rewriting):
        raise InputError(f"{opened.name} writes no text; run it instead")
    decoding = alone(task.decoding.streamed.changed(**wish.options_for(opened)))
    tokenizer = opened.model.tokenizer
    before = task.prompts([wish.text], model.config)[0] if isinstance(task, Generation) else ()
    pieces = Pieces(tokenizer, before, decoding.stop_strings)
    with opened.lock, opened.model.edit(*wish.edits):
        for token in task.stream(model, wish.text, decoding, alternatives=OTHERS):
            yield {
                "position": token.position,
                "id": token.id,
                "token": tokenizer.token(token.id),
                "piece": pieces.add(token.id),
                "probability": math.exp(token.log_probability),
                "alternatives": [
                    {"id": number, "token": tokenizer.token(number), "probability": math.exp(value)}
                    for number, value in token.alternatives
                ],
            }
    rest = pieces.rest()
    if rest:
        yield {"piece": rest}
