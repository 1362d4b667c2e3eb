"""The names of weights in CTranslate2's files, read in both directions."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.nn.position import WAVES
from glassformer.weights import Reshape, Role, Rule, rule

NORMS = (("gamma", "weight"), ("beta", "bias"))  # theirs, ours


def rules(config: TransformerConfig) -> tuple[Rule, ...]:
    """All of a model. An output that is the tokens' own rows is stored again, under a name of its own."""
    sides = [side for side in ("encoder", "decoder") if side in config.stack]
    return (*tables(config), *(each for side in sides for each in stack(side, config)), *head(config))


def tables(config: TransformerConfig) -> Iterator[Rule]:
    """Tokens, those of the source first, and segments."""
    if config.stack != "decoder":
        source = "tokens" if config.source_vocab_size is None else "source_tokens"
        yield rule("encoder/embeddings_0/weight", f"{source}.weight")
        yield rule("encoder/embeddings_1/weight", "encoder.embedding.segments.weight")
    if config.stack != "encoder":
        again: Role = "spare" if config.stack != "decoder" and config.source_vocab_size is None else "main"
        yield rule("decoder/embeddings/weight", "tokens.weight", role=again)


def head(config: TransformerConfig) -> Iterator[Rule]:
    """What answers: words, or one row for the whole text."""
    tied = config.tied_output and config.head == "language-model"
    ours = ("tokens.weight",) if tied else ("head.output.weight",)
    yield rule("decoder/projection/weight", *ours, role="spare" if tied else "main")
    yield rule("decoder/projection/bias", "head.output.bias")
    yield rule("pooler_dense/*", "head.pooling.dense.*")


def stack(side: str, config: TransformerConfig) -> Iterator[Rule]:
    """One stack; positions are a table, whatever they were made by."""
    theirs, ours = f"{side}/layer_{{i}}", f"{side}.layers.{{i}}"
    yield rule(f"{side}/position_encodings/encodings", f"{side}.positions")
    yield from norm(f"{side}/layernorm_embedding", f"{side}.embedding.norm")
    yield from norm(f"{side}/layer_norm", f"{side}.norm")
    own = [f"{ours}.self_attention.{part}.*" for part in ("query", "key", "value")]
    yield rule(f"{theirs}/self_attention/linear_0/*", *own, reshape=beside(config, 3))
    yield rule(f"{theirs}/self_attention/linear_1/*", f"{ours}.self_attention.output.*")
    if side == "decoder" and config.stack == "encoder-decoder":
        memory = [f"{ours}.cross_attention.{part}.*" for part in ("key", "value")]
        yield rule(f"{theirs}/attention/linear_0/*", f"{ours}.cross_attention.query.*")
        yield rule(f"{theirs}/attention/linear_1/*", *memory, reshape=beside(config, 2))
        yield rule(f"{theirs}/attention/linear_2/*", f"{ours}.cross_attention.output.*")
        yield from norm(f"{theirs}/attention/layer_norm", f"{ours}.cross_attention_norm")
    first = ("input_layer_norm", "post_attention_layer_norm")
    attention, wide = first if config.parallel_residual else ("self_attention/layer_norm", "ffn/layer_norm")
    yield from norm(f"{theirs}/{attention}", f"{ours}.self_attention_norm")
    yield from norm(f"{theirs}/{wide}", f"{ours}.feed_forward_norm")
    ways = ("linear_0", "gate"), ("linear_0_noact", "up")
    for name, part in ways if config.gated else (("linear_0", "up"),):
        yield rule(f"{theirs}/ffn/{name}/*", f"{ours}.feed_forward.{part}.*")
    yield rule(f"{theirs}/ffn/linear_1/*", f"{ours}.feed_forward.down.*")
    yield rule(f"{theirs}/self_attention/relative_attention_bias", f"{side}.relative.{{i}}")


def norm(theirs: str, ours: str) -> Iterator[Rule]:
    """The two parts of a norm."""
    return (rule(f"{theirs}/{one}", f"{ours}.{part}") for one, part in NORMS)


def beside(config: TransformerConfig, parts: int) -> Reshape:
    """Query over key over value, or key over value; all queries may be more than all keys."""
    keys = (config.kv_heads or config.heads) * config.size_of_head
    sizes = [config.heads * config.size_of_head, keys, keys][-parts:]
    return Reshape(ours=lambda w: torch.split(w, sizes), theirs=lambda pieces: torch.cat([*pieces]))


# ------------------------------------------------------------------ tables that they store and we do not


def made(config: TransformerConfig, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parameters, with positions as tables that start at the first, and distances once for each layer."""
    found = dict(parameters)
    for side in ("encoder", "decoder"):
        if side not in config.stack:
            continue
        learned = found.pop(f"{side}.embedding.positions.weight", None)
        if learned is not None:
            found[f"{side}.positions"] = learned[config.position_offset :]
        elif config.positions in WAVES:
            places = torch.arange(config.max_positions) + config.position_offset
            found[f"{side}.positions"] = WAVES[config.positions][1](places, config.d_model).float()
        distances = found.pop(f"{side}.relative.table.weight", None)
        if distances is not None:
            layers = config.encoder_layers if side == "encoder" else config.decoder_layers
            found |= {f"{side}.relative.{layer}": distances for layer in range(layers)}
    return found


def unmade(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same the other way round: positions are then a table from the first, distances those of the first layer."""
    found = dict(parameters)
    for side in ("encoder", "decoder"):
        if f"{side}.positions" in found:
            found[f"{side}.embedding.positions.weight"] = found.pop(f"{side}.positions")
        layers = [name for name in found if name.startswith(f"{side}.relative.")]
        if layers:
            found[f"{side}.relative.table.weight"] = found[f"{side}.relative.0"]
        for name in layers:
            del found[name]
    return found
