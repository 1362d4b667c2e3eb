"""Text alone: what the objectives that learn from it have alike."""

from collections.abc import Iterator, Sequence

from glassformer.errors import InputError
from glassformer.model import Transformer
from glassformer.training.lessons.lesson import Lesson


class TextLesson(Lesson[str]):
    """Documents, from which a model learns by finding again what is hidden or what comes next."""

    kind = "texts"

    @classmethod
    def texts(cls, examples: Sequence[str]) -> Iterator[str]:
        """The documents themselves."""
        return iter(examples)

    def context(self, model: Transformer) -> int:
        """How many tokens are read together."""
        wanted, limit = self.recipe.pretraining.context, model.config.limit
        if limit is not None and wanted > limit:
            raise InputError(
                f"[pretraining] context is {wanted}, but the model has {limit} positions; lower it, or give a new "
                "model more: [model] max_positions"
            )
        return wanted

    @classmethod
    def divided(cls, examples: Sequence[str], share: float) -> tuple[Sequence[str], Sequence[str]]:
        """The last documents are held out; of a single one its end."""
        if len(examples) > 1:
            kept = len(examples) - max(1, round(share * len(examples)))
            if kept < 1:
                raise InputError(f"of {len(examples)} texts none is left to learn from; lower [data] held_out")
            return examples[:kept], examples[kept:]
        (text,) = examples
        cut = round((1 - share) * len(text))
        return [text[:cut]], [text[cut:]]
