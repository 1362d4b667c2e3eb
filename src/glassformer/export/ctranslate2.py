"""A folder for CTranslate2: its numbers and vocabularies, in full, half or 8-bit precision, beside our tokenizer."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ctranslate2.specs import attention_spec, common_spec, model_spec, transformer_spec
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.errors import InputError
from glassformer.export.ctranslate2_kinds import KINDS, slowness
from glassformer.export.huggingface import stored_kind
from glassformer.export.options import Options
from glassformer.export.program import kind_of, plain
from glassformer.foreign import ctranslate2_file
from glassformer.foreign.ctranslate2_names import made, rules
from glassformer.model import DTYPES
from glassformer.tasks.generation import Generation
from glassformer.tasks.model import Model
from glassformer.tasks.rewriting import Rewriting
from glassformer.text.published import SOURCE_FOLDER
from glassformer.text.tokenizer import Tokenizer
from glassformer.weights import moves_out, to_theirs

ACTIVATIONS = {
    "relu": common_spec.Activation.RELU,
    "gelu": common_spec.Activation.GELU,
    "gelu-tanh": common_spec.Activation.GELUTanh,
    "silu": common_spec.Activation.SWISH,
    "tanh": common_spec.Activation.Tanh,
}
STORED = ("float32", "float16", "bfloat16", "int8")
VOCABULARIES = ("shared_vocabulary", "source_vocabulary", "target_vocabulary", "vocabulary")
LOW = -1e4  # added to the score of what is never to be written: far below any other, and within float16


def write(model: Model, out: Path, options: Options) -> str:
    """Write the folder, read its numbers again, and say what it is."""
    if options.shard_size is not None:
        raise InputError("CTranslate2 reads one file of numbers; leave out the size of its parts")
    config = plain(model.config)
    kind = kind_of(config, KINDS, "CTranslate2", model.checkpoint.family)
    stored = stored_as(options.dtype, stored_kind(model) or config.dtype)
    tensors = named(model, config)
    own = {name: tensor.clone() for name, tensor in tensors.items()} if stored == "int8" else tensors
    spec = specified(config, own)  # whose numbers are rounded in their place
    describe(spec, model, config)
    spec.validate()
    spec.optimize(quantization=stored)
    save(spec, model, out)
    check(out, tensors, stored)
    return f"{kind.name} in {stored}{remarks(model)}; read back, every tensor is the same"


def stored_as(asked: str | None, usual: str) -> str:
    """How matrices are stored; CTranslate2 computes nothing in float64."""
    kind = asked or ("float32" if usual == "float64" else usual)
    if kind not in STORED:
        raise InputError(f"CTranslate2 stores no {kind}; expected one of {', '.join(STORED)}")
    return kind


# ------------------------------------------------------------------ numbers


def named(model: Model, config: TransformerConfig) -> dict[str, Tensor]:
    """Every tensor, in float32, under the name that it has there."""
    own = {name: parameter.detach() for name, parameter in model.transformer.named_parameters()}
    parameters = made(config, own)
    found = {
        move.theirs: to_theirs(move, parameters).to("cpu", torch.float32).contiguous()
        for move in moves_out(parameters, rules(config))
    }
    never = [sequence[0] for sequence in banned(model) if len(sequence) == 1]
    if never:
        bias = found.get("decoder/projection/bias", torch.zeros(config.vocab_size)).clone()
        bias[never] = LOW
        found["decoder/projection/bias"] = bias
    return found


def banned(model: Model) -> tuple[tuple[int, ...], ...]:
    """What is never to be written, as the padding of Marian."""
    return model.task.decoding.bad_words_ids if isinstance(model.task, Rewriting) else ()


def specified(config: TransformerConfig, tensors: Mapping[str, Tensor]) -> model_spec.ModelSpec:
    """CTranslate2's own description of such a model, filled."""
    spec = described(config)
    for name, tensor in tensors.items():
        scope, _, last = name.rpartition("/")
        setattr(model_spec.index_spec(spec, scope), last, tensor)
    for stack in (getattr(spec, side, None) for side in ("encoder", "decoder")):
        if stack is not None:
            choose(stack, config)
    if config.output_scale:
        spec.decoder.scale_outputs = config.d_model**-0.5
    spec.config.layer_norm_epsilon = config.norm_eps
    return spec


def described(config: TransformerConfig) -> model_spec.ModelSpec:
    """The same, empty: stacks, and what is around them."""
    both = {
        "num_heads": config.heads,
        "pre_norm": config.norm_first,
        "no_final_norm": not config.final_norm,
        "activation": ACTIVATIONS[config.activation],
        "layernorm_embedding": config.embedding_norm,
        "relative_attention_bias": config.positions == "relative",
        "ffn_glu": config.gated,
        "rms_norm": config.norm == "rms",
        "head_dim": config.head_size,
    }
    encoder, decoder = transformer_spec.TransformerEncoderSpec, transformer_spec.TransformerDecoderSpec
    if config.stack == "encoder-decoder":
        return transformer_spec.TransformerSpec(
            encoder(config.encoder_layers, **both), decoder(config.decoder_layers, **both)
        )
    if config.stack == "decoder":
        return transformer_spec.TransformerDecoderModelSpec(
            decoder(config.decoder_layers, **both, **writing(config), with_encoder_attention=False)
        )
    segments = {"num_source_embeddings": 2, "embeddings_merge": common_spec.EmbeddingsMerge.ADD}
    return transformer_spec.TransformerEncoderModelSpec(
        encoder(config.encoder_layers, **both, **(segments if config.segments else {})),
        pooling_layer=config.pooler,
        pooling_activation=ACTIVATIONS[config.pooler_activation],
    )


def writing(config: TransformerConfig) -> dict[str, Any]:
    """What only decoders choose: turns, which are slowed by a table, and how their keys are shared."""
    own = {
        "num_heads_kv": config.kv_heads,
        "parallel_residual": config.parallel_residual,
        "sliding_window": config.window,
    }
    if config.positions != "rotary":
        return own
    slowed = None if config.rotary_stretch == 1.0 else attention_spec.RotaryScalingType.Su
    return {
        **own,
        "rotary_dim": config.rotary_size or 0,  # 0: all of a head
        "rotary_interleave": False,
        "rotary_base": config.rotary_base,
        "rotary_scaling_type": slowed,
    }


def choose(stack: model_spec.LayerSpec, config: TransformerConfig) -> None:
    """The numbers of one stack that are no weights."""
    stack.scale_embeddings = config.embedding_scale
    slow = slowness(config)
    for layer in stack.layer:
        attentions = [layer.self_attention, *([layer.attention] if hasattr(layer, "attention") else [])]
        for attention in attentions if not config.attention_scale else []:
            attention.queries_scale = 1.0
        if slow is not None:
            layer.self_attention.rotary_scaling_long_factor = slow.float().numpy()
            layer.self_attention.rotary_scaling_short_factor = slow.float().numpy()
        if config.positions == "relative":
            layer.self_attention.relative_attention_max_distance = np.int32(config.relative_distance)


# ------------------------------------------------------------------ words


def describe(spec: model_spec.ModelSpec, model: Model, config: TransformerConfig) -> None:
    """Vocabularies, and which of their tokens begin and end a text."""
    words = names(model.tokenizer, config.vocab_size)
    parts = {"unk": model.tokenizer.unk_id, "bos": model.tokenizer.bos_id, "eos": model.tokenizer.eos_id}
    task = model.task
    if isinstance(task, Rewriting):
        source = model.source_tokenizer or model.tokenizer
        spec.register_source_vocabulary(names(source, config.source_vocab_size or config.vocab_size))
        spec.register_target_vocabulary(words)
        parts["eos"] = task.ends[0]
        spec.config.decoder_start_token = None if task.languages.place == "after" else words[task.start]
    else:
        spec.register_vocabulary(words)
        if isinstance(task, Generation) and task.ends:
            parts["eos"] = task.ends[0]
    for part, number in parts.items():
        if number is not None:
            setattr(spec.config, f"{part}_token", words[number])
    if parts["unk"] is None:  # it must be one of them, or one more would be added
        spec.config.unk_token = words[parts["eos"] if parts["eos"] is not None else -1]


def names(tokenizer: Tokenizer, size: int) -> list[str]:
    """The tokens by their numbers, with names for rows that have no token."""
    known = [tokenizer.token(number) for number in range(tokenizer.vocab_size)]
    if len(known) > size:
        raise InputError(
            f"the tokenizer has {len(known)} tokens, but the model only {size} rows for them; "
            "give the tokenizer that belongs to it"
        )
    return known + [f"<unused_{number}>" for number in range(len(known), size)]


def remarks(model: Model) -> str:
    """What CTranslate2 has to be told each time, and where it is not quite the model."""
    said, task = [], model.task
    if model.config.window is not None:
        said.append(f"prompts of more than {model.config.window} tokens are seen in parts as long as that")
    if isinstance(task, Rewriting):
        first = task.decoding.forced_bos_token_id
        if task.languages.place in ("before", "after"):
            said.append("the language to write is the first token of target_prefix")
        elif first is not None:
            said.append(f"the first token of target_prefix is {task.tokenizer.token(first)}")
    return "".join(f", {remark}" for remark in said)


# ------------------------------------------------------------------ the folder


def save(spec: model_spec.ModelSpec, model: Model, out: Path) -> None:
    """Everything beside the place meant, then in its place, the numbers last; with our tokenizer, to cut texts by."""
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        spec.save(str(partial))
        model.tokenizer.save(partial)
        if model.source_tokenizer is not None:
            model.source_tokenizer.save(partial / SOURCE_FOLDER)
        out.mkdir(exist_ok=True)
        for name in VOCABULARIES:
            (out / f"{name}.json").unlink(missing_ok=True)
        shutil.rmtree(out / SOURCE_FOLDER, ignore_errors=True)
        for path in sorted(partial.iterdir(), key=lambda path: path.name == ctranslate2_file.FILE):
            os.replace(path, out / path.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check(out: Path, tensors: Mapping[str, Tensor], stored: str) -> None:
    """Every tensor of the folder is the one meant, as far as it was rounded."""
    found = ctranslate2_file.read(out / ctranslate2_file.FILE)
    for name, mine in tensors.items():
        if name not in found or not near(mine, found.tensor(name), found[name].dtype, stored):
            raise InputError(f"{out} was written, but {name} differs when it is read; write it again")


def near(mine: Tensor, read: Tensor, kind: torch.dtype, stored: str) -> bool:
    """The same number once it is rounded; 8-bit rows by half a step of theirs."""
    if kind == torch.int8:
        step = mine.abs().amax(dim=-1, keepdim=True) / 127
        return mine.shape == read.shape and bool(((mine - read).abs() <= step * 0.501).all())
    rounded = mine if stored == "int8" else mine.to(DTYPES[stored])
    return rounded.float().equal(read.float())
