"""A training run, written down: what is learnt, from which files, by which model and how."""

import difflib
import json
import math
import tomllib
import types
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, Union, get_args, get_origin, get_type_hints

from glassformer.config import TransformerConfig
from glassformer.data.reading import Reading
from glassformer.decoding.options import Decoding
from glassformer.errors import InputError
from glassformer.shipped import shipped_recipes

T = TypeVar("T")
Names = str | tuple[str, ...]


def option(description: str, default: Any = ...) -> Any:
    """A field of a table with its one-line description; without a default it must be given."""
    metadata = {"description": description}
    return field(metadata=metadata) if default is ... else field(default=default, metadata=metadata)


def _at_least(lowest: int, name: str, value: float | None) -> None:
    if value is not None and not lowest <= value < math.inf:
        raise InputError(f"{name} is {value}; expected {lowest} or more")


def _above_zero(name: str, value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise InputError(f"{name} is {value}; expected a number above 0")


@dataclass(frozen=True, kw_only=True)
class DataTable(Reading):
    """Which files play which role, and how they are read; names are patterns inside the folder that the user gives."""

    train: Names = option("files to learn from: a pattern for tables, two for parallel texts")
    dev: Names | None = option("files that choose the best checkpoint", None)
    test: Names | None = option("files for the final score, never seen in training", None)
    held_out: float = option(
        "without dev files: this share of the training examples serves as them, drawn always alike; of texts the last",
        0.0,
    )
    unseen: bool = option(
        "leave out of the training examples whose text, of a question whose context, dev or test files hold too",
        False,
    )
    only: tuple[str, ...] = option("labels: examples that have any other label are left out", ())
    capitals: bool = option(
        "tagging: tell the encoder, as segment 1, which tokens begin with a capital, for a vocabulary without any",
        False,
    )
    source_language: str | None = option("translation by a model of many languages: what the sources are in", None)
    target_language: str | None = option("the same of what is written", None)
    max_length: int = option(
        "tokens that are read together at most; longer pairs are left out, texts are cut", 256
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for role in ("train", "dev", "test"):
            names = getattr(self, role)
            if names is not None and not (names and all([names] if isinstance(names, str) else names)):
                raise InputError(f"[data] {role} names no file; name one, or leave {role} out")
        if not 0 <= self.held_out < 1:
            raise InputError(f"held_out is {self.held_out}; expected a share from 0 to below 1")
        if self.held_out and self.dev is not None:
            raise InputError(
                "held_out makes dev examples of training examples, and dev names files; give one of them"
            )


@dataclass(frozen=True, kw_only=True)
class TokenizerTable:
    """How text becomes tokens, when the tokenizer is learnt from the training text."""

    kind: Literal["bpe", "byte-bpe", "wordpiece", "unigram", "characters", "words"] = option(
        "how text is cut into tokens", "bpe"
    )
    vocab_size: int = option("how many tokens to learn", 8000)
    lowercase: bool = option("turn text into lower case first", False)
    special: str | None = option("which special tokens it has: a preset such as 'bert'", None)
    use: str | None = option("the tokenizer of this model instead of one that is learnt", None)


@dataclass(frozen=True, kw_only=True)
class TuningTable:
    """Which of the weights learn, and how fast beside the others."""

    method: Literal["whole", "head", "lora"] = option(
        "all weights, the head alone, or narrow maps beside the frozen ones (LoRA)", "whole"
    )
    freeze: tuple[str, ...] = option("patterns of parameters that stay, such as 'tokens.*'", ())
    frozen_layers: int = option("this many of the lowest layers, and the embedding below them, stay", 0)
    layer_decay: float = option("each layer learns this much slower than the one above it", 1.0)
    head_learning_rate: float | None = option("the head's own highest learning rate", None)
    rank: int = option("LoRA: width of the narrow maps", 8)
    alpha: float = option("LoRA: their sum is scaled by alpha / rank", 16.0)
    lora_dropout: float = option("LoRA: share of their input that is dropped while learning", 0.0)
    targets: tuple[str, ...] = option(
        "LoRA: patterns of the linear maps that get one", ("*attention.query", "*attention.value")
    )

    def __post_init__(self) -> None:
        _at_least(0, "frozen_layers", self.frozen_layers)
        _at_least(1, "rank", self.rank)
        for name in ("alpha", "head_learning_rate"):
            _above_zero(name, getattr(self, name))
        if not 0 < self.layer_decay <= 1:
            raise InputError(f"layer_decay is {self.layer_decay}; expected a share above 0, at most 1")
        if not 0 <= self.lora_dropout < 1:
            raise InputError(f"lora_dropout is {self.lora_dropout}; expected a share from 0 to below 1")


@dataclass(frozen=True, kw_only=True)
class PretrainingTable:
    """What is asked of a model that learns from text alone."""

    context: int = option("tokens that are read together", 128)
    mask_share: float = option("share of the tokens that is hidden", 0.15)
    whole_words: bool = option("hide all tokens of a word or none", False)
    next_sentence: bool = option("also ask whether the second half follows the first", False)
    corruption: Literal["spans", "infilling"] = option(
        "denoising: write the missing spans (T5), or the whole text anew (BART)", "spans"
    )
    mean_span: float = option("denoising: mean length of a missing span", 3.0)

    def __post_init__(self) -> None:
        _at_least(2, "context", self.context)
        if not 0 < self.mask_share < 1:
            raise InputError(f"mask_share is {self.mask_share}; expected a share between 0 and 1")
        _at_least(1, "mean_span", self.mean_span)


@dataclass(frozen=True, kw_only=True)
class TrainingTable:
    """How the weights are found."""

    max_tokens: int = option("tokens in one batch, padding included", 4096)
    max_examples: int | None = option("examples in one batch at most", None)
    accumulate: int = option("batches whose gradients make one step", 1)
    epochs: int | None = option("end after this many passes over the data", None)
    min_steps: int = option("more passes than `epochs` where those are fewer steps than this", 0)
    max_steps: int | None = option("end after this many steps", None)
    max_minutes: float | None = option("end after this much time, counted across resumes", None)

    schedule: Literal["inverse-square-root", "cosine", "linear", "constant"] = option(
        "how the learning rate falls after the warm-up", "inverse-square-root"
    )
    learning_rate: float = option("the highest learning rate", 1e-3)
    warmup_steps: int = option("steps over which the learning rate rises from zero", 1000)
    cooldown: float = option("last share of the run over which the rate also falls to zero in a line", 0.0)

    betas: tuple[float, float] = option("AdamW: how slowly the two moving averages forget", (0.9, 0.98))
    eps: float = option("AdamW: keeps the division finite", 1e-9)
    weight_decay: float = option("AdamW: pull of matrices towards zero; biases and norms have none", 0.0)
    clip_norm: float = option("longest gradient; 0: any length", 1.0)
    label_smoothing: float = option(
        "share of the target probability spread over the vocabulary or the labels", 0.0
    )
    r_drop: float = option(
        "weight of the distance between two passes with different dropout; 0: one pass", 0.0
    )
    bpe_dropout_source: float = option(
        "share of the merges left out in what is read, so that its words are cut in many ways (BPE-dropout)", 0.0
    )
    bpe_dropout_target: float = option("the same in what is written", 0.0)
    class_weights: Literal["none", "balanced"] = option(
        "balanced: rare labels weigh more, so that each label weighs as much as the others", "none"
    )
    precision: Literal["float32", "bfloat16", "auto"] = option(
        "number format of the matrix products; auto: bfloat16 where the device multiplies it", "float32"
    )
    gradient_checkpointing: bool = option(
        "keep only what enters each layer and compute the rest again on the way back: less memory, a third more time",
        False,
    )
    compile: bool | Literal["auto"] = option(
        "layers translated into fewer, larger steps by torch's compiler; auto: on a GPU, in runs that repay it", "auto"
    )
    threads: int = option("processor threads; 0: as many as torch chooses", 0)

    log_every: int = option("steps between two lines of the log", 50)
    evaluate_every: int = option("steps between two evaluations on the dev files", 1000)
    checkpoint_every: int = option("steps between two checkpoints", 1000)
    keep_last: int = option("how many checkpoints are kept", 2)
    average_last: int = option("at the end average this many of the kept checkpoints; 0: none", 0)
    metric: str = option("the figure of the evaluation that chooses the best checkpoint", "loss")
    patience: int = option("end after this many evaluations without a better metric; 0: never", 0)

    def __post_init__(self) -> None:
        if self.epochs is None and self.max_steps is None and self.max_minutes is None:
            raise InputError("the training has no end; give at least one of epochs, max_steps, max_minutes")
        for name in (
            "max_tokens",
            "accumulate",
            "log_every",
            "evaluate_every",
            "checkpoint_every",
            "keep_last",
        ):
            _at_least(1, name, getattr(self, name))
        for name in ("epochs", "max_steps", "max_examples"):
            _at_least(1, name, getattr(self, name))
        for name in (
            "min_steps",
            "warmup_steps",
            "weight_decay",
            "clip_norm",
            "threads",
            "average_last",
            "patience",
            "r_drop",
        ):
            _at_least(0, name, getattr(self, name))
        for name in ("learning_rate", "eps", "max_minutes"):
            _above_zero(name, getattr(self, name))
        for name in ("label_smoothing", "cooldown", "bpe_dropout_source", "bpe_dropout_target"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; expected a share from 0 to below 1")
        if type(self.compile) is not bool and self.compile != "auto":
            raise InputError(f"compile is {self.compile!r}; expected true, false or 'auto'")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise InputError(f"betas is {list(self.betas)}; expected two numbers from 0 to below 1")
        if self.average_last > self.keep_last:
            raise InputError(
                f"average_last is {self.average_last}, but keep_last {self.keep_last}; raise keep_last"
            )


@dataclass(frozen=True, kw_only=True)
class ModelTable:
    """A trained model to go on from, or a family's or a preset's fields, each with some fields changed."""

    start: str | None = option("a trained model whose weights, tokenizer and fields to go on from", None)
    family: str | None = option("the published family whose fields to take, such as 'bert'", None)
    preset: str | None = option("name of a published size whose fields to take", None)
    overrides: Mapping[str, Any] = field(
        default_factory=dict,
        metadata={"description": "fields of TransformerConfig, written straight into [model]"},
    )

    def config(self, fields: Mapping[str, Any], **decided: Any) -> TransformerConfig:
        """The configuration: the fields to start from, then the recipe's, then what task and data decided."""
        return TransformerConfig.from_dict({**fields, **self.overrides, **decided})


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything that decides a training run, except where the data lies."""

    task: str = option("what is learnt, such as 'translation'")
    seed: int = option("start of every random choice", 0)
    data: DataTable = option("files by role")
    tokenizer: TokenizerTable = option("how text becomes tokens", TokenizerTable())
    model: ModelTable = option("the transformer", ModelTable())
    tuning: TuningTable = option("which weights learn", TuningTable())
    pretraining: PretrainingTable = option("what is asked of text alone", PretrainingTable())
    training: TrainingTable = option("how the weights are found")
    decoding: Decoding = option("how the model writes", Decoding())

    def __post_init__(self) -> None:
        _at_least(0, "seed", self.seed)

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The recipe in a TOML file, or that of the task of this name which ships."""
        known = shipped_recipes()
        file = known.get(str(path), Path(path))
        try:
            text = file.read_text(encoding="utf-8")
        except OSError as error:
            near = difflib.get_close_matches(str(path), known, n=1)
            expected = f"expected a recipe, a TOML file, or one of {', '.join(known)}"
            hint = f"did you mean {near[0]}?" if near else expected
            raise InputError(f"{path}: {error.strerror}; {hint}") from error
        except UnicodeDecodeError as error:
            raise InputError(
                f"{path}: not UTF-8 text ({error.reason}); expected a recipe, a TOML file"
            ) from error
        return cls.parse(text, str(path))

    @classmethod
    def parse(cls, text: str, name: str = "recipe") -> Self:
        """The recipe in a TOML text; `name` stands in the error messages."""
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:  # its message ends in "(at line L, column C)"
            raise InputError(f"{name}: not valid TOML: {error}") from error
        try:
            return cls.from_dict(values)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The recipe from plain values; what it does not know is refused."""
        return _build(cls, "", values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, defaults included, from which `from_dict` makes the same recipe."""
        values: dict[str, Any] = _plain(self)
        return values

    def to_toml(self, *, explained: bool = False) -> str:
        """The recipe as a TOML text, defaults included: what ran stays written even if defaults change.

        `explained`: with what each line means behind it, and lines that could be added behind a mark.
        """
        said = descriptions() if explained else {}

        def line(table: str, key: str, value: Any) -> str:
            meaning = said.get(table, {}).get(key)
            return f"{key} = {_toml(value)}" + (f"  # {meaning}" if meaning else "")

        def unset(table: str, own: Mapping[str, Any]) -> list[str]:
            others = said.get(table, {}).items()
            return [f"# {key} =  # {meaning}" for key, meaning in others if key not in own and key != "overrides"]

        values = self.to_dict()
        lines = [line("", key, value) for key, value in values.items() if not isinstance(value, dict)]
        for name, table in values.items():
            if isinstance(table, dict):
                own = (line(name, key, value) for key, value in table.items())
                lines += ["", f"[{name}]", *own, *unset(name, table)]
        return "\n".join(lines) + "\n"


def descriptions() -> dict[str, dict[str, str]]:
    """Table name -> key -> one-line description and which words there are; the top level is the table named ''."""
    tables = {
        "": Recipe,
        **{name: kind for name, kind in get_type_hints(Recipe).items() if is_dataclass(kind)},
    }
    found = {}
    for name, kind in tables.items():
        declared = get_type_hints(kind)
        found[name] = {each.name: each.metadata["description"] + _words(declared[each.name]) for each in fields(kind)}
    return found


def _words(declared: Any) -> str:
    """Those that a line may say, where there are several."""
    words = [word for kind in _choices(declared) if get_origin(kind) is Literal for word in get_args(kind)]
    return f"; one of {', '.join(words)}" if len(words) > 1 else ""


def _place(table: str) -> str:
    return f"[{table}]" if table else "the top level of the recipe"


def _refuse_unknown(table: str, given: Mapping[str, Any], known: list[str]) -> None:
    for key in given:
        if key in known:
            continue
        tables = (name for name, keys in descriptions().items() if key in keys and name != table)
        elsewhere = [f"{name}.{key}" if name else key for name in tables]
        near = elsewhere or difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(known)}"
        raise InputError(f"{_place(table)} has no {key!r}; {hint}")


def _build(kind: type[T], table: str, values: Mapping[str, Any]) -> T:
    """A dataclass from one table: keys known, values of the declared types, nothing missing."""
    declared = get_type_hints(kind)
    _refuse_unknown(table, values, list(declared))
    given = {key: _value(declared[key], table, key, value) for key, value in values.items()}
    missing = [
        each.name
        for each in fields(kind)  # type: ignore[arg-type]
        if each.name not in given and each.default is each.default_factory
    ]
    if missing:
        raise InputError(
            f"{_place(table)} lacks {', '.join(missing)}; see the recipes that come with glassformer"
        )
    try:
        return kind(**given)
    except InputError as error:
        raise InputError(f"{_place(table)}: {error}") from error


SOURCES = ("start", "family", "preset")  # where a model's fields come from


def _model_table(values: Mapping[str, Any]) -> ModelTable:
    _refuse_unknown("model", values, [*SOURCES, *(each.name for each in fields(TransformerConfig))])
    given = {name: values[name] for name in SOURCES if name in values}
    if len(given) > 1:
        raise InputError(f"[model] has {' and '.join(given)}; give one of them")
    for name, value in given.items():
        if type(value) is not str:
            raise InputError(f"[model] {name} is {value!r}; expected a name")
    overrides = {key: value for key, value in values.items() if key not in SOURCES}
    return ModelTable(overrides=overrides, **given)


def _value(declared: Any, table: str, key: str, value: Any) -> Any:
    """`value` as the declared type, or a refusal that says what was expected."""
    if declared is ModelTable and isinstance(value, Mapping):
        return _model_table(value)
    if is_dataclass(declared) and isinstance(value, Mapping):
        return _build(declared, key, value)  # type: ignore[arg-type]
    for choice in _choices(declared):
        if (found := _fit(choice, value)) is not None:
            return found
    raise InputError(f"{_place(table)}: {key} is {_toml(value)}; expected {_expected(declared)}")


def _choices(declared: Any) -> tuple[Any, ...]:
    return get_args(declared) if get_origin(declared) in (Union, types.UnionType) else (declared,)


def _fit(declared: Any, value: Any) -> Any:
    """`value` as one declared type (a list as a tuple, a whole number as a float), or None."""
    if get_origin(declared) is Literal:
        return value if type(value) is str and value in get_args(declared) else None
    if get_origin(declared) is tuple:
        kinds = get_args(declared)
        if not isinstance(value, list | tuple):
            return None
        if kinds[-1] is Ellipsis:  # as many as there are
            kinds = kinds[:1] * len(value)
        fitted = tuple(_fit(kind, item) for kind, item in zip(kinds, value, strict=False))
        return fitted if len(kinds) == len(value) and None not in fitted else None
    if declared is float and type(value) is int:
        return float(value)
    return value if type(value) is declared else None


def _expected(declared: Any) -> str:
    """A declared type in a user's words."""
    words = {str: "a text", int: "a whole number", float: "a number", bool: "true or false"}
    if declared in words:
        return words[declared]
    if get_origin(declared) is Literal:
        return "one of " + ", ".join(map(repr, get_args(declared)))
    if get_origin(declared) is tuple:
        kinds = get_args(declared)
        count = "" if kinds[-1] is Ellipsis else f" of {len(kinds)}"
        return f"a list{count}, each {_expected(kinds[0])}"
    if is_dataclass(declared):
        return "a table"
    return " or ".join(_expected(choice) for choice in get_args(declared) if choice is not type(None))


def _plain(value: Any) -> Any:
    if isinstance(value, ModelTable):
        named = {name: given for name in SOURCES if (given := getattr(value, name)) is not None}
        return {**named, **value.overrides}
    if is_dataclass(value):
        pairs = ((each.name, getattr(value, each.name)) for each in fields(value))
        return {name: _plain(each) for name, each in pairs if each is not None}
    return list(value) if isinstance(value, tuple) else value


def _toml(value: Any) -> str:
    """One value in TOML; JSON writes texts, numbers, booleans and lists the same way."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False, default=str)
