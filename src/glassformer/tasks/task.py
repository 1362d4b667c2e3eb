"""What every task can do with a model: answer texts, and run one so that every number of the answer is seen."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from glassformer.data.batch import Batch
from glassformer.glass.conclusion.conclusion import Conclusion
from glassformer.model import Transformer

Text = str | tuple[str, str]  # a text, or a pair such as a question and its context


@dataclass(frozen=True)
class Run:
    """One run of the model in which a whole answer is made: what goes in, its tokens, the answer in words."""

    batch: Batch  # what the model reads
    tokens: dict[str, list[list[str]]]  # "encoder", "decoder": the tokens of each text
    answer: str
    conclusion: Conclusion | None = None  # how the answer follows from the run's last step
    begun: int | None = None  # of an answer that is written: how many of its tokens were there before the first

    @property
    def segments(self) -> dict[str, list[list[int]]]:
        """Which text each token is of, where the model tells two apart."""
        found, side = self.batch.segments, "decoder" if self.batch.source is None else "encoder"
        return {} if found is None else {side: found.tolist()}


class Task(Protocol):
    """Text in, answer out."""

    def answer(self, model: Transformer, texts: Sequence[Text]) -> Sequence[Any]:
        """One answer for each text, in order."""

    def check(self, model: Transformer, texts: Sequence[Text], **options: Any) -> None:
        """Refuse what `answer` would with these options, before anything is computed."""

    def run(self, model: Transformer, text: Text) -> Run:
        """The run in which the answer to this text is made."""
