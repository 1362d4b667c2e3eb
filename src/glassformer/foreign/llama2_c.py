"""A model of llama2.c: one file of numbers behind a header, one of pieces. Karpathy 2023, "llama2.c".

Queries and keys turn in neighbouring pairs there; a text begins with <s>, which also says that it is over.
"""

import math
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from tokenizers import processors
from torch import Tensor

from glassformer.config import TransformerConfig
from glassformer.errors import InputError
from glassformer.foreign.checkpoint import Foreign, filled
from glassformer.text import sentencepiece
from glassformer.text.sentencepiece import BPE, BYTE, CONTROL, NORMAL, SPACE, UNKNOWN, Piece
from glassformer.text.tokenizer import Tokenizer
from glassformer.weights import AS_IS, Reshape, pairs

MAGIC, HEADER = 0x616B3432, 256  # of files that say their version
LAYER = "decoder.layers.{i}"
QUERY, KEY, VALUE, OUTPUT = (
    f"{LAYER}.self_attention.{part}.weight" for part in ("query", "key", "value", "output")
)
GATE, DOWN, UP = (f"{LAYER}.feed_forward.{part}.weight" for part in ("gate", "down", "up"))
FIRST, SECOND = f"{LAYER}.self_attention_norm.weight", f"{LAYER}.feed_forward_norm.weight"
LAST, TOKENS, TURNS, WORDS = "decoder.norm.weight", "tokens.weight", "", "head.output.weight"
ORDERS = {  # version -> what stands behind the header; a name with {i}: one for each layer
    0: (TOKENS, FIRST, QUERY, KEY, VALUE, OUTPUT, SECOND, GATE, DOWN, UP, LAST, TURNS, WORDS),
    1: (FIRST, SECOND, LAST, TOKENS, QUERY, KEY, VALUE, OUTPUT, GATE, DOWN, UP, WORDS),
}
UNK, BOS, EOS = "<unk>", "<s>", "</s>"  # the first three pieces, and then every byte


def is_one(folder: Path) -> bool:
    """Whether a folder is of this kind: numbers and pieces, and no other .bin file."""
    return len(files_of(folder)) == 2


def files_of(folder: Path) -> list[Path]:
    """The numbers, then the pieces, which tok... names."""
    found = sorted(folder.glob("*.bin"), key=lambda path: path.name.startswith("tok"))
    return found if [path.name.startswith("tok") for path in found] == [False, True] else []


def read(folder: Path) -> Foreign:
    """Its model and its tokenizer."""
    numbers, pieces = files_of(folder)
    version, config, data = opened(numbers)
    parameters = dict(tensors(data, version, config, numbers))
    tokenizer = tokenizer_of(pieces)
    return Foreign(filled(config, parameters, {}, folder), tokenizer)


def opened(path: Path) -> tuple[int, TransformerConfig, memoryview]:
    """The version, the configuration that the header tells, and what stands behind it."""
    data = path.read_bytes()
    try:
        magic, version = struct.unpack_from("<Ii", data)
        named = magic == MAGIC
        width, wide, layers, heads, keys, vocabulary, length = struct.unpack_from(
            "<7i", data, 8 if named else 0
        )
        tied = data[36] == 1 if named else vocabulary > 0
    except (struct.error, IndexError) as error:
        raise broken(path, "it ends too early") from error
    if named and version not in ORDERS:
        raise InputError(
            f"{path} is of version {version} of llama2.c's files; expected 0 or 1: export it as one"
        )
    if min(width, wide, layers, heads, keys, abs(vocabulary), length) < 1:
        raise broken(path, "its header makes no sense")
    config = TransformerConfig(
        stack="decoder",
        vocab_size=abs(vocabulary),
        d_model=width,
        heads=heads,
        kv_heads=None if keys == heads else keys,
        d_ff=wide,
        decoder_layers=layers,
        max_positions=length,
        norm="rms",
        norm_first=True,
        final_norm=True,
        positions="rotary",
        activation="silu",
        gated=True,
        attention_bias=False,
        feed_forward_bias=False,
        tied_output=tied,
    )
    return version if named else 0, config, memoryview(data)[HEADER if named else 28 :]


def broken(path: Path, why: str) -> InputError:
    """A file that is no such model."""
    return InputError(f"{path} is not a whole model of llama2.c ({why}); fetch it again")


def tensors(
    data: memoryview, version: int, config: TransformerConfig, path: Path
) -> Iterator[tuple[str, Tensor]]:
    """Every parameter, in the order of the file."""
    place = 0
    for name in ORDERS[version]:
        if name == WORDS and config.tied_output:
            continue
        layers = range(config.decoder_layers) if "{i}" in name else range(1)
        for layer in layers:
            shape, reshape = laid_out(name, config)
            count = math.prod(shape)
            if len(data) < 4 * (place + count):
                raise broken(path, "it ends too early")
            tensor = torch.frombuffer(bytearray(data[4 * place : 4 * (place + count)]), dtype=torch.float32)
            place += count
            if name != TURNS:
                yield name.replace("{i}", str(layer)), reshape.ours(tensor.reshape(shape))[0]
    if len(data) != 4 * place:
        raise broken(path, f"{len(data) - 4 * place} bytes are left over")


def laid_out(name: str, config: TransformerConfig) -> tuple[tuple[int, ...], Reshape]:
    """The shape of a tensor, and how it lies."""
    width, wide, size = config.d_model, config.d_ff, config.size_of_head
    keys = config.kv_heads or config.heads
    shapes: dict[str, tuple[tuple[int, ...], Reshape]] = {
        TOKENS: ((config.vocab_size, width), AS_IS),
        WORDS: ((config.vocab_size, width), AS_IS),
        QUERY: ((width, width), pairs(config.heads)),
        KEY: ((keys * size, width), pairs(keys)),
        VALUE: ((keys * size, width), AS_IS),
        OUTPUT: ((width, width), AS_IS),
        GATE: ((wide, width), AS_IS),
        UP: ((wide, width), AS_IS),
        DOWN: ((width, wide), AS_IS),
        TURNS: ((2, config.max_positions, size // 2), AS_IS),  # cosines and sines, which are computed here
    }
    return shapes.get(name, ((width,), AS_IS))


# ------------------------------------------------------------------ pieces


def tokenizer_of(path: Path) -> Tokenizer:
    """A tokenizer of scored pieces, of which bytes are the last resort."""
    pieces = pieces_of(path)
    model = sentencepiece.Model(
        pieces=tuple(pieces), kind=BPE, byte_fallback=True, charsmap=b"", prefix=True, trimmed=False
    )
    backend = sentencepiece.backend(model, [piece.text for piece in pieces], [BOS, EOS])
    backend.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A $B", special_tokens=[(BOS, 1)]
    )
    return Tokenizer(backend, {"unk": UNK, "bos": BOS, "eos": BOS})


def pieces_of(path: Path) -> list[Piece]:
    """The pieces by their numbers, with their scores."""
    data, place, found = path.read_bytes(), 4, list[Piece]()
    try:
        while place < len(data):
            score, length = struct.unpack_from("<fi", data, place)
            text = data[place + 8 : place + 8 + length].decode("utf-8")
            place += 8 + length
            found.append(Piece(named(text, len(found)), score, kind_of(len(found))))
    except (struct.error, UnicodeDecodeError) as error:
        raise InputError(f"{path} holds no pieces of llama2.c ({error}); fetch it again") from error
    if place != len(data) or not matches(found):
        raise InputError(
            f"{path} holds no pieces of llama2.c: {UNK}, {BOS}, {EOS}, all bytes, more; fetch it again"
        )
    return found


def named(text: str, number: int) -> str:
    """A piece as SentencePiece writes it: the space is a letter, special ones stand on no lines of their own."""
    return text.strip("\n") if number in (1, 2) else text.replace(" ", SPACE)


def kind_of(number: int) -> int:
    """What a piece is, by its place."""
    return UNKNOWN if number == 0 else CONTROL if number < 3 else BYTE if number < 259 else NORMAL


def matches(pieces: Sequence[Piece]) -> bool:
    """Whether the first pieces are those expected."""
    expected = [UNK, BOS, EOS, *(f"<0x{byte:02X}>" for byte in range(256))]
    return [piece.text for piece in pieces[: len(expected)]] == expected
