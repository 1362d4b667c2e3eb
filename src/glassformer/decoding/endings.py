"""When an answer is over: a token that closes it, or a text that it has come to hold."""

from collections.abc import Sequence

from glassformer.decoding.pieces import cut, followed
from glassformer.text.tokenizer import Tokenizer


class Endings:
    """What closes the answers of a search.

    `tokens` close wherever they are chosen. `texts` close once an answer holds one of them; `before` are the
    tokens that each sentence's answers follow, for a text may need them to be spelt.
    """

    def __init__(
        self,
        tokens: frozenset[int],
        texts: tuple[str, ...] = (),
        tokenizer: Tokenizer | None = None,
        before: Sequence[Sequence[int]] = (),
    ) -> None:
        self.tokens, self.texts, self.tokenizer, self.before = tokens, texts, tokenizer, before

    def stopped(self, rows: Sequence[Sequence[int]], sentences: Sequence[int]) -> list[bool]:
        """Which of these rows of new tokens hold a closing text; `sentences` says whose they are."""
        if self.tokenizer is None:
            return [False] * len(rows)
        spelt = (
            followed(self.tokenizer, self.before[sentence], row)
            for row, sentence in zip(rows, sentences, strict=True)
        )
        return [cut(text, self.texts) != text for text in spelt]
