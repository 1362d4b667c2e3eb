"""A folder of CTranslate2: model.bin says what the model is, its vocabularies are lists of words."""

import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.errors import InputError
from glassformer.foreign import ctranslate2_file
from glassformer.foreign.checkpoint import Foreign, filled
from glassformer.foreign.ctranslate2_file import FILE, Variables
from glassformer.foreign.ctranslate2_names import made, rules, unmade
from glassformer.nn.position import WAVES
from glassformer.pretrained import CONFIG, empty, read_json
from glassformer.text.special import Special
from glassformer.text.tokenizer import Tokenizer
from glassformer.weights import imported

STACKS = {  # kind of model -> its stacks, and what it answers
    "TransformerSpec": ("encoder-decoder", "language-model"),
    "TransformerBase": ("encoder-decoder", "language-model"),
    "TransformerBig": ("encoder-decoder", "language-model"),
    "TransformerDecoderSpec": ("decoder", "language-model"),
    "TransformerEncoderSpec": ("encoder", "hidden"),
}
HEADS = {"TransformerBase": 8, "TransformerBig": 16}  # where the file is older than the word for it
ACTIVATIONS = {0: "relu", 1: "gelu-tanh", 2: "silu", 3: "gelu", 5: "tanh"}
WORDS = ("unk_token", "bos_token", "eos_token")
USUAL = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
PADDING = ("<blank>", "<pad>")
NOT_COMPUTED = {  # a number of a stack, or of its attention, and what it is in what is computed here
    "alibi": 0,
    "start_from_zero_embedding": 0,
    "final_logit_softcapping": 0,
    "self_attention/rotary_interleave": 0,
    "self_attention/rotary_scaling_type": 0,
    "layer_scalar": 1,
}
OLD_NAMES = {"encoder/embeddings/weight": "encoder/embeddings_0/weight"}


def is_one(folder: Path) -> bool:
    """Whether a folder is of this kind."""
    return (folder / FILE).is_file()


def read(folder: Path) -> Foreign:
    """Its model, and its words: as tokenizers beside them say, or else as they stand between spaces."""
    found = ctranslate2_file.read(folder / FILE)
    for old, new in OLD_NAMES.items():
        if old in found:
            found[new] = found.pop(old)
    said = described(folder, found)
    config = configured(found, said)
    tokenizer, source = tokenizers(folder, said)
    generation = {
        "eos_token_id": tokenizer.id(said["eos_token"]),
        "decoder_start_token_id": tokenizer.id(said["decoder_start_token"] or said["bos_token"]),
    }
    generation = {key: id for key, id in generation.items() if id is not None}
    return Foreign(filled(config, parameters(found, config), generation, folder), tokenizer, source)


def parameters(found: Variables, config: TransformerConfig) -> dict[str, Tensor]:
    """Everything under our names."""
    ours = made(config, dict(empty(config).named_parameters()))
    shapes = {name: tuple(tensor.shape) for name, tensor in ours.items()}
    if config.positions in WAVES:  # which a file leaves out where CTranslate2 computes them
        shapes = {name: shape for name, shape in shapes.items() if not name.endswith(".positions")}
    stored = {name: value for name, value in found.tensors().items() if name not in WORDS}
    return unmade(imported(stored, shapes, rules(config)))


# ------------------------------------------------------------------ what the model is


def configured(found: Variables, said: Mapping[str, Any]) -> TransformerConfig:
    """Our configuration, from the shapes of what is there and the few numbers beside them."""
    if found.spec not in STACKS:
        raise refusal(f"a {found.spec}", ", ".join(STACKS))
    stack, head = STACKS[found.spec]
    sides = [side for side in ("encoder", "decoder") if side in stack]
    for side, (name, usual) in itertools.product(sides, NOT_COMPUTED.items()):
        for place in (f"{side}/{name}", f"{side}/layer_0/{name}"):
            if found.number(place, usual) != usual:
                raise refusal(f"{name} {found.number(place, usual)}", f"{name} {usual}")
    first = {**around(found, sides), **layer(found, sides[-1])}
    rows = found[f"{sides[-1]}/embeddings{'' if sides[-1] == 'decoder' else '_0'}/weight"]
    eps = said.get("layer_norm_epsilon") or (1e-6 if first["norm"] == "rms" else 1e-5)
    return TransformerConfig.from_dict(
        {
            "stack": stack,
            "head": head,
            "vocab_size": len(rows),
            "d_model": rows.shape[1],
            "norm_eps": eps,
            **{f"{side}_layers": layers_of(found, side) for side in sides},
            **first,
            **(answer(found) if "decoder" in sides else {}),
        }
    )


def refusal(what: str, expected: str) -> InputError:
    """A model that is not computed here."""
    return InputError(
        f"this is a CTranslate2 model with {what}, which is not computed here; expected {expected}"
    )


def layers_of(found: Variables, side: str) -> int:
    """How many layers a stack has."""
    numbers = {match[1] for name in found if (match := re.match(rf"{side}/layer_(\d+)/", name))}
    return len(numbers)


def around(found: Variables, sides: Sequence[str]) -> dict[str, Any]:
    """What stands around the layers, alike in both stacks."""
    side = sides[-1]
    fields: dict[str, Any] = {
        "embedding_norm": f"{side}/layernorm_embedding/gamma" in found,
        "final_norm": f"{side}/layer_norm/gamma" in found,
        "embedding_scale": scaled(found, side),
        "pooler": "pooler_dense/weight" in found,
        **positions(found, side),
    }
    if "encoder" in sides and "encoder/embeddings_1/weight" in found:
        fields["segments"] = len(found["encoder/embeddings_1/weight"])
    if len(sides) == 2 and not found.tensor("encoder/embeddings_0/weight").equal(
        found.tensor("decoder/embeddings/weight")
    ):
        fields["source_vocab_size"] = len(found["encoder/embeddings_0/weight"])
    if fields["pooler"]:
        fields["pooler_activation"] = ACTIVATIONS[int(found.number("pooler_activation", 5))]
    return fields


def scaled(found: Variables, side: str) -> bool:
    """Whether tokens are multiplied by the root of the model's size: a flag, or the number itself."""
    name = f"{side}/scale_embeddings"
    if name not in found:
        return True
    value, rows = found[name], found[f"{side}/embeddings{'' if side == 'decoder' else '_0'}/weight"]
    if value.dtype == torch.int8 or value.item() == 1.0:
        return value.dtype == torch.int8 and bool(value.item())
    if not math.isclose(value.item(), math.sqrt(rows.shape[1]), rel_tol=1e-5):
        raise refusal(f"tokens multiplied by {value.item()}", f"1 or {math.sqrt(rows.shape[1])}")
    return True


def positions(found: Variables, side: str) -> dict[str, Any]:
    """A table, distances, turns, or the waves that CTranslate2 makes where a file says nothing."""
    attention, table = f"{side}/layer_0/self_attention", f"{side}/position_encodings/encodings"
    if table in found:
        return {"positions": "learned", "max_positions": len(found[table])}
    if f"{attention}/relative_attention_bias" in found:
        return {
            "positions": "relative",
            "relative_buckets": len(found[f"{attention}/relative_attention_bias"]),
            "relative_distance": int(found.number(f"{attention}/relative_attention_max_distance", 128)),
        }
    if f"{attention}/rotary_dim" in found:
        kind = found.number(f"{attention}/rotary_scaling_type", -1)
        if kind not in (-1, 0):
            raise refusal("turns slowed unevenly", "turns that are all slowed alike, or none")
        return {
            "positions": "rotary",
            "rotary_base": found.number(f"{attention}/rotary_base", 10_000.0),
            "rotary_size": int(found.number(f"{attention}/rotary_dim", 0)) or None,
            "rotary_stretch": found.number(f"{attention}/rotary_scaling_factor", 1.0),
        }
    return {"positions": "sinusoidal-halves-inclusive", "position_offset": 1, "max_positions": 1024}


def layer(found: Variables, side: str) -> dict[str, Any]:
    """How a layer is made, by the first."""
    theirs = f"{side}/layer_0"
    attention, wide = f"{theirs}/self_attention", f"{theirs}/ffn"
    heads = int(found.number(f"{side}/num_heads", found.number("num_heads", HEADS.get(found.spec, 8))))
    keys = int(found.number(f"{attention}/num_heads_kv", heads))
    inner = found[f"{attention}/linear_0/weight"].shape[0] // (heads + 2 * keys) * heads
    scale = found.number(f"{attention}/queries_scale", (inner // heads) ** -0.5)
    if scale != 1.0 and not math.isclose(scale, (inner // heads) ** -0.5, rel_tol=1e-5):
        raise refusal(f"queries multiplied by {scale}", f"1 or {(inner // heads) ** -0.5}")
    activation = int(found.number(f"{side}/activation", found.number("activation", 0)))
    if activation not in ACTIVATIONS:
        raise refusal(f"the activation number {activation}", "one of " + ", ".join(map(str, ACTIVATIONS)))
    window = int(found.number(f"{side}/sliding_window", 0))
    parallel = f"{theirs}/input_layer_norm/gamma" in found
    norm = f"{theirs}/input_layer_norm" if parallel else f"{attention}/layer_norm"
    bias, output_bias = f"{attention}/linear_0/bias" in found, f"{attention}/linear_1/bias" in found
    return {
        "heads": heads,
        "kv_heads": None if keys == heads else keys,
        "head_size": None
        if found[f"{attention}/linear_1/weight"].shape == (inner, inner)
        else inner // heads,
        "d_ff": found[f"{wide}/linear_0/weight"].shape[0],
        "norm": "layer" if f"{norm}/beta" in found else "rms",
        "norm_first": bool(found.number(f"{side}/pre_norm", found.number("pre_norm", 1))),
        "parallel_residual": parallel,
        "activation": ACTIVATIONS[activation],
        "gated": f"{wide}/linear_0_noact/weight" in found,
        "attention_bias": bias,
        "attention_output_bias": None if output_bias == bias else output_bias,
        "attention_scale": scale != 1.0 or inner == heads,
        "feed_forward_bias": f"{wide}/linear_0/bias" in found,
        "window": window or None,
    }


def answer(found: Variables) -> dict[str, Any]:
    """How a decoder's last row becomes words."""
    rows, output = (found.tensor(f"decoder/{name}/weight") for name in ("embeddings", "projection"))
    return {
        "tied_output": rows.equal(output),
        "output_bias": "decoder/projection/bias" in found,
        "output_scale": found.number("decoder/scale_outputs", 1.0) != 1.0,
    }


# ------------------------------------------------------------------ its words


def described(folder: Path, found: Variables) -> dict[str, Any]:
    """config.json, or what older files say in model.bin."""
    if (folder / CONFIG).is_file():
        said = read_json(folder / CONFIG)
        return {**USUAL, "decoder_start_token": None, **{k: v for k, v in said.items() if v is not None}}
    words = {name: found.word(name, usual) for name, usual in USUAL.items()}
    starts = found.number("with_target_bos", 1)
    return {
        **words,
        "decoder_start_token": words["bos_token" if starts else "eos_token"],
        "add_source_bos": bool(found.number("with_source_bos", 0)),
        "add_source_eos": bool(found.number("with_source_eos", 0)),
    }


def tokenizers(folder: Path, said: Mapping[str, Any]) -> tuple[Tokenizer, Tokenizer | None]:
    """Those beside the model, or whole words."""
    if (folder / "tokenizer.json").is_file():
        return Tokenizer.load(folder), Tokenizer.load_source(folder)
    for name in ("shared_vocabulary", "vocabulary"):
        shared = vocabulary(folder, name, said)
        if shared is not None:
            return of_words(shared, said), None
    target, source = (vocabulary(folder, f"{side}_vocabulary", said) for side in ("target", "source"))
    if target is None or source is None:
        raise InputError(
            f"{folder} holds {FILE} and no vocabulary; copy the files of its vocabularies there too"
        )
    return of_words(target, said), of_words(source, said, framed=True)


def vocabulary(folder: Path, name: str, said: Mapping[str, Any]) -> list[str] | None:
    """The words by their numbers; one for unknown words is the last where none is among them."""
    listed, lines = folder / f"{name}.json", folder / f"{name}.txt"
    if listed.is_file():
        words: list[str] = json.loads(listed.read_text("utf-8"))
    elif lines.is_file():
        words = lines.read_text("utf-8").removesuffix("\n").split("\n")
    else:
        return None
    return words if said["unk_token"] in words else [*words, said["unk_token"]]


def of_words(words: Sequence[str], said: Mapping[str, Any], framed: bool = False) -> Tokenizer:
    """A tokenizer that finds these words between spaces."""
    parts = {part: said[f"{part}_token"] for part in ("unk", "bos", "eos")}
    parts["pad"] = next((token for token in PADDING if token in words), "")
    parts = {part: token for part, token in parts.items() if token in words}
    frame = {
        place: part
        for place, part in (("before", "bos"), ("after", "eos"))
        if framed and said.get(f"add_source_{part}") and part in parts
    }
    return Tokenizer.of_words(words, Special(**parts, **frame))
