"""Classification: a text, or a pair, in; one label of a fixed set out, or all that hold, or a number."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from glassformer.errors import InputError
from glassformer.glass.conclusion.label import Labelled, LabelScore
from glassformer.glass.views import Displayed
from glassformer.model import Transformer
from glassformer.tasks.reading import encoded, in_order, read, run_of
from glassformer.tasks.task import Run, Text
from glassformer.text.tokenizer import Tokenizer

Kind = Literal["one", "any", "number"]
PROBLEMS: Mapping[object, Kind] = {  # config.json's problem_type
    None: "one",
    "single_label_classification": "one",
    "multi_label_classification": "any",
    "regression": "number",
}
THRESHOLD = 0.5  # a label of many holds above it


@dataclass(frozen=True, kw_only=True)
class Label(Displayed):
    """The likeliest label, and how likely each is."""

    label: str
    probability: float
    probabilities: Mapping[str, float]

    def __str__(self) -> str:
        return f"{self.label} ({self.probability:.1%})"


@dataclass(frozen=True, kw_only=True)
class Labels(Displayed):
    """Every label that holds, likeliest first, and how likely each is by itself."""

    labels: tuple[str, ...]
    probabilities: Mapping[str, float]

    def __str__(self) -> str:
        return ", ".join(f"{name} ({self.probabilities[name]:.1%})" for name in self.labels) or "no label"


@dataclass(frozen=True, kw_only=True)
class Values(Displayed):
    """What a model that was taught numbers says: one for each thing it measures."""

    values: Mapping[str, float]

    def __str__(self) -> str:
        if len(self.values) == 1:
            return f"{next(iter(self.values.values())):.4g}"
        return ", ".join(f"{name} {value:.4g}" for name, value in self.values.items())


class Classification:
    """Devlin et al. 2019, section 4.1. `kind` says whether one label holds, any number of them, or none is meant."""

    def __init__(self, tokenizer: Tokenizer, labels: Sequence[str], kind: Kind = "one") -> None:
        self.tokenizer, self.labels, self.kind = tokenizer, tuple(labels), kind

    @classmethod
    def published(
        cls, tokenizer: Tokenizer, labels: Sequence[str], raw: Mapping[str, object]
    ) -> "Classification":
        """As config.json says."""
        problem = raw.get("problem_type")
        if problem not in PROBLEMS:
            known = ", ".join(str(name) for name in PROBLEMS if name)
            raise InputError(f"config.json says problem_type is {problem!r}; expected one of {known}")
        return cls(tokenizer, labels, PROBLEMS[problem])

    def answer(
        self,
        model: Transformer,
        texts: Sequence[Text],
        *,
        top: int | None = None,
        threshold: float = THRESHOLD,
        truncate: bool = False,
    ) -> list[Label | Labels | Values]:
        """The label of each text; with `top` its answer names only so many labels, the likeliest first.

        Where any number of labels may hold, those do that are likelier than `threshold`. `truncate` lets the end of
        a text be left out that is longer than the model; otherwise it is refused.
        """
        if top is not None and top < 1:
            raise InputError(f"top is {top}; ask for 1 label or more")
        encodings = encoded(self.tokenizer, texts, model.config.limit, truncate=truncate)
        rows = in_order(read(model, self.tokenizer, encodings), len(texts))
        return [self.told(row, top, threshold) for row in rows]

    def check(
        self, model: Transformer, texts: Sequence[Text], *, truncate: bool = False, **options: object
    ) -> None:
        """Refuse what `answer` would, before anything is computed."""
        encoded(self.tokenizer, texts, model.config.limit, truncate=truncate)

    def told(
        self, logits: Tensor, top: int | None = None, threshold: float = THRESHOLD
    ) -> Label | Labels | Values:
        """The answer of one text's logits, L."""
        if self.kind == "number":
            return Values(values=self.named(logits, top))
        alone = self.kind == "any" or len(self.labels) == 1  # each label is a question of its own
        named = self.named(logits.sigmoid() if alone else logits.softmax(-1), top)
        ranked = sorted(named, key=lambda name: -named[name])
        if self.kind == "any":
            return Labels(
                labels=tuple(name for name in ranked if named[name] > threshold), probabilities=named
            )
        return Label(label=ranked[0], probability=named[ranked[0]], probabilities=named)

    def named(self, numbers: Tensor, top: int | None) -> dict[str, float]:
        """The numbers under their labels: all in the model's order, or the highest, from the top."""
        named = dict(zip(self.labels, numbers.tolist(), strict=True))
        if top is None:
            return named
        return dict(sorted(named.items(), key=lambda item: -item[1])[:top])

    def run(
        self, model: Transformer, text: Text, *, threshold: float = THRESHOLD, truncate: bool = False
    ) -> Run:
        """The one run that labels this text."""
        (encoding,) = encoded(self.tokenizer, [text], model.config.limit, truncate=truncate)
        (logits,) = in_order(read(model, self.tokenizer, [encoding]), 1)
        answer = self.told(logits, None, threshold)
        made = self.concluded(logits, answer, threshold)
        return replace(run_of(model, self.tokenizer, encoding, str(answer)), conclusion=made)

    def concluded(self, logits: Tensor, answer: Label | Labels | Values, threshold: float) -> Labelled:
        """How the answer follows from the logits, L."""
        likely = {} if isinstance(answer, Values) else answer.probabilities
        scores = tuple(
            LabelScore(label=label, logit=logit, probability=likely.get(label))
            for label, logit in zip(self.labels, logits.tolist(), strict=True)
        )
        chosen = (answer.label,) if isinstance(answer, Label) else getattr(answer, "labels", ())
        return Labelled(choice=self.kind, threshold=threshold, scores=scores, chosen=chosen)
