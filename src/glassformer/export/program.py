"""What another program can run: the choices that it makes for every model of a kind, and those that it leaves open."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

from glassformer.config import TransformerConfig
from glassformer.errors import InputError
from glassformer.weights import Rule

SIZES = frozenset(
    {
        "vocab_size",
        "d_model",
        "heads",
        "d_ff",
        "encoder_layers",
        "decoder_layers",
        "max_positions",
        "norm_eps",
        "tied_output",
    }
)
NO_NUMBERS = frozenset(
    {
        "dropout",
        "attention_dropout",
        "activation_dropout",
        "initialization",
        "initialization_std",
        "dtype",
    }
)
DEFAULTS = {field.name: field.default for field in fields(TransformerConfig)}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of model that a program runs.

    `fields`: what a configuration must say, in one value or one of several; `free`: what else it may choose. All the
    others must be as they are where a configuration does not speak of them.
    """

    name: str  # in the program's own words
    known_as: str  # in the user's
    fields: Mapping[str, object]
    free: frozenset[str] = frozenset()
    rules: Callable[[TransformerConfig], tuple[Rule, ...]]  # the names of the weights there

    def differences(self, config: TransformerConfig) -> dict[str, tuple[object, ...]]:
        """The fields of a configuration that are not as this kind has them, and what it has."""
        free = SIZES | NO_NUMBERS | self.free
        allowed = {
            name: _several(self.fields.get(name, default))
            for name, default in DEFAULTS.items()
            if name in self.fields or name not in free
        }
        return {name: values for name, values in allowed.items() if getattr(config, name) not in values}


Known = TypeVar("Known", bound=Kind)


def _several(value: object) -> tuple[object, ...]:
    return value if isinstance(value, tuple) else (value,)


def plain(config: TransformerConfig) -> TransformerConfig:
    """The same model, without the fields that only say what would be so anyway."""
    bias, size = config.attention_bias, config.d_model / config.heads
    narrow = config.window is not None and config.window < config.max_positions
    return replace(
        config,
        kv_heads=None if config.kv_heads == config.heads else config.kv_heads,
        head_size=None if config.head_size == size else config.head_size,
        attention_output_bias=None if config.attention_output_bias == bias else config.attention_output_bias,
        rotary_size=None if config.rotary_size == config.size_of_head else config.rotary_size,
        window=config.window if narrow else None,
        windowed_layers=config.windowed_layers if narrow else None,
    )


def kind_of(config: TransformerConfig, kinds: Sequence[Known], program: str, family: str) -> Known:
    """The kind that a model is of; where there is none, one sentence says what stands in the way of the nearest."""
    found = [(kind, kind.differences(config)) for kind in kinds]
    nearest, differences = min(found, key=lambda each: len(each[1]))
    if not differences:
        return nearest
    name, values = next(iter(differences.items()))
    known = list(dict.fromkeys(kind.known_as for kind in kinds))
    raise InputError(
        f"{program} cannot run this {family}: it runs {', '.join(known)}, of which {nearest.known_as} is the nearest "
        f"and has {name} {' or '.join(map(repr, values))}, not {getattr(config, name)!r}; choose another format"
    )
