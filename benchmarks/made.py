"""Models of real sizes with random weights, made once into a folder, as every runtime wants them."""

import json
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

from glassformer import pretrained
from glassformer.export import ctranslate2, gguf, onnx
from glassformer.export.options import Options
from glassformer.tasks.model import Model
from glassformer.text.tokenizer import Tokenizer

START = 58100  # Marian's padding, which begins every translation
MARIAN = {
    "vocab_size": 58101,
    "d_model": 512,
    "encoder_layers": 6,
    "decoder_layers": 6,
    "encoder_attention_heads": 8,
    "decoder_attention_heads": 8,
    "encoder_ffn_dim": 2048,
    "decoder_ffn_dim": 2048,
    "max_position_embeddings": 512,
    "activation_function": "swish",
    "scale_embedding": True,
    "pad_token_id": START,
    "decoder_start_token_id": START,
    "eos_token_id": 0,
    "forced_eos_token_id": None,
}
MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
TRANSLATOR = {  # of the recipe translate-en-fr
    **MARIAN,
    "vocab_size": 5000,
    "d_model": 256,
    "encoder_layers": 4,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 512,
    "decoder_ffn_dim": 512,
    "activation_function": "relu",
    "pad_token_id": 1,
    "decoder_start_token_id": 0,
    "dropout": 0.1,
}
NO_DROPOUT = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}


def letters(width: int, heads: int, layers: int, length: int) -> transformers.GPT2LMHeadModel:
    """A GPT-2 of characters, without dropout, as nanoGPT's small settings are."""
    sizes = {"n_embd": width, "n_head": heads, "n_layer": layers, "n_positions": length, "vocab_size": 65}
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **NO_DROPOUT, **ends))


KINDS = {
    "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config()),
    "marian": lambda: transformers.MarianMTModel(transformers.MarianConfig(**MARIAN)),
    "minilm": lambda: transformers.BertModel(transformers.BertConfig(**MINILM)),
    "minilm-labels": lambda: transformers.BertForSequenceClassification(transformers.BertConfig(**MINILM)),
    "letters-small": lambda: letters(128, 4, 4, 64),
    "letters": lambda: letters(384, 6, 6, 256),
    "translator": lambda: transformers.MarianMTModel(transformers.MarianConfig(**TRANSLATOR)),
    "bert-base": lambda: transformers.BertModel(transformers.BertConfig()),
}


def words(size: int) -> Tokenizer:
    """A tokenizer of so many words, for runtimes that ask for one."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    merged = letters[0] + letters[1]  # llama.cpp opens no vocabulary without a merge
    others = [f"t{n}" for n in range(size - len(letters) - 1)]
    vocabulary = {word: number for number, word in enumerate([*letters, merged, *others])}
    backend = Backend(models.BPE(vocabulary, [(letters[0], letters[1])]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return Tokenizer(backend, {"bos": letters[0], "eos": letters[0], "pad": letters[1], "unk": letters[2]})


def folder_of(name: str, at: Path) -> Path:
    """The checkpoint folder of one of these."""
    folder = at / name
    if not (folder / "config.json").exists():
        torch.manual_seed(0)
        KINDS[name]().eval().save_pretrained(folder)
    return folder


def loaded(name: str, at: Path) -> Model:
    """The same as ours."""
    checkpoint = pretrained.load_transformer(folder_of(name, at), dtype="float32")
    return Model(checkpoint, words(checkpoint.transformer.config.vocab_size))


def as_gguf(name: str, at: Path, dtype: str) -> str:
    """For llama.cpp."""
    path = at / f"{name}-{dtype}.gguf"
    if not path.exists():
        gguf.write(loaded(name, at), path, Options(dtype=dtype))
    return str(path)


def as_ctranslate2(name: str, at: Path) -> str:
    """For CTranslate2, in float32: it makes of them what it is asked to compute in."""
    path = at / f"{name}-ctranslate2"
    if not path.exists():
        ctranslate2.write(loaded(name, at), path, Options(dtype="float32"))
    return str(path)


def as_onnx(name: str, at: Path, quantized: bool) -> str:
    """For ONNX Runtime, with dynamic int8 if asked."""
    path = at / f"{name}-onnx"
    if not path.exists():
        onnx.write(loaded(name, at), path, Options(dtype="float32"))
    file = next(each for each in path.glob("*.onnx") if "int8" not in each.name)
    if not quantized:
        return str(file)
    small = path / "int8.onnx"
    if not small.exists():
        from onnxruntime.quantization import QuantType, quantize_dynamic
        from onnxruntime.quantization.shape_inference import quant_pre_process

        folded = path / "int8-folded.onnx"  # else weights behind a transposition are left as they are
        quant_pre_process(str(file), str(folded))
        quantize_dynamic(str(folded), str(small), weight_type=QuantType.QInt8)
    return str(small)


def tokens(name: str, at: Path, rows: list[list[int]]) -> list[list[str]]:
    """Ids as the words that CTranslate2 takes."""
    vocabulary = json.loads(next(Path(as_ctranslate2(name, at)).glob("*vocabulary.json")).read_text("utf-8"))
    return [[vocabulary[id] for id in row] for row in rows]
