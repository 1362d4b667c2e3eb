"""Everything that decides a transformer's numbers, and nothing else."""

import difflib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args, get_origin

from glassformer.errors import InputError

Stack = Literal["encoder", "decoder", "encoder-decoder"]
Norm = Literal["layer", "rms", "rms-from-one", "none"]
Positions = Literal[
    "sinusoidal",
    "sinusoidal-halves",
    "sinusoidal-halves-inclusive",
    "learned",
    "learned-relative",
    "rotary",
    "relative",
    "none",
]
Activation = Literal["relu", "gelu", "gelu-tanh", "silu"]
PoolerActivation = Literal["tanh", "relu", "gelu", "gelu-tanh", "silu"]
Head = Literal[
    "language-model", "masked-language-model", "sequence-label", "token-label", "answer-span", "hidden"
]
LabelChoice = Literal["one", "any", "none"]
Initialization = Literal["xavier", "normal", "truncated-normal", "normal-scaled-residual"]


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """One transformer, described by the choices that change its numbers.

    A family (BERT, GPT-2, ...) is a function from its published configuration to this one; no part of the model
    ever asks which family it belongs to.
    """

    stack: Stack
    vocab_size: int
    source_vocab_size: int | None = None  # None: source and target share one table of tokens
    d_model: int
    heads: int
    d_ff: int
    encoder_layers: int = 0
    decoder_layers: int = 0
    distinct_layers: int | None = None  # None: all; ALBERT has few, each used several times in a row
    kv_heads: int | None = None  # None: one key/value head per query head
    head_size: int | None = None  # None: d_model / heads

    norm: Norm = "layer"
    norm_eps: float = 1e-5
    norm_first: bool = False  # before each sub-layer (GPT-2, T5, Llama) or after its residual (2017, BERT)
    final_norm: bool = False
    parallel_residual: bool = False  # GPT-NeoX: attention and feed-forward read the same row
    one_norm: bool = False  # Phi: one norm for both of these
    embedding_norm: bool = False
    embedding_size: int | None = (
        None  # None: d_model; else the tables are as wide, and a map leads to d_model
    )
    embedding_scale: bool = False  # tokens times sqrt(d_model)

    positions: Positions = "learned"
    max_positions: int = 512
    position_offset: int = 0  # RoBERTa, BART and M2M100 keep the first positions for padding
    rotary_base: float = 10_000.0
    rotary_size: int | None = None  # how many numbers of a head turn; None: all
    rotary_stretch: float = 1.0  # turns are so many times slower, to read longer texts
    rotary_stretch_length: int | None = None  # None: all turns are; else those slow for texts of this length
    rotary_stretch_low: float = 1.0  # all that turn less often than this in such a text are slowed
    rotary_stretch_high: float = 4.0  # none that turn more often; those between, in part
    relative_buckets: int = 32
    relative_distance: int = 128
    segments: int = 0

    activation: Activation = "gelu"
    gated: bool = False
    attention_bias: bool = True
    attention_output_bias: bool | None = None  # None: as attention_bias; Qwen 2 has none there
    attention_scale: bool = True  # T5 leaves the scores unscaled
    head_norm: bool = False  # Qwen 3: each head's queries and keys are normed before they turn
    feed_forward_bias: bool = True
    window: int | None = None  # Mistral: a query sees so many positions, itself the last; None: all before it
    windowed_layers: tuple[int, ...] | None = None  # GPT-Neo: in these alone; None: in all

    head: Head = "language-model"
    labels: int = 0  # how many labels a label head has
    tied_output: bool = True
    output_bias: bool = False
    output_transform: bool = False  # BERT, RoBERTa: dense, activation and norm before the vocabulary
    output_activation: Activation | None = None  # of that transform; None: the same as everywhere
    output_scale: bool = False  # T5: hidden states times d_model ** -0.5 before the vocabulary
    next_sentence: bool = False  # BERT: beside hidden words, whether the second text follows the first
    pooler: bool = False  # dense and an activation on the pooled position
    pooler_activation: PoolerActivation = "tanh"
    pooling: Literal["first", "last"] = "first"  # which position speaks for the sequence
    label_bias: bool = True
    label_transform: bool = False  # ELECTRA: dense and activation before the label of a token
    label_choice: LabelChoice = "one"  # any: each label holds or not by itself; none: they name numbers

    dropout: float = 0.0
    attention_dropout: float = 0.0
    activation_dropout: float = 0.0
    initialization: Initialization = "xavier"
    initialization_std: float = 0.02
    dtype: Literal["float64", "float32", "bfloat16", "float16"] = "float32"

    def __post_init__(self) -> None:
        for field in fields(self):
            self._check_type(field.name, field.type, getattr(self, field.name))
        self._check_sizes()
        self._check_combinations()

    def _check_type(self, name: str, declared: Any, value: object) -> None:
        allowed = (declared,) if get_origin(declared) is Literal else get_args(declared) or (declared,)
        if get_origin(allowed[0]) is Literal:
            words = (*get_args(allowed[0]), *(None for kind in allowed[1:] if kind is type(None)))
            if value not in words:
                raise InputError(f"{name} is {value!r}; expected one of {', '.join(map(repr, words))}")
            return
        if declared is float and type(value) is int:
            return
        if type(value) not in [get_origin(kind) or kind for kind in allowed]:
            names = " or ".join("nothing" if kind is type(None) else kind.__name__ for kind in allowed)
            raise InputError(f"{name} is {value!r}, a {type(value).__name__}; expected {names}")

    def _check_sizes(self) -> None:
        optional = ("distinct_layers", "embedding_size", "rotary_size", "rotary_stretch_length", "window")
        given = [name for name in optional if getattr(self, name) is not None]
        for name in ("vocab_size", "d_model", "heads", "d_ff", "max_positions", *given):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; expected 1 or more")
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise InputError(
                    f"{name} is {getattr(self, name)}; expected a share from 0 up to, not including, 1"
                )
        if self.head_size is None and self.d_model % self.heads:
            raise InputError(
                f"d_model {self.d_model} does not divide into {self.heads} heads; choose a multiple or set head_size"
            )
        if self.kv_heads is not None and (self.kv_heads < 1 or self.heads % self.kv_heads):
            raise InputError(
                f"{self.heads} heads cannot share {self.kv_heads} key/value heads; it must divide them"
            )
        if self.positions.startswith("sinusoidal") and self.d_model % 2:
            raise InputError(f"sinusoidal positions come in pairs; d_model is {self.d_model}, an odd number")
        if self.positions == "sinusoidal-halves-inclusive" and self.d_model < 4:
            raise InputError(
                f"inclusive waves have a fastest and a slowest; d_model is {self.d_model}, below 4"
            )
        turning = self.rotary_size or self.size_of_head
        if self.positions == "rotary" and (turning % 2 or turning > self.size_of_head):
            raise InputError(
                f"rotary positions come in pairs within a head of {self.size_of_head} numbers; {turning} cannot turn"
            )
        if not self.rotary_stretch > 0 or not 0 < self.rotary_stretch_low < self.rotary_stretch_high:
            raise InputError(
                "rotary_stretch must be above 0, rotary_stretch_low above 0 and below rotary_stretch_high; they are "
                f"{self.rotary_stretch}, {self.rotary_stretch_low} and {self.rotary_stretch_high}"
            )
        layers = max(self.encoder_layers, self.decoder_layers)
        if self.distinct_layers is not None and self.distinct_layers > layers:
            raise InputError(f"{layers} layers cannot be made of {self.distinct_layers} distinct ones")

    def _check_combinations(self) -> None:
        for side in ("encoder", "decoder"):
            layers, present = getattr(self, f"{side}_layers"), side in self.stack
            if present != (layers > 0):
                raise InputError(f"stack {self.stack!r} does not go with {side}_layers = {layers}")
        offset = ("learned", "learned-relative", "sinusoidal-halves-inclusive")
        if self.position_offset and self.positions not in offset:
            raise InputError(
                f"positions {self.positions!r} start at 0; position_offset is {self.position_offset}"
            )
        if self.source_vocab_size is not None and self.stack != "encoder-decoder":
            raise InputError(f"source_vocab_size belongs to an encoder-decoder; the stack is {self.stack!r}")
        if self.labels < (1 if self.head in ("sequence-label", "token-label") else 0):
            raise InputError(f"head {self.head!r} needs the number of its labels; labels is {self.labels}")
        if self.norm == "none" and (
            self.norm_first or self.final_norm or self.embedding_norm or self.output_transform
        ):
            raise InputError(
                "norm is 'none', yet norm_first, final_norm, embedding_norm or output_transform asks for one"
            )
        if self.output_scale and not self.tied_output:
            raise InputError("output_scale belongs to a tied output; tied_output is False")
        if self.label_transform and self.head != "token-label":
            raise InputError(f"label_transform belongs to the head 'token-label'; the head is {self.head!r}")
        if self.label_choice != "one" and self.head != "sequence-label":
            raise InputError(f"label_choice belongs to the head 'sequence-label'; the head is {self.head!r}")
        if self.next_sentence and self.head != "masked-language-model":
            raise InputError(
                f"next_sentence belongs to the head 'masked-language-model'; the head is {self.head!r}"
            )
        if self.parallel_residual and (self.stack != "decoder" or not self.norm_first):
            raise InputError("parallel_residual belongs to a decoder whose norms stand first")
        if self.one_norm and not self.parallel_residual:
            raise InputError("one_norm belongs to a parallel_residual; that is False")
        if self.window is not None and self.stack != "decoder":
            raise InputError(f"a window belongs to a decoder; the stack is {self.stack!r}")
        layers = self.windowed_layers
        if layers is not None and (self.window is None or not set(layers) <= set(range(self.decoder_layers))):
            raise InputError(
                f"windowed_layers is {list(layers)}; expected numbers from 0 to {self.decoder_layers - 1}, and a window"
            )
        if self.embedding_size is not None and (
            self.stack == "encoder-decoder" or not self.has_narrow_output
        ):
            raise InputError(
                "embedding_size belongs to one stack, and a tied output then needs output_transform to lead back"
            )

    @property
    def has_narrow_output(self) -> bool:
        """Whether what meets the tokens' table at the end is as wide as it."""
        return not self.head.endswith("language-model") or self.output_transform or not self.tied_output

    @property
    def limit(self) -> int | None:
        """How many tokens can be read; None: any number, where positions never end."""
        return None if self.positions in ("relative", "none") else self.max_positions

    @property
    def size_of_head(self) -> int:
        """How many numbers one head's query has."""
        return self.head_size or self.d_model // self.heads

    @property
    def near_layers(self) -> tuple[int, ...]:
        """The numbers of the layers that see through a window."""
        if self.window is None:
            return ()
        return tuple(range(self.decoder_layers)) if self.windowed_layers is None else self.windowed_layers

    def to_dict(self) -> dict[str, Any]:
        """The fields that differ from their defaults, and those without one: what config.json says."""
        defaults = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != defaults[name]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """A configuration from plain values; a key it does not know is refused, with the nearest known one."""
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; it has {', '.join(known)}"
                raise InputError(f"TransformerConfig has no {key!r}{hint}")
        missing = [n for n in ("stack", "vocab_size", "d_model", "heads", "d_ff") if n not in values]
        if missing:
            raise InputError(f"the configuration lacks {', '.join(missing)}; every transformer needs them")
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)
