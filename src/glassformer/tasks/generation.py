"""Generation: the beginning of a text in, the text that goes on out."""

from collections.abc import Sequence
from dataclasses import dataclass

from glassformer.decoding.options import Decoding
from glassformer.decoding.search import search
from glassformer.model import Transformer
from glassformer.tasks.reading import batch_of, encoded, one_run
from glassformer.tasks.task import Run, Text
from glassformer.text.tokenizer import Tokenizer

DECODING = Decoding(max_new_tokens=40)


@dataclass(frozen=True, kw_only=True)
class Continuation:
    """The text with what the model wrote after it."""

    text: str
    new: str
    log_probabilities: tuple[float, ...]  # of each new token

    def __str__(self) -> str:
        return self.text


class Generation:
    """Radford et al. 2019."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.ends = () if tokenizer.eos_id is None else (tokenizer.eos_id,)

    def answer(
        self, model: Transformer, texts: Sequence[Text], decoding: Decoding = DECODING
    ) -> list[Continuation]:
        """Each text gone on with."""
        encodings = encoded(self.tokenizer, texts, model.config.max_positions)
        found = []
        for text, encoding in zip(texts, encodings, strict=True):
            best = search(model, batch_of(model, self.tokenizer, [encoding]), decoding, ends=self.ends)[0][0]
            new = self.tokenizer.decode(best.ids)
            found.append(Continuation(text=f"{text}{new}", new=new, log_probabilities=best.log_probabilities))
        return found

    def check(self, model: Transformer, texts: Sequence[Text], **options: object) -> None:
        """Refuse what `answer` would, before anything is computed."""
        encoded(self.tokenizer, texts, model.config.max_positions)

    def run(self, model: Transformer, text: Text) -> Run:
        """The run that reads this text: at each position, what may come next."""
        return one_run(model, self.tokenizer, text, str(self.answer(model, [text])[0]))
