"""What a run begins from: a tokenizer and a model, both new, or both from a trained one."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from glassformer import adapters
from glassformer.config import TransformerConfig
from glassformer.decoding.options import Decoding
from glassformer.errors import InputError
from glassformer.families import FAMILIES
from glassformer.families.family import LABEL_HEADS, label_keys
from glassformer.families.transformer import TRANSFORMER
from glassformer.model import Transformer
from glassformer.pretrained import Checkpoint, resolve
from glassformer.surgery import GROWING, class_with, grown, with_head
from glassformer.text.tokenizer import Tokenizer
from glassformer.training.recipe import ModelTable, Recipe

SPECIAL = ("pad", "bos", "eos")  # what published configurations say of a vocabulary
TRAINABLE = ("dropout", "attention_dropout", "activation_dropout")  # what a trained model may have changed


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A trained model to go on from: its checkpoint, its tokenizers, and the name by which others find it."""

    checkpoint: Checkpoint
    tokenizer: Tokenizer
    source_tokenizer: Tokenizer | None  # of the language that is translated from, where it has one of its own
    name: str

    @classmethod
    def of(cls, name: str) -> "Origin":
        """The model of this name; an adapter is merged into its base first."""
        folder = resolve(name)
        vocabulary = adapters.tokenizer_folder(folder)
        return cls(
            checkpoint=adapters.load_whole(folder),
            tokenizer=Tokenizer.load(vocabulary),
            source_tokenizer=Tokenizer.load_source(vocabulary),
            name=str(folder.resolve()) if Path(name).is_dir() else name,
        )


def tokenizer_of(
    recipe: Recipe, texts: Iterable[str], place: Path, *, special: str | None, extra: Sequence[str]
) -> Tokenizer:
    """A vocabulary of the recipe's own, learnt from the training text; kept beside the run to go on with."""
    if (place / "tokenizer.json").is_file():
        return Tokenizer.load(place)
    table = recipe.tokenizer
    if table.use is not None:
        tokenizer = Tokenizer.load(resolve(table.use))
    else:
        tokenizer = Tokenizer.train(
            table.kind,
            texts,
            vocab_size=table.vocab_size,
            lowercase=table.lowercase,
            special=table.special or special,
        )
    tokenizer.add(extra)
    tokenizer.save(place)
    return tokenizer


def config_of(
    table: ModelTable,
    fields: Mapping[str, Any],
    decided: Mapping[str, Any],
    ids: Mapping[str, int] | None = None,
) -> tuple[TransformerConfig, dict[str, Any]]:
    """The configuration of a new model, and the config.json in whose layout it is written.

    `fields` hold where the recipe names neither family nor preset; `decided` is what task and data leave no choice
    about; `ids` are the numbers of the special tokens, which a published family is told.
    """
    if table.family is None:
        presets = TRANSFORMER.presets
        if table.preset is not None and table.preset not in presets:
            raise InputError(f"[model] preset is {table.preset!r}; expected one of {', '.join(presets)}")
        given = presets[table.preset] if table.preset else fields
        return table.config(given, **decided), {"model_type": "transformer"}
    if table.family not in FAMILIES:
        raise InputError(f"[model] family is {table.family!r}; expected one of {', '.join(FAMILIES)}")
    family = FAMILIES[table.family]
    labels = [f"LABEL_{number}" for number in range(decided.get("labels", 0))]
    raw = {
        "model_type": table.family,
        "architectures": [class_with(family, {}, decided["head"], decided.get("next_sentence", False))],
        **{f"{part}_token_id": number for part, number in (ids or {}).items()},
        **(label_keys(labels) if labels else {}),
    }
    return table.config(asdict(family.config(raw)), **decided), raw


def new_checkpoint(
    recipe: Recipe,
    tokenizer: Tokenizer,
    labels: Sequence[str],
    fields: Mapping[str, Any],
    decided: Mapping[str, Any],
) -> Checkpoint:
    """A model of random numbers, as the recipe describes it."""
    ids = {part: number for part in SPECIAL if (number := getattr(tokenizer, f"{part}_id")) is not None}
    config, raw = config_of(recipe.model, fields, {"vocab_size": tokenizer.vocab_size, **decided}, ids)
    return Checkpoint(
        transformer=Transformer(config),
        family=raw["model_type"],
        raw=raw,
        labels=tuple(labels),
        generation=recipe.decoding.publish() if config.head == "language-model" else {},
    )


def continued(
    recipe: Recipe, origin: Origin, labels: Sequence[str], decided: Mapping[str, Any]
) -> tuple[Checkpoint, list[str]]:
    """The trained model under the task's head, and the parameters that are drawn anew."""
    fields, checkpoint = dict(recipe.model.overrides), origin.checkpoint
    if larger := {name: fields.pop(name) for name in GROWING if name in fields}:
        checkpoint = grown(checkpoint, **larger)
    for name in fields:
        if name not in TRAINABLE:
            raise InputError(
                f"[model] gives {name} beside start; a trained model keeps its sizes, only {', '.join(TRAINABLE)} "
                f"may be given, and a larger {', '.join(GROWING)}"
            )
    head = decided["head"]
    if recipe.decoding != Decoding() and head == "language-model":
        checkpoint = replace(checkpoint, generation=recipe.decoding.publish())
    return with_head(
        checkpoint,
        head,
        labels if head in LABEL_HEADS else (),
        next_sentence=decided.get("next_sentence", False),
        **fields,
    )
