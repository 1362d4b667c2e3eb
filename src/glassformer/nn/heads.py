"""What a model is asked for: a word, a label, a label for each token, or where an answer stands."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from glassformer.config import TransformerConfig
from glassformer.glass.trace import Trace
from glassformer.nn.activation import ACTIVATIONS
from glassformer.nn.dropout import Dropout
from glassformer.nn.norm import make_table_norm
from glassformer.nn.part import Part


def with_probabilities(part: Part, axes: str, logits: Tensor, trace: Trace | None) -> Tensor:
    """The same logits; whoever looks also sees them as probabilities."""
    if trace is not None and trace.wants(f"{part.path}.probabilities"):
        part.step("probabilities", axes, logits.softmax(-1), trace, "probabilities", (logits,))
    return logits


def with_probability_of_each(part: Part, logits: Tensor, trace: Trace | None) -> Tensor:
    """The same where each label is a question of its own."""
    if trace is not None and trace.wants(f"{part.path}.probabilities"):
        part.step("probabilities", "B L", logits.sigmoid(), trace, "probability_of_each", (logits,))
    return logits


class LanguageHead(Part):
    """A score for each word of the vocabulary, at each position.

    Vaswani et al. 2017, section 3.4; for hidden words: Devlin et al. 2019, section 3.1.
    """

    def __init__(self, config: TransformerConfig, tokens: nn.Embedding) -> None:
        super().__init__()
        self.dense = self.norm = None
        width, self.axes = config.d_model, "B T C"
        if config.output_transform:
            self.axes = "B T C" if config.embedding_size is None else "B T E"
            width = config.embedding_size or config.d_model
            self.dense = nn.Linear(config.d_model, width)
            self.norm = make_table_norm(config)
        self.activation = config.output_activation or config.activation
        self.function = ACTIVATIONS[self.activation]
        self.output = nn.Linear(width, config.vocab_size, bias=config.output_bias)
        if config.tied_output:
            self.output.weight = tokens.weight
        self.next_sentence = next_sentence(config) if config.next_sentence else None
        self.scale = config.d_model**-0.5 if config.output_scale else 1.0
        self.logits_formula = "logits_scaled" if config.output_scale else "logits"
        self.logits_constants = {"d_model": config.d_model} if config.output_scale else {}

    def forward(self, x: Tensor, attention_mask: Tensor | None = None, trace: Trace | None = None) -> Tensor:
        """(..., C) -> (..., V)."""
        if trace is not None and self.next_sentence is not None:
            self.next_sentence(x, attention_mask, trace)
        x = self.transformed(x, trace)
        scaled = x * self.scale if self.scale != 1.0 else x
        logits = self.step(
            "logits",
            "B T V",
            self.output(scaled),
            trace,
            self.logits_formula,
            (x, self.output),
            **self.logits_constants,
        )
        return with_probabilities(self, "B T V", logits, trace)

    def transformed(self, x: Tensor, trace: Trace | None = None) -> Tensor:
        """What meets the words: (..., C) -> (..., C), or (..., E) where their table is narrower."""
        if self.dense is None or self.norm is None:
            return x
        inputs = (x, self.dense)
        u = self.step("projected", self.axes, self.dense(x), trace, "projected", inputs)
        u = self.step(
            "active", self.axes, self.function(u), trace, "active", (u,), activation=self.activation
        )
        y: Tensor = self.norm(u, trace)
        return y


class Pooling(Part):
    """One row for the whole text: that of its first or last real position, through a dense layer if there is one."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.which = config.pooling
        self.dense = nn.Linear(config.d_model, config.d_model) if config.pooler else None
        self.activation = config.pooler_activation
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, attention_mask: Tensor | None, trace: Trace | None = None) -> Tensor:
        """(B, T, C) -> (B, C)."""
        row = x[torch.arange(x.shape[0], device=x.device), self.position(x, attention_mask)]
        row = self.step("row", "B C", row, trace, self.which, (x, attention_mask))
        if self.dense is not None:
            pooled = self.dense(self.dropout(row))
            inputs = (row, self.dense)
            if self.activation == "tanh":
                row = self.step("output", "B C", pooled.tanh(), trace, "pooled", inputs)
            else:
                u = self.step("projected", "B C", pooled, trace, "projected", inputs)
                row = self.activated(u, trace)
        kept: Tensor = self.dropout(row)
        return kept

    def activated(self, u: Tensor, trace: Trace | None) -> Tensor:
        """(B, C) -> (B, C): an activation that the layers know too."""
        y = ACTIVATIONS[self.activation](u)
        return self.step("output", "B C", y, trace, "active", (u,), activation=self.activation)

    def position(self, x: Tensor, attention_mask: Tensor | None) -> Tensor | int:
        """(B,): where the row stands in each text; padding may be on either side."""
        if attention_mask is None:
            return 0 if self.which == "first" else -1
        real = attention_mask.long()
        if self.which == "first":
            return real.argmax(1)
        return real.shape[1] - 1 - real.flip(1).argmax(1)


class SequenceLabelHead(Part):
    """A score for each label of the whole text. Devlin et al. 2019, section 4.1; Radford et al. 2018, section 3.3."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.pooling = Pooling(config)
        self.output = nn.Linear(config.d_model, config.labels, bias=config.label_bias)
        self.choice = "any" if config.label_choice == "one" and config.labels == 1 else config.label_choice

    def forward(self, x: Tensor, attention_mask: Tensor | None = None, trace: Trace | None = None) -> Tensor:
        """(B, T, C) -> (B, L)."""
        row = self.pooling(x, attention_mask, trace)
        inputs = (row, self.output)
        logits = self.step("logits", "B L", self.output(row), trace, "logits", inputs)
        if self.choice == "one":
            return with_probabilities(self, "B L", logits, trace)
        return with_probability_of_each(self, logits, trace) if self.choice == "any" else logits


def guess_of(head: nn.Module) -> SequenceLabelHead:
    """The part of a language head that makes this guess."""
    guess = head.next_sentence
    assert isinstance(guess, SequenceLabelHead), "only a head with next_sentence guesses about neighbours"
    return guess


def next_sentence(config: TransformerConfig) -> SequenceLabelHead:
    """BERT's second guess while it learns: the second text follows the first, or is another's."""
    return SequenceLabelHead(
        replace(config, head="sequence-label", labels=2, pooler=True, next_sentence=False)
    )


class TokenLabelHead(Part):
    """A score for each label of each token.

    Devlin et al. 2019, section 5.3; with a map before it: Clark et al. 2020, section 2.
    """

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.d_model, config.d_model) if config.label_transform else None
        self.activation, self.function = config.activation, ACTIVATIONS[config.activation]
        self.dropout = Dropout(config.dropout)
        self.output = nn.Linear(config.d_model, config.labels, bias=config.label_bias)

    def forward(self, x: Tensor, attention_mask: Tensor | None = None, trace: Trace | None = None) -> Tensor:
        """(..., C) -> (..., L)."""
        if self.dense is not None:
            inputs = (x, self.dense)
            u = self.step("projected", "B T C", self.dense(x), trace, "projected", inputs)
            y = self.function(u)
            x = self.step("active", "B T C", y, trace, "active", (u,), activation=self.activation)
        inputs = (x, self.output)
        logits = self.step("logits", "B T L", self.output(self.dropout(x)), trace, "logits", inputs)
        return with_probabilities(self, "B T L", logits, trace)


class AnswerSpanHead(Part):
    """How well an answer starts, and ends, at each position. Devlin et al. 2019, section 4.2."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.output = nn.Linear(config.d_model, 2)

    def forward(self, x: Tensor, attention_mask: Tensor | None = None, trace: Trace | None = None) -> Tensor:
        """(B, T, C) -> (B, T, 2)."""
        inputs = (x, self.output)
        logits = self.step("logits", "B T L", self.output(x), trace, "logits", inputs)
        if attention_mask is not None and trace is not None and trace.wants(f"{self.path}.probabilities"):
            hidden = logits.masked_fill(~attention_mask.bool()[..., None], -torch.inf)
            self.step(
                "probabilities",
                "B T L",
                hidden.softmax(1),
                trace,
                "span_probabilities",
                (logits, attention_mask),
            )
        return logits


class HiddenHead(Part):
    """No question asked: the last hidden rows themselves. A pooler, where the checkpoint has one, is kept and shown."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.pooling = Pooling(config) if config.pooler else None

    def forward(self, x: Tensor, attention_mask: Tensor | None = None, trace: Trace | None = None) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        if trace is not None and self.pooling is not None:
            self.pooling(x, attention_mask, trace)
        return x


def make_head(config: TransformerConfig, tokens: nn.Embedding) -> Part:
    """The head that the configuration chooses."""
    if config.head in ("language-model", "masked-language-model"):
        return LanguageHead(config, tokens)
    kinds = {
        "sequence-label": SequenceLabelHead,
        "token-label": TokenLabelHead,
        "answer-span": AnswerSpanHead,
        "hidden": HiddenHead,
    }
    return kinds[config.head](config)
