"""What a family is: a published configuration, the names of its weights and its heads, each read both ways."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from glassformer.config import TransformerConfig
from glassformer.errors import InputError
from glassformer.weights import Rule

Raw = Mapping[str, Any]  # a published config.json
Fields = Mapping[str, Any]  # fields of TransformerConfig
Rules = Callable[[TransformerConfig], tuple[Rule, ...]]

ACTIVATIONS = {  # every published spelling -> ours; the first of each kind is the one written
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu-tanh",
    "gelu_pytorch_tanh": "gelu-tanh",
    "gelu_fast": "gelu-tanh",
    "gelu_accurate": "gelu-tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
}
KINDS: dict[tuple[type, ...], str] = {  # what a key's default is -> what its value must be
    (bool,): "true or false",
    (int, float): "a number",
    (str,): "a word",
}
LABEL_HEADS = ("sequence-label", "token-label")
CHOICES = {"multi_label_classification": "any", "regression": "none"}  # problem_type -> label_choice
NO_NUMBERS = (
    "label_choice",
    "dtype",
    "initialization",
    "initialization_std",
)  # fields that change no number of a trained model


@dataclass(frozen=True)
class Key:
    """One key of a published configuration, what its absence means, and the field of ours that it alone sets.

    `spellings`: its words -> ours. `fixed`: another value than the default would change the numbers, and is not
    computed here. `nullable`: null says something other than absence.
    """

    theirs: str
    default: Any = None
    ours: str | None = None
    spellings: Mapping[str, str] = field(default_factory=dict)
    fixed: bool = False
    nullable: bool = False

    def read(self, value: Any) -> Any:
        """The value of our field."""
        kind = next((kind for kind in KINDS if type(self.default) in kind), None)
        if kind is not None and value is not None and type(value) not in kind:
            raise InputError(f"config.json says {self.theirs} is {value!r}; expected {KINDS[kind]}")
        if self.fixed and value != self.default:
            raise refusal(self.theirs, value, repr(self.default))
        if not self.spellings:
            return value
        if value not in self.spellings:
            raise refusal(self.theirs, value, " or ".join(map(repr, self.spellings)))
        return self.spellings[value]

    def written(self, value: Any) -> Any:
        """The value of theirs."""
        return next((theirs for theirs, ours in self.spellings.items() if ours == value), value)


def fixed(theirs: str, value: Any) -> Key:
    """A key of which one value only is computed here."""
    return Key(theirs, value, fixed=True)


class NotComputedError(InputError):
    """A part of a published model that is not computed here."""


def refusal(key: str, value: object, expected: str) -> NotComputedError:
    """A value that would change the numbers in a way that is not computed here."""
    return NotComputedError(
        f"config.json says {key} is {value!r}, which is not computed here; use a checkpoint with {key} {expected}"
    )


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One class of a family's published models: its head, and the names of the head's weights."""

    fields: Fields
    rules: Rules = lambda config: ()
    requires: Raw = field(default_factory=dict)  # what config.json must say for this class to be what it is
    optional: Mapping[str, str] = field(
        default_factory=dict
    )  # field -> parameters that some of its files lack
    bare: bool = False  # the body alone, whose names are written without the family's prefix
    label_names: tuple[str, ...] = ()  # where the class itself says what its labels mean
    saved_as: str | None = None  # what remains where a part of the published model is left out

    def fits(self, config: TransformerConfig) -> bool:
        """Whether a model of ours is one of this class."""
        return all(
            getattr(config, name) == value or (name in self.optional and not getattr(config, name))
            for name, value in self.fields.items()
        )


@dataclass(frozen=True, kw_only=True)
class Family:
    """A published family, as data: read one way to load a checkpoint, the other way to write one."""

    model_type: str
    source: str  # what it is called, and its paper
    keys: tuple[Key, ...] = ()
    fields: Fields = field(default_factory=dict)  # what all its models share
    derive: Callable[[Raw], Fields] = lambda raw: {}  # fields that several keys make, and
    restore: Callable[[TransformerConfig], Raw] = lambda config: {}  # those keys again
    architectures: Mapping[str, Architecture]  # the first is meant where none is named
    rules: Rules  # the names of the body's weights
    renamed: Mapping[str, str] = field(
        default_factory=dict
    )  # ends of names in old files -> what they are now
    presets: Mapping[str, Fields] = field(default_factory=dict)  # published sizes, by name
    task: str | None = None  # what all its models are made for; None: config.json may say so

    # ------------------------------------------------------------------ reading

    def architecture(self, raw: Raw) -> Architecture:
        """The class that a configuration names."""
        return self.architectures[self.architecture_name(raw)]

    def architecture_name(self, raw: Raw) -> str:
        """The name of that class."""
        named: Sequence[str] = raw.get("architectures") or [next(iter(self.architectures))]
        found = next((name for name in named if name in self.architectures), None)
        if found is None:
            raise InputError(
                f"config.json names the architecture {', '.join(map(str, named))}; of {self.model_type}, "
                f"{', '.join(self.architectures)} are read: use a checkpoint of one of these"
            )
        return found

    def config(self, raw: Raw) -> TransformerConfig:
        """Our configuration of a published one; where a part is not computed, it says of which family."""
        try:
            return self._config(raw)
        except NotComputedError as part:
            raise InputError(f"this is a checkpoint of {self.source}, and {part}") from part

    def _config(self, raw: Raw) -> TransformerConfig:
        nullable = {key.theirs for key in self.keys if key.nullable}
        full = {
            **{key.theirs: key.default for key in self.keys},
            **{k: v for k, v in raw.items() if v is not None or k in nullable},
        }
        architecture = self.architecture(raw)
        for key, value in architecture.requires.items():
            if full.get(key) != value:
                raise refusal(key, full.get(key), f"{value!r}, as its architecture needs")
        values = [(key, key.read(full[key.theirs])) for key in self.keys]
        read = {key.ours: value for key, value in values if key.ours}
        labels = {"labels": label_count(raw)} if architecture.fields.get("head") in LABEL_HEADS else {}
        decided = {**self.fields, **labels, **read, **self.derive(full), **architecture.fields}
        if decided.get("head") == "sequence-label" and raw.get("problem_type") in CHOICES:
            decided["label_choice"] = CHOICES[raw["problem_type"]]
        return TransformerConfig.from_dict(decided)

    def names(self, raw: Raw, config: TransformerConfig) -> tuple[Rule, ...]:
        """The names of all weights, body and head."""
        return (*self.rules(config), *self.architecture(raw).rules(config))

    def now_called(self, name: str) -> str:
        """A stored name as the family writes it now."""
        for old, new in self.renamed.items():
            if name.endswith(old):
                return name.removesuffix(old) + new
        return name

    def labels(self, raw: Raw, config: TransformerConfig) -> tuple[str, ...]:
        """What each label is called, by its number."""
        if config.head not in LABEL_HEADS:
            return ()
        own = self.architecture(raw).label_names
        if len(own) == config.labels:
            return own
        given = {str(number): str(name) for number, name in label_names(raw).items()}
        return tuple(given.get(str(number), f"LABEL_{number}") for number in range(config.labels))

    # ------------------------------------------------------------------ writing

    def published(self, config: TransformerConfig, raw: Raw, labels: Sequence[str] = ()) -> dict[str, Any]:
        """config.json of one of our configurations; what else `raw`, which it came from, says is kept."""
        name = self._name_for(config, raw)
        raw = {**raw, "model_type": self.model_type, "architectures": [name]}
        after = self._keys_of(config)
        before = self._keys_of(self.config(raw)) if after.keys() & raw.keys() else {}
        changed = {key: value for key, value in after.items() if key not in raw or before.get(key) != value}
        written = {**{k: v for k, v in raw.items() if k in after or k not in before}, **changed}
        if config.head in LABEL_HEADS and "labels" not in self.architectures[name].fields:
            written = {**written, **label_keys(labels or self.labels(raw, config))}
        self._compare(config, self.config(written))
        return written

    def _name_for(self, config: TransformerConfig, raw: Raw) -> str:
        """The class that this model is: the one it came from, or else the first that fits."""
        for name in (*(raw.get("architectures") or ()), *self.architectures):
            saved_as = self.architectures[name].saved_as or name if name in self.architectures else None
            if saved_as is not None and self.architectures[saved_as].fits(config):
                return saved_as
        raise InputError(
            f"{self.model_type} has no class with the head {config.head!r}; save this model as another family"
        )

    def _keys_of(self, config: TransformerConfig) -> dict[str, Any]:
        own = {key.theirs: key.written(getattr(config, key.ours)) for key in self.keys if key.ours}
        return {**own, **self.restore(config)}

    def _compare(self, config: TransformerConfig, written: TransformerConfig) -> None:
        """A family cannot say everything that a transformer can be."""
        theirs = asdict(written)
        for name, value in asdict(config).items():
            if name not in NO_NUMBERS and theirs[name] != value and name not in self._unsaid(config):
                raise InputError(
                    f"this model has {name} {value!r}, but a {self.model_type} of its kind has {theirs[name]!r}; "
                    "save it as another family"
                )

    def _unsaid(self, config: TransformerConfig) -> Iterator[str]:
        for architecture in self.architectures.values():
            yield from (name for name in architecture.optional if not getattr(config, name))


def label_names(raw: Raw) -> Mapping[str, str]:
    """The labels of a published configuration, by their numbers written out."""
    given = raw.get("id2label") or {}
    if not isinstance(given, Mapping):
        raise InputError(f"config.json says id2label is {given!r}; expected an object of numbers and names")
    return given


def label_count(raw: Raw) -> int:
    """How many labels a published configuration has; 2 where it is silent."""
    return len(label_names(raw)) or raw.get("num_labels") or 2


def label_keys(labels: Sequence[str]) -> dict[str, Any]:
    """The labels as a published configuration has them."""
    return {
        "id2label": {str(number): name for number, name in enumerate(labels)},
        "label2id": {name: number for number, name in enumerate(labels)},
    }
