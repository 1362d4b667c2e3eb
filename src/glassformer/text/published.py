"""Tokenizers in published folders: the files that transformers reads and writes, read and written here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from glassformer.errors import InputError
from glassformer.files import replacing
from glassformer.text import layouts
from glassformer.text.special import PARTS, WELL_KNOWN

Settings = dict[str, Any]
TEMPLATE, TEMPLATES = "chat_template.jinja", "additional_chat_templates"  # a file, and a folder of more
SOURCE_FOLDER = "source_tokenizer"  # of the source's own vocabulary, where it has one


def read_folder(folder: Path) -> tuple[Backend, dict[str, str], Settings]:
    """The backend, part -> special token, and the raw settings of a published folder."""
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give a folder with tokenizer.json or vocabulary files")
    settings = with_templates(folder, read_json(folder / "tokenizer_config.json"))
    for names, read in READERS.items():
        if all((folder / name).is_file() for name in names):
            backend = read(folder, settings)
            if read is not read_whole:
                add_later_tokens(folder, backend, settings)
            return backend, special_parts(folder, backend, settings), settings
    expected = "; or ".join(" with ".join(names) for names in READERS)
    raise InputError(f"{folder} holds no tokenizer; expected {expected}: copy the files there")


def files_of(folder: Path) -> dict[str, bytes]:
    """Name -> content of the files of a tokenizer that other programs know in this form alone; else nothing."""
    whole = (folder / "tokenizer.json").is_file() or (folder / SOURCE_FOLDER).is_dir()
    if whole or not any(all((folder / name).is_file() for name in names) for names in ONLY_SO):
        return {}
    names = {name for layout in ONLY_SO for name in (*layout, *BESIDE)}
    return {name: (folder / name).read_bytes() for name in sorted(names) if (folder / name).is_file()}


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """The same files again, in place of whatever else said how a text is cut there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        with replacing(folder / name) as partial:
            partial.write_bytes(content)
    (folder / "tokenizer.json").unlink(missing_ok=True)
    shutil.rmtree(folder / SOURCE_FOLDER, ignore_errors=True)


def read_source(folder: Path) -> tuple[Backend, dict[str, str], Settings] | None:
    """The same of the language that is translated from, where its vocabulary is cut by a model of its own."""
    if (folder / SOURCE_FOLDER).is_dir():
        return read_folder(folder / SOURCE_FOLDER)
    if (folder / "tokenizer.json").is_file() or not (folder / "source.spm").is_file():
        return None
    settings = read_json(folder / "tokenizer_config.json")
    backend = layouts.read_side("source")(folder, settings)
    return backend, special_parts(folder, backend, settings), settings


def read_json(path: Path) -> Settings:
    """A JSON object, or nothing where there is no such file."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not readable JSON ({error}); fetch the file again") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds a {type(value).__name__}, not an object; fetch the file again")
    return value


def with_templates(folder: Path, settings: Settings) -> Settings:
    """The settings with the chat templates that stand in files of their own, which hold where both are there."""
    files = [folder / TEMPLATE, *sorted((folder / TEMPLATES).glob("*.jinja"))]
    found = {path.stem: read_text(path) for path in files if path.is_file()}
    usual = found.pop(Path(TEMPLATE).stem, None)
    if not found:
        return settings if usual is None else {**settings, "chat_template": usual}
    named = found if usual is None else {"default": usual, **found}
    listed = [{"name": name, "template": template} for name, template in named.items()]
    return {**settings, "chat_template": listed}


def templates_of(settings: Settings) -> dict[str, str]:
    """Name -> chat template; the only one is the default."""
    stated = settings.get("chat_template")
    if isinstance(stated, str):
        return {"default": stated}
    listed = [each for each in stated or () if isinstance(each, Mapping)]
    return {str(each.get("name")): str(each.get("template")) for each in listed}


def read_whole(folder: Path, settings: Settings) -> Backend:
    """tokenizer.json; padding and truncation are left to the batch, so that nothing is cut unseen."""
    path = folder / "tokenizer.json"
    read_json(path)
    try:
        backend = Backend.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise InputError(f"{path} is not a readable tokenizer ({one_line(error)}); fetch it again") from error
    backend.no_padding()
    backend.no_truncation()
    return backend


def read_wordpiece(folder: Path, settings: Settings) -> Backend:
    """BERT's vocab.txt. Devlin et al. 2019."""
    lines = read_text(folder / "vocab.txt").split("\n")
    tokens = [line.rstrip("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    special = {part: name_of(settings.get(f"{part}_token")) or usual for part, usual in BERT_TOKENS.items()}
    missing = [token for token in special.values() if token not in vocabulary]
    if missing:
        raise InputError(
            f"{folder / 'vocab.txt'} has no {', '.join(missing)}; a BERT vocabulary was expected: "
            "name its special tokens in tokenizer_config.json"
        )
    backend = Backend(models.WordPiece(vocabulary, unk_token=special["unk"], max_input_chars_per_word=100))
    backend.normalizer = normalizers.BertNormalizer(
        lowercase=settings.get("do_lower_case", True),
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
        strip_accents=settings.get("strip_accents"),
    )
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    cls, sep = special["cls"], special["sep"]
    backend.post_processor = processors.TemplateProcessing(
        single=f"{cls}:0 $A:0 {sep}:0",
        pair=f"{cls}:0 $A:0 {sep}:0 $B:1 {sep}:1",
        special_tokens=[(cls, vocabulary[cls]), (sep, vocabulary[sep])],
    )
    backend.add_special_tokens(list(special.values()))
    return backend


def read_bytes(folder: Path, settings: Settings) -> Backend:
    """vocab.json with merges.txt: GPT-2, or RoBERTa and BART where the vocabulary has <s> and </s>."""
    path = folder / "merges.txt"
    vocabulary = read_json(folder / "vocab.json")
    lines = [line for line in read_text(path).split("\n") if line and not line.startswith("#version")]
    merges = [(left, right) for left, _, right in (line.partition(" ") for line in lines)]
    try:
        model = models.BPE(vocabulary, merges)
    except Exception as error:  # the library raises nothing narrower
        raise InputError(
            f"{path} does not fit its vocab.json ({one_line(error)}); fetch both files again"
        ) from error
    backend = Backend(model)
    prefix = bool(settings.get("add_prefix_space", False))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    backend.decoder = decoders.ByteLevel()
    if "<s>" in vocabulary and "</s>" in vocabulary:
        backend.post_processor = processors.RobertaProcessing(
            ("</s>", vocabulary["</s>"]), ("<s>", vocabulary["<s>"]), add_prefix_space=prefix
        )
        plain = ("<s>", "<pad>", "</s>", "<unk>")
        backend.add_special_tokens([token for token in plain if token in vocabulary])
        if "<mask>" in vocabulary:
            backend.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    else:
        backend.post_processor = processors.ByteLevel(trim_offsets=False)
        backend.add_special_tokens([token for token in ("<|endoftext|>",) if token in vocabulary])
    return backend


def add_later_tokens(folder: Path, backend: Backend, settings: Settings) -> None:
    """Tokens added to a vocabulary after its training, whose ids follow on from it."""
    stated = {int(number): token for number, token in (settings.get("added_tokens_decoder") or {}).items()}
    stated |= {number: token for token, number in read_json(folder / "added_tokens.json").items()}
    for number, token in sorted(stated.items()):
        flags = {key: token[key] for key in ADDED_FLAGS if key in token} if isinstance(token, Mapping) else {}
        name = name_of(token) or ""
        if backend.token_to_id(name) is None:
            backend.add_tokens([AddedToken(name, **flags)])
        if backend.token_to_id(name) != number:
            raise InputError(
                f"{folder} says that {name!r} is token {number}, but its vocabulary makes it "
                f"{backend.token_to_id(name)}; fetch the tokenizer's files again"
            )


def special_parts(folder: Path, backend: Backend, settings: Settings) -> dict[str, str]:
    """Part -> token: from special_tokens_map.json, tokenizer_config.json, else the well-known names."""
    stated = settings | read_json(folder / "special_tokens_map.json")
    named = {part: token for part in PARTS if (token := name_of(stated.get(f"{part}_token"))) is not None}
    if not named:
        known = backend.get_vocab()
        candidates = {part: [token for token in WELL_KNOWN[part] if token in known] for part in PARTS}
        named = {part: tokens[0] for part, tokens in candidates.items() if tokens}
    present = {part: token for part, token in named.items() if backend.token_to_id(token) is not None}
    already = {token.content for token in backend.get_added_tokens_decoder().values()}
    backend.add_special_tokens([token for token in present.values() if token not in already])
    return present


def name_of(stated: object) -> str | None:
    """A special token's text; files hold it plain or as an object with `content`."""
    if isinstance(stated, Mapping):
        stated = stated.get("content")
    return stated if isinstance(stated, str) else None


def one_line(error: Exception) -> str:
    """A library's message, which may run over several lines, as part of a sentence."""
    return " ".join(str(error).split())


def read_text(path: Path) -> str:
    """A whole UTF-8 file with its line ends as they are."""
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error}); fetch the file again") from error


def write_folder(folder: Path, backend: Backend, parts: Mapping[str, str], settings: Settings) -> None:
    """tokenizer.json, tokenizer_config.json and special_tokens_map.json, as transformers opens them."""
    folder.mkdir(parents=True, exist_ok=True)
    named = {f"{part}_token": token for part, token in parts.items()}
    plain = {key: value for key, value in settings.items() if key not in UNPUBLISHED}
    fixed = {"tokenizer_class": "PreTrainedTokenizerFast"}
    config = {"clean_up_tokenization_spaces": False, **plain, **named, **fixed}
    write(folder / "tokenizer.json", backend.to_str(pretty=True))
    for path in (folder / TEMPLATE, *(folder / TEMPLATES).glob("*.jinja")):
        path.unlink(missing_ok=True)  # of what stood here before: ours are among the settings
    write(folder / "tokenizer_config.json", json.dumps(config, indent=2, ensure_ascii=False) + "\n")
    write(folder / "special_tokens_map.json", json.dumps(named, indent=2, ensure_ascii=False) + "\n")


def write(path: Path, text: str) -> None:
    """Write whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


BERT_TOKENS: Mapping[str, str] = {
    "pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]",
}  # fmt: skip
UNPUBLISHED = (
    "name_or_path",
    "special_tokens_map_file",
    "tokenizer_file",
    "backend",
    "is_local",
    "added_tokens_decoder",
)
ADDED_FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")
ONLY_SO = (  # the tokenizers of Marian and of M2M100 in transformers read no tokenizer.json
    ("source.spm", "target.spm", "vocab.json"),
    ("sentencepiece.bpe.model", "vocab.json"),
)
BESIDE = ("target_vocab.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
READERS = {
    ("tokenizer.json",): read_whole,
    ("source.spm", "target.spm", "vocab.json"): layouts.read_side("target"),
    ("sentencepiece.bpe.model", "vocab.json"): layouts.read_numbered,
    ("spiece.model",): layouts.read_pieces("spiece.model"),
    ("sentencepiece.bpe.model",): layouts.read_pieces("sentencepiece.bpe.model"),
    ("vocab.txt",): read_wordpiece,
    ("vocab.json", "merges.txt"): read_bytes,
}
