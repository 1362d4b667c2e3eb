"""Direct logit attribution: a logit as a sum over everything that was added to the residual stream.

Elhage et al. 2021 read a logit off the residual stream of a model without norms; here each norm on the way from a
part to the logit is taken as the straight map that it is at this run's own statistics: its mean and its scale are held
as they were. The sum is then exact, for norms before the sub-layers (one norm on the way: the last) and for norms after
them (every norm above the part). A head's own activation is held in the same way: at the share of its input that it let
through.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from glassformer.errors import InputError
from glassformer.glass.step import Step
from glassformer.inspection.asking import Asked, question_of
from glassformer.inspection.attribute import answering_row
from glassformer.inspection.drawing import drawn
from glassformer.inspection.machine import Machine, machine_of
from glassformer.inspection.question import Term
from glassformer.model import Transformer
from glassformer.nn.attention import Attention
from glassformer.nn.heads import LanguageHead, SequenceLabelHead, TokenLabelHead
from glassformer.nn.layer import Layer
from glassformer.nn.low_rank import merged
from glassformer.nn.norm import LayerNorm, NoNorm, RMSNorm, RMSNormFromOne
from glassformer.nn.stack import Stack
from glassformer.tasks.model import Model
from glassformer.tasks.task import Text

Steps = Mapping[str, Step]


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one part adds to the number that is asked about."""

    part: str  # as its step or parameter is called, a head by its number in brackets
    kind: str  # embedding, head, feed-forward, bias
    score: float


Back = Generator[Share, None, Tensor]  # shares on the way, and in the end what a change of the row does to the logit


@dataclass(frozen=True, kw_only=True)
class Decomposition:
    """A logit, or a difference of logits, as a sum."""

    about: str
    number: float
    shares: tuple[Share, ...]  # in the order in which the model adds them
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """What the shares add up to."""
        return sum(share.score for share in self.shares)

    @property
    def error(self) -> float:
        """How far that is from the number."""
        return abs(self.total - self.number)

    def by_kind(self) -> dict[str, float]:
        """What the embedding, all heads, all feed-forwards and all biases add."""
        found: dict[str, float] = {}
        for share in self.shares:
            found[share.kind] = found.get(share.kind, 0.0) + share.score
        return found

    def strongest(self, count: int = 10) -> list[Share]:
        """The parts that add or take most."""
        return sorted(self.shares, key=lambda share: -abs(share.score))[:count]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "about": self.about,
            "number": self.number,
            "sum": self.total,
            "error": self.error,
            "shares": [vars(share) for share in self.shares],
        }

    def plot(self, path: str | None = None, **options: Any) -> Any:
        """Bars for the strongest parts by matplotlib, written to `path` where one is given. Extra: plot."""
        return drawn("decomposition", self, path, **options)

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {score:+.4f}" for kind, score in self.by_kind().items())
        lines = [
            f"{self.about} = {self.number:.4f}, the sum of {len(self.shares)} parts to {self.error:.1e}",
            f"  {kinds}",
        ]
        return "\n".join([*lines, *(f"    {share.score:+9.4f}  {share.part}" for share in self.strongest(12))])


def direct(
    model: Model, text: Text, context: str | None = None, *, float64: bool = False, **asked: Any
) -> Decomposition:
    """A logit as the sum of what the embedding, every head, every feed-forward and every bias add to it.

    Which logit: `target`, `against`, `position` and `written`, as `attribute` has them.
    """
    if context is not None:
        text = (str(text), context)
    question = question_of(model, text, Asked(**asked))
    if question.number is not None:
        raise InputError("only logits are read off the residual stream; name an answer as the target")
    with merged(model.transformer), machine_of(model.transformer, question, float64) as machine:
        return decomposed(machine)


@torch.no_grad()
def decomposed(machine: Machine) -> Decomposition:
    """The number that a machine is asked about as a sum."""
    steps, question = machine.steps(), machine.question
    shares: dict[tuple[str, str], float] = {}
    for term in question.terms:
        row = answering_row(machine) if term.position is None else term.position
        for share in Readout(machine.model, steps, row).shares(term):
            key = share.part, share.kind
            shares[key] = shares.get(key, 0.0) + term.times * share.score
    number = float(machine()[0])
    order = sorted(shares.items(), key=lambda item: place_of(item[0][0], list(steps)))
    return Decomposition(
        about=question.words,
        number=number,
        shares=tuple(Share(part=part, kind=kind, score=score) for (part, kind), score in order),
    )


def place_of(part: str, names: list[str]) -> int:
    """Where in the run a part is added."""
    path = part.partition("[")[0]
    step = path if path in names else f"{path.rpartition('.')[0]}.output"
    return names.index(step) if step in names else len(names)


class Readout:
    """The way back from a logit to the parts of one row: at each point, what a change of the row does to the logit."""

    def __init__(self, model: Transformer, steps: Steps, row: int) -> None:
        self.model, self.steps, self.row = model, steps, row

    def shares(self, term: Term) -> Iterator[Share]:
        """Everything that is added on the way."""
        stack = self.model.decoder or self.model.encoder
        assert stack is not None, "a model has a stack"
        pull, biases = self.through_head(term)
        yield from biases
        if stack.norm is not None:
            pull = yield from self.through_norm(stack.norm, pull, self.before(stack.norm, stack))
        for number in reversed(range(len(stack.layers))):
            layer = stack.layers[number]
            assert isinstance(layer, Layer), "a stack's layers are layers"
            pull = yield from self.through_layer(layer, pull)
        yield from self.embedded(stack, pull)

    def value(self, name: str) -> Tensor:
        """A step's row, in float64."""
        return self.steps[name].value[0, self.row].double()

    # ------------------------------------------------------------ the head

    def through_head(self, term: Term) -> tuple[Tensor, list[Share]]:
        """From a logit to the row that the head is given."""
        head = self.model.head
        output = head.output
        assert isinstance(output, nn.Linear), "a head that answers ends in a linear map"
        pull, shares = output.weight[term.column].double(), bias_of("head.output.bias", output, term.column)
        if isinstance(head, LanguageHead):
            pull = pull * head.scale
            if head.dense is not None and head.norm is not None:
                pull = collected(self.through_norm(head.norm, pull, self.value("head.active")), shares)
                return self.through_dense(head.dense, pull, "head", shares), shares
        if isinstance(head, TokenLabelHead) and head.dense is not None:
            return self.through_dense(head.dense, pull, "head", shares), shares
        if isinstance(head, SequenceLabelHead) and head.pooling.dense is not None:
            return self.through_pooler(head, pull, shares), shares
        return pull, shares

    def through_dense(self, dense: nn.Linear, pull: Tensor, path: str, shares: list[Share]) -> Tensor:
        """Through an activation, held at the share that it lets through, and a linear map."""
        before, after = self.value(f"{path}.projected"), self.value(f"{path}.active")
        return linear(dense, held(before, after) * pull, f"{path}.dense.bias", shares)

    def through_pooler(self, head: SequenceLabelHead, pull: Tensor, shares: list[Share]) -> Tensor:
        """The same for the row that speaks for the whole text."""
        pooling, dense = head.pooling, head.pooling.dense
        assert dense is not None, "this pooler has a map"
        path = pooling.path
        after = self.steps[f"{path}.output"].value[0].double()
        row = self.steps[f"{path}.row"].value[0].double()
        before = row @ dense.weight.double().T + dense.bias.double()
        return linear(dense, held(before, after) * pull, f"{path}.dense.bias", shares)

    # ------------------------------------------------------------ norms and layers

    def through_norm(self, norm: nn.Module, pull: Tensor, x: Tensor) -> Back:
        """Through a norm as the straight map that it is at this row: its mean and its scale held."""
        if isinstance(norm, NoNorm):
            return pull
        if isinstance(norm, LayerNorm):
            yield Share(part=f"{norm.path}.bias", kind="bias", score=float(pull @ norm.bias.double()))
            scale = torch.rsqrt(x.var(correction=0) + norm.eps)
            pull = pull * norm.weight.double() * scale
            return pull - pull.mean()
        assert isinstance(norm, RMSNorm | RMSNormFromOne), "there are no other norms"
        gain = norm.weight.double() + (1.0 if isinstance(norm, RMSNormFromOne) else 0.0)
        return pull * gain * torch.rsqrt(x.pow(2).mean() + norm.eps)

    def before(self, norm: nn.Module, stack: Stack) -> Tensor:
        """What a stack's last norm was given: what its last layer handed on."""
        assert isinstance(norm, LayerNorm | RMSNorm | RMSNormFromOne | NoNorm), "a norm"
        path = stack.path
        names = [name for name in self.steps if name.startswith(f"{path}.layers.")]
        return self.value(names[-1])

    def through_layer(self, layer: Layer, pull: Tensor) -> Back:
        """Back through the sub-layers, the last one first; what the stream carries past them goes on."""
        path, parts = layer.path, ["self_attention", "cross_attention", "feed_forward"]
        there = [part for part in parts if hasattr(layer, part) and f"{path}.{part}.output" in self.steps]
        for part in reversed(there):
            after = f"{path}.after_{part}"
            if not layer.norm_first and after in self.steps and not layer.parallel:
                pull = yield from self.through_norm(getattr(layer, f"{part}_norm"), pull, self.value(after))
            sub_layer = getattr(layer, part)
            if isinstance(sub_layer, Attention):
                yield from self.attended(sub_layer, pull)
            else:
                yield from self.thought(f"{path}.{part}", sub_layer.down, pull)
        return pull

    def attended(self, attention: Attention, pull: Tensor) -> Iterator[Share]:
        """What each head adds, and the bias."""
        mixed = self.steps[f"{attention.path}.mixed"].value[0, :, self.row].double()  # H D
        size = (-1, attention.heads, attention.head_size)
        weight = attention.output.weight.double().reshape(size)  # C H D
        for head, score in enumerate(torch.einsum("hd,chd,c->h", mixed, weight, pull).tolist()):
            yield Share(part=f"{attention.path}[{head}]", kind="head", score=score)
        yield from biased(f"{attention.path}.output.bias", attention.output.bias, pull)

    def thought(self, path: str, down: nn.Linear, pull: Tensor) -> Iterator[Share]:
        """What the feed-forward adds, and its bias."""
        active = self.value(f"{path}.active")
        yield Share(part=path, kind="feed-forward", score=float(active @ down.weight.double().T @ pull))
        yield from biased(f"{path}.down.bias", down.bias, pull)

    # ------------------------------------------------------------ the embedding

    def embedded(self, stack: Stack, pull: Tensor) -> Iterator[Share]:
        """What the token, its position and its segment add."""
        embedding = stack.embedding
        path = embedding.path
        if embedding.projection is not None:
            shares: list[Share] = []
            pull = linear(embedding.projection, pull, f"{path}.projection.bias", shares)
            yield from shares
        if embedding.norm is not None:
            pull = yield from self.through_norm(embedding.norm, pull, self.value(f"{path}.sum"))
        for part in ("tokens", "positions", "segments"):
            if f"{path}.{part}" in self.steps:
                score = float(self.value(f"{path}.{part}") @ pull)
                yield Share(part=f"{path}.{part}", kind="embedding", score=score)


def held(before: Tensor, after: Tensor) -> Tensor:
    """The share of each number that an activation let through; nothing where there was nothing."""
    return torch.where(before == 0.0, torch.zeros_like(before), after / before)


def linear(layer: nn.Linear, pull: Tensor, name: str, shares: list[Share]) -> Tensor:
    """Back through a linear map, its bias noted."""
    shares += biased(name, layer.bias, pull)
    return pull @ layer.weight.double()


def biased(name: str, bias: Tensor | None, pull: Tensor) -> Iterator[Share]:
    """What a bias adds, where there is one."""
    if bias is not None:
        yield Share(part=name, kind="bias", score=float(bias.double() @ pull))


def bias_of(name: str, layer: nn.Linear, column: int) -> list[Share]:
    """The bias of one logit, where there is one."""
    return [] if layer.bias is None else [Share(part=name, kind="bias", score=float(layer.bias[column]))]


def collected(way: Back, shares: list[Share]) -> Tensor:
    """What a way back hands on, and what it yields put into a list."""
    while True:
        try:
            shares.append(next(way))
        except StopIteration as end:
            pull: Tensor = end.value
            return pull
