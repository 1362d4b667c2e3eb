"""llama2.c's files, read as ours: a model of `transformers`, written as its own script writes it, answers the same."""

import struct
from pathlib import Path

import pytest
import torch
import transformers
from torch import Tensor

from glassformer.errors import InputError
from glassformer.foreign import llama2_c
from glassformer.tasks.model import load
from glassformer.text.sentencepiece import SPACE

from ..families.harness import perturb

WIDTH, HEADS, KEYS, WIDE, LAYERS, LENGTH = 16, 4, 2, 20, 2, 24
LEARNED = [
    "▁o",
    "▁on",
    "on",
    "ce",
    "nce",
    "▁once",
    "te",
    "▁t",
    "▁te",
    "a",
    "b",
    "c",
    "e",
    "n",
    "o",
    "s",
    "t",
    "▁",
]
PIECES = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *LEARNED]


def reference(tied: bool) -> transformers.LlamaForCausalLM:
    """A random Llama, every parameter moved."""
    config = transformers.LlamaConfig(
        vocab_size=len(PIECES),
        hidden_size=WIDTH,
        intermediate_size=WIDE,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KEYS,
        max_position_embeddings=LENGTH,
        rms_norm_eps=1e-5,
        tie_word_embeddings=tied,
        attn_implementation="eager",
    )
    model = transformers.LlamaForCausalLM(config).eval()
    perturb(model, 6)
    return model


def interleaved(weight: Tensor, heads: int) -> Tensor:
    """Two halves of a head as neighbouring pairs: the file has them as Llama's first code had."""
    halves = weight.view(heads, 2, WIDTH // HEADS // 2, -1)
    return torch.stack([halves[:, 0], halves[:, 1]], dim=2).reshape(weight.shape)


def numbers(model: transformers.LlamaForCausalLM, version: int, tied: bool) -> bytes:
    """The file, as llama2.c's export.py writes it."""
    state, layers = model.state_dict(), range(LAYERS)
    shape = [WIDTH, WIDE, LAYERS, HEADS, KEYS, len(PIECES) if tied or version else -len(PIECES), LENGTH]

    def each(name: str, heads: int = 0) -> list[Tensor]:
        found = [state[f"model.layers.{layer}.{name}.weight"] for layer in layers]
        return [interleaved(one, heads) for one in found] if heads else found

    first, second = each("input_layernorm"), each("post_attention_layernorm")
    attention = [
        *each("self_attn.q_proj", HEADS),
        *each("self_attn.k_proj", KEYS),
        *each("self_attn.v_proj"),
        *each("self_attn.o_proj"),
    ]
    wide = [*each("mlp.gate_proj"), *each("mlp.down_proj"), *each("mlp.up_proj")]
    tokens, last = state["model.embed_tokens.weight"], state["model.norm.weight"]
    turns = torch.rand(2, LENGTH, WIDTH // HEADS // 2)  # computed by us, whatever they say
    if version == 0:
        header = struct.pack("<7i", *shape)
        order = [tokens, *first, *attention, *second, *wide, last, turns]
    else:
        header = struct.pack("<Ii7iB", 0x616B3432, version, *shape, tied).ljust(256, b"\0")
        order = [*first, *second, last, tokens, *attention, *wide]
    order += [] if tied else [state["lm_head.weight"]]
    return header + b"".join(tensor.contiguous().numpy().tobytes() for tensor in order)


def pieces() -> bytes:
    """The pieces, as llama2.c's tokenizer.py writes them: the sooner learned, the better."""
    data = struct.pack("<i", max(map(len, PIECES)))
    for number, piece in enumerate(PIECES):
        text = f"\n{piece}\n" if number in (1, 2) else piece.replace(SPACE, " ")
        data += struct.pack("<fi", -float(max(0, number - 259)), len(text.encode())) + text.encode()
    return data


def written(folder: Path, version: int = 0, tied: bool = True) -> transformers.LlamaForCausalLM:
    """A folder of llama2.c, and the model that it holds."""
    model = reference(tied)
    (folder / "stories.bin").write_bytes(numbers(model, version, tied))
    (folder / "tok.bin").write_bytes(pieces())
    return model


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("version", [0, 1])
def test_it_answers_as_transformers_do(version: int, tied: bool, tmp_path: Path) -> None:
    theirs, mine = written(tmp_path, version, tied), load(tmp_path)
    ids = torch.arange(10).reshape(2, 5) * 20
    with torch.no_grad():
        gap = theirs(ids).logits - mine.transformer(target=ids)
    assert gap.abs().max() < 1e-5
    assert mine.config.max_positions == LENGTH
    assert mine.trace("once te").verify().max_relative_error < 1e-4


def test_texts_are_cut_into_the_best_pieces(tmp_path: Path) -> None:
    written(tmp_path)
    tokenizer = load(tmp_path).tokenizer
    assert tokenizer.encode("once te").tokens == ["<s>", "▁once", "▁te"]
    assert tokenizer.encode("é").tokens == ["<s>", "▁", "<0xC3>", "<0xA9>"]
    assert tokenizer.decode(tokenizer.encode("once é te", special=False).ids) == "once é te"
    assert (tokenizer.bos_id, tokenizer.eos_id, tokenizer.unk_id) == (1, 1, 0)


def test_saved_as_ours_it_is_the_same(tmp_path: Path) -> None:
    written(tmp_path)
    mine = load(tmp_path)
    mine.save_pretrained(tmp_path / "ours")
    again = load(tmp_path / "ours")
    ids = torch.arange(10)[None]
    with torch.no_grad():
        assert again.transformer(target=ids).equal(mine.transformer(target=ids))
    assert again.tokenizer.encode("once").ids == mine.tokenizer.encode("once").ids


def test_other_folders_are_not_of_this_kind(tmp_path: Path) -> None:
    written(tmp_path)
    assert llama2_c.is_one(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    assert not llama2_c.is_one(tmp_path)


def test_a_file_that_is_broken_is_refused(tmp_path: Path) -> None:
    written(tmp_path)
    path = tmp_path / "stories.bin"
    whole = path.read_bytes()
    for data, why in (
        (whole[:-4], "it ends too early"),
        (whole + b"1234", "4 bytes are left over"),
        (whole[:9], "it ends too early"),
        (bytes(28), "its header makes no sense"),
    ):
        path.write_bytes(data)
        with pytest.raises(InputError, match=f"not a whole model of llama2.c .{why}"):
            load(tmp_path)
    path.write_bytes(struct.pack("<Ii", 0x616B3432, 2) + bytes(300))
    with pytest.raises(InputError, match="of version 2 of llama2.c's files; expected 0 or 1"):
        load(tmp_path)


@pytest.mark.parametrize("data", [pieces()[:-1], pieces()[:40], struct.pack("<ifi", 1, 0.0, 1) + b"a"])
def test_pieces_that_are_broken_are_refused(data: bytes, tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "tok.bin").write_bytes(data)
    with pytest.raises(InputError, match=r"tok\.bin holds no pieces of llama2\.c"):
        load(tmp_path)
