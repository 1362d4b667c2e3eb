"""From a recipe and the user's files to a running training: everything read, encoded and built."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from glassformer.config import TransformerConfig
from glassformer.data.batches import TokenBatches
from glassformer.data.examples import Pair, Skipped
from glassformer.decoding.options import Decoding
from glassformer.errors import InputError
from glassformer.evaluation.translation import evaluate as evaluate_translation
from glassformer.families.transformer import TRANSFORMER
from glassformer.model import Transformer
from glassformer.pretrained import save_transformer
from glassformer.tasks.translation import Translation
from glassformer.text.tokenizer import Tokenizer
from glassformer.training.checkpoint import Save
from glassformer.training.loop import Evaluate, train
from glassformer.training.loss import TokenLoss
from glassformer.training.recipe import Recipe
from glassformer.training.record import Record
from glassformer.training.roles import locate
from glassformer.training.run_folder import RunFolder

TRANSLATION_FIGURES = ("loss", "nll", "bleu", "chrf")  # what `_evaluation` measures


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A run of which only the steps are still to be made."""

    recipe: Recipe
    folder: RunFolder
    tokenizer: Tokenizer
    model: Transformer
    batches: TokenBatches
    evaluate: Evaluate | None
    save: Save
    skipped: Sequence[Skipped]  # lines of the files that hold no example

    def records(self) -> Iterator[Record]:
        """Train, and yield a record now and then."""
        return train(
            self.model,
            self.batches,
            self.recipe.training,
            seed=self.recipe.seed,
            evaluate=self.evaluate,
            folder=self.folder,
            save=self.save,
        )

    def sizes(self) -> dict[str, int]:
        """What it is about, in figures."""
        return {
            "pairs": len(self.batches.order),
            "too long": len(self.batches.dropped),
            "batches an epoch": len(self.batches),
            "tokens known": self.tokenizer.vocab_size,
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
        }


def prepare(
    recipe: Recipe, data: Sequence[str], out: Path | str, *, resume: bool = False, device: str = "cpu"
) -> Prepared:
    """Read and build what the recipe's task needs; what cannot be used is refused before a folder is made."""
    if recipe.task not in TASKS:
        raise InputError(f"there is no task {recipe.task!r} to train for; there is {', '.join(TASKS)}")
    return TASKS[recipe.task](recipe, data, out, resume, device)


def run_recipe(
    recipe: Recipe, data: Sequence[str], out: Path | str, *, resume: bool = False, device: str = "cpu"
) -> Iterator[Record]:
    """A whole run in one call."""
    yield from prepare(recipe, data, out, resume=resume, device=device).records()


def _prepare_translation(
    recipe: Recipe, data: Sequence[str], out: Path | str, resume: bool, device: str
) -> Prepared:
    config_of(recipe, recipe.tokenizer.vocab_size)
    places = locate(data, recipe.data)
    if "dev" in places and recipe.training.metric.lower() not in TRANSLATION_FIGURES:
        raise InputError(
            f"[training] metric is {recipe.training.metric!r}; a translation is measured by one of "
            f"{', '.join(TRANSLATION_FIGURES)}"
        )
    read = {role: places[role].pairs(recipe.data) for role in ("train", "dev") if role in places}
    pairs, dev = read["train"].examples, read["dev"].examples if "dev" in read else []
    folder = RunFolder.resume(out, recipe) if resume else RunFolder.create(out, recipe)
    tokenizer = _tokenizer(folder.path / "tokenizer", recipe, pairs)
    config = config_of(recipe, tokenizer.vocab_size)
    torch.manual_seed(recipe.seed)
    model = Transformer(config).to(device)
    translation = Translation(tokenizer)
    return Prepared(
        recipe=recipe,
        folder=folder,
        tokenizer=tokenizer,
        model=model,
        batches=_batches(pairs, tokenizer, recipe, config, seed=recipe.seed),
        evaluate=_evaluation(dev, translation, recipe, config) if dev else None,
        save=lambda path: save_translator(path, model, tokenizer, recipe.decoding),
        skipped=[line for part in read.values() for line in part.skipped],
    )


TASKS: dict[str, Callable[[Recipe, Sequence[str], Path | str, bool, str], Prepared]] = {
    "translation": _prepare_translation,
}


def config_of(recipe: Recipe, vocab_size: int) -> TransformerConfig:
    """The recipe's model with the vocabulary that was learnt: a pair of stacks unless told otherwise."""
    preset, sizes = recipe.model.preset, TRANSFORMER.presets
    if preset is not None and preset not in sizes:
        raise InputError(f"[model] preset is {preset!r}; expected one of {', '.join(sizes)}")
    start = sizes[preset] if preset else {"stack": "encoder-decoder"}
    return recipe.model.config(start, vocab_size=vocab_size)


def _tokenizer(place: Path, recipe: Recipe, pairs: Sequence[Pair]) -> Tokenizer:
    """One vocabulary for both languages, learnt from the training text; kept beside the run to go on with."""
    if (place / "tokenizer.json").is_file():
        return Tokenizer.load(place)
    table = recipe.tokenizer
    texts = (text for pair in pairs for text in (pair.source, pair.target))
    tokenizer = Tokenizer.train(table.kind, texts, vocab_size=table.vocab_size, lowercase=table.lowercase)
    tokenizer.save(place)
    return tokenizer


def _batches(
    pairs: Sequence[Pair], tokenizer: Tokenizer, recipe: Recipe, config: TransformerConfig, seed: int | None
) -> TokenBatches:
    sources = tokenizer.ids([pair.source for pair in pairs])
    targets = tokenizer.ids([pair.target for pair in pairs], special=False)
    pad, bos, eos = tokenizer.pad_id, tokenizer.bos_id, tokenizer.eos_id
    assert pad is not None, "a tokenizer trained for translation has <pad>"
    assert bos is not None, "a tokenizer trained for translation has <bos>"
    assert eos is not None, "a tokenizer trained for translation has <eos>"
    return TokenBatches(
        list(zip(sources, targets, strict=True)),
        tokens=recipe.training.max_tokens,
        pad_id=pad,
        bos_id=bos,
        eos_id=eos,
        max_length=min(recipe.data.max_length, config.max_positions),
        seed=seed,
    )


def _evaluation(
    pairs: Sequence[Pair],
    translation: Translation,
    recipe: Recipe,
    config: TransformerConfig,
) -> Evaluate:
    """The dev figures: the loss on the given translations, and how good the model's own are."""
    batches = _batches(pairs, translation.tokenizer, recipe, config, seed=None)
    objective = TokenLoss(recipe.training.label_smoothing)

    def evaluate(model: Transformer) -> Mapping[str, float]:
        written = evaluate_translation(
            translation, model, pairs, recipe.decoding, lowercase=recipe.tokenizer.lowercase
        )
        return {**dev_loss(model, batches, objective), **written}

    return evaluate


@torch.no_grad()
def dev_loss(model: Transformer, batches: TokenBatches, objective: TokenLoss) -> dict[str, float]:
    """Loss and -log p of the labels, per label, over all batches."""
    device = model.tokens.weight.device
    losses = [objective(model, batch.to(device)) for batch in batches.epoch(0)]
    count = sum(loss.count for loss in losses)
    return {
        "loss": sum(float(loss.total) for loss in losses) / count,
        "nll": sum(float(loss.nll) for loss in losses) / count,
    }


def save_translator(path: Path, model: Transformer, tokenizer: Tokenizer, decoding: Decoding) -> None:
    """Write a model folder: config.json, weights, tokenizer, and how it decodes."""
    save_transformer(path, model, generation=decoding.publish())
    tokenizer.save(path)
