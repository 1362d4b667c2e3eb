"""What of a model can run by itself elsewhere: graphs with named tensors in and named tensors out.

Their names, those of their inputs and outputs, and how a model that writes is cut, are what `optimum` reads.
"""

import copy
import fnmatch
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from glassformer.errors import InputError
from glassformer.glass.step import Step
from glassformer.glass.trace import Trace
from glassformer.model import Transformer
from glassformer.nn.cache import Cache

Tensors = dict[str, Tensor]
Run = Callable[[Transformer, Tensors, Trace | None], Tensors]

MAIN, ENCODER, DECODER, GOING_ON = NAMES = (
    "model",  # the one that every model has
    "encoder_model",
    "decoder_model",
    "decoder_with_past_model",
)
BATCH, LENGTH, PAST, TOTAL = (
    "batch_size",
    "sequence_length",
    "past_sequence_length",
    "total_sequence_length",  # past and new
)
SOURCE, TARGET = "encoder_sequence_length", "decoder_sequence_length"


@dataclass(frozen=True)
class Input:
    """One tensor that a graph is given."""

    axes: tuple[str | int, ...]  # a name where the length is free
    below: int | None = None  # ids: each is less than this; None: ordinary numbers


class Graph(nn.Module):
    """What becomes one file: a model and what it is asked."""

    def __init__(
        self, name: str, model: Transformer, run: Run, inputs: Mapping[str, Input], kept: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.name, self.model, self.run = name, model, run
        self.inputs, self.kept = dict(inputs), tuple(kept)

    def forward(self, given: Tensors) -> Tensors:
        """The inputs by name -> the outputs by name, then the steps that are kept, by theirs."""
        if not self.kept:
            return self.run(self.model, given, None)
        trace = Trace(self.kept)
        return self.run(self.model, given, trace) | {name: trace.value(name) for name in trace}

    @property
    def dtype(self) -> torch.dtype:
        """The kind of number that it computes in."""
        return next(self.model.parameters()).dtype

    def steps(self, given: Tensors) -> Mapping[str, Step]:
        """Every step of one run."""
        trace = Trace()
        with torch.inference_mode():
            self.run(self.model, given, trace)
        return trace


def keeping(graph: Graph, patterns: Sequence[str], given: Tensors) -> tuple[Graph, dict[str, Step]]:
    """The same graph with the steps that fit the patterns as further outputs, and these steps of one run.

    Of several graphs only the whole run is seen through.
    """
    if not patterns or graph.name != MAIN:
        return graph, {}
    steps = graph.steps(given)
    for pattern in patterns:
        if not fnmatch.filter(steps, pattern):
            ends = fnmatch.filter(steps, f"*{pattern.rsplit('.', 1)[-1]}") or list(steps)
            raise InputError(
                f"no step of this model is called {pattern!r}; there are {len(steps)}, such as {', '.join(ends[:4])}"
            )
    kept = {
        name: step
        for name, step in steps.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    }
    return Graph(graph.name, graph.model, graph.run, graph.inputs, tuple(kept)), kept


def ready(model: Transformer, dtype: torch.dtype) -> Transformer:
    """The same model, its numbers not copied where they are of this kind already, and no longer to be trained."""
    parameters = {
        id(each): nn.Parameter(each.detach().to("cpu", dtype), requires_grad=False)
        for each in model.parameters()
    }
    return copy.deepcopy(model, dict(parameters)).eval()


# ------------------------------------------------------------------ which graphs


def graphs_of(model: Transformer) -> list[Graph]:
    """The whole run, and for a pair that writes also its encoder and its decoder, without and with a past."""
    writes = model.config.head == "language-model" and model.decoder is not None
    if not writes:
        return [Graph(MAIN, model, whole, read(model, LENGTH))]
    if model.encoder is None:
        return [Graph(MAIN, model, going_on, read(model, LENGTH, TOTAL) | past(model))]
    target, source = model.config.vocab_size, read(model, SOURCE)
    masks = {"encoder_attention_mask": source["attention_mask"]}
    memory = {"encoder_hidden_states": Input((BATCH, SOURCE, model.config.d_model))}
    new = {"input_ids": Input((BATCH, TARGET), target)}
    written = {
        "decoder_input_ids": Input((BATCH, TARGET), target),
        "decoder_attention_mask": Input((BATCH, TARGET), 2),
    }
    return [
        Graph(MAIN, model, whole, source | written),
        Graph(ENCODER, without(model, "decoder", "head"), encoder, source),
        Graph(DECODER, without(model, "encoder"), going_on, new | masks | memory),
        Graph(GOING_ON, without(model, "encoder"), going_on, new | masks | past(model)),
    ]


def without(model: Transformer, *parts: str) -> Transformer:
    """The same model with nothing in the place of some parts, which are not asked."""
    twin = copy.deepcopy(model, {id(each): each for each in model.parameters()})
    for name in parts:
        setattr(twin, name, nn.Identity())
    return twin


def read(model: Transformer, length: str, total: str | None = None) -> dict[str, Input]:
    """Ids and their mask, and which text each belongs to in a model that tells them apart."""
    config = model.config
    vocabulary = config.vocab_size if model.encoder is None else config.source_vocab_size or config.vocab_size
    inputs = {
        "input_ids": Input((BATCH, length), vocabulary),
        "attention_mask": Input((BATCH, total or length), 2),
    }
    if config.segments > 1:
        inputs["token_type_ids"] = Input((BATCH, length), config.segments)
    return inputs


def past(model: Transformer) -> dict[str, Input]:
    """The keys and values of earlier positions, and of the source."""
    groups, size = model.config.kv_heads or model.config.heads, model.config.size_of_head
    return {
        f"past_key_values.{name}.{part}": Input(
            (BATCH, groups, SOURCE if name.endswith("encoder") else PAST, size)
        )
        for name in places(model)
        for part in ("key", "value")
    }


def places(model: Transformer) -> dict[str, str]:
    """What the keys and values of each attention are called outside, and its path."""
    layers = range(model.config.decoder_layers)
    if model.encoder is None:
        return {f"{i}": f"decoder.layers.{i}.self_attention" for i in layers}
    kinds = {"decoder": "self_attention", "encoder": "cross_attention"}
    return {f"{i}.{name}": f"decoder.layers.{i}.{kind}" for i in layers for name, kind in kinds.items()}


# ------------------------------------------------------------------ what each is asked


def whole(model: Transformer, given: Tensors, trace: Trace | None) -> Tensors:
    """Everything at once: texts in, what the head says of them out."""
    ids, mask, segments = given["input_ids"], given["attention_mask"], given.get("token_type_ids")
    if model.encoder is None:
        answer = model(target=ids, target_mask=mask, segments=segments, trace=trace)
    elif model.decoder is None:
        answer = model(ids, source_mask=mask, segments=segments, trace=trace)
    else:
        answer = model(
            ids,
            given["decoder_input_ids"] if "decoder_input_ids" in given else turned(ids, mask),
            source_mask=mask,
            target_mask=given.get("decoder_attention_mask", mask),
            segments=segments,
            trace=trace,
        )
    return answered(model, answer)


def answered(model: Transformer, answer: Tensor) -> Tensors:
    """The answer under the names that others give it."""
    if model.config.head == "answer-span":
        return {"start_logits": answer[..., 0], "end_logits": answer[..., 1]}
    return {"last_hidden_state" if model.config.head == "hidden" else "logits": answer}


def turned(ids: Tensor, mask: Tensor) -> Tensor:
    """What a decoder reads that reads its source once more: the last token, then the others (B, S).

    Padding may be on either side; Lewis et al. 2020, section 3.1.
    """
    real = mask.bool()
    count = real.long().cumsum(1)
    last = (ids * (real & (count == count[:, -1:]))).sum(1, keepdim=True)
    before = torch.cat([ids[:, :1], ids[:, :-1]], dim=1)
    return torch.where(real & (count == 1), last, before)


def encoder(model: Transformer, given: Tensors, trace: Trace | None) -> Tensors:
    """The source, read once."""
    ids, mask, segments = given["input_ids"], given["attention_mask"], given.get("token_type_ids")
    return {"last_hidden_state": model.encode(ids, mask, segments, trace)}


def going_on(model: Transformer, given: Tensors, trace: Trace | None) -> Tensors:
    """What may come after each new token, and the keys and values to go on with."""
    cache, ids = cache_of(model, given), given["input_ids"]
    mask, memory = given.get("attention_mask"), given.get("encoder_hidden_states")
    if mask is None:  # of a pair: what it has written holds no padding
        mask = torch.ones(ids.shape[0], cache.length + ids.shape[1], dtype=torch.long, device=ids.device)
    if model.encoder is not None and memory is None:
        memory = mask  # its keys and values are kept, so that it is not looked at
    logits = model(
        target=ids,
        target_mask=mask,
        memory=memory,
        source_mask=given.get("encoder_attention_mask"),
        segments=given.get("token_type_ids"),
        cache=cache,
        trace=trace,
    )
    grown = {
        f"present.{name}.{part}": value
        for name, path in places(model).items()
        if f"past_key_values.{name}.key" not in given or not name.endswith("encoder")
        for part, value in zip(("key", "value"), cache.kept[path], strict=True)
    }
    return {"logits": logits} | grown


def cache_of(model: Transformer, given: Tensors) -> Cache:
    """The past among the inputs, or an empty one."""
    cache = Cache()
    for name, path in places(model).items():
        key = given.get(f"past_key_values.{name}.key")
        if key is not None:
            cache.keep(path, key, given[f"past_key_values.{name}.value"])
            cache.length = cache.length if name.endswith("encoder") else key.shape[2]
    return cache
