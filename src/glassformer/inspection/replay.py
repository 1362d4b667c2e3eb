"""A training run seen again: its saved checkpoints on the same sentences, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from glassformer.errors import InputError
from glassformer.glass.trace import Trace
from glassformer.inspection.compare import compared
from glassformer.inspection.drawing import drawn
from glassformer.tasks.model import Model, load
from glassformer.tasks.task import Text
from glassformer.training.checkpoint import load_weights
from glassformer.training.run_folder import RunFolder

WEIGHTS = "*_attention.weights"


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One checkpoint on all sentences."""

    step: int  # of the training
    answers: tuple[str, ...]
    losses: tuple[float, ...]  # of the wanted answers; none where nothing is wanted
    traces: tuple[Trace, ...]  # of each sentence, the steps that were asked for
    moved: Mapping[str, float]  # step -> its change since the checkpoint before, relative, in the mean of the sentences

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; the traces are left out."""
        return {
            "step": self.step,
            "answers": list(self.answers),
            "losses": list(self.losses),
            "moved": dict(self.moved),
        }


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Checkpoint by checkpoint: what a run would have answered, how far it was from what is wanted, what moved."""

    run: str
    texts: tuple[Text, ...]
    moments: tuple[Moment, ...]

    def value(self, step: str, text: int = 0) -> list[Any]:
        """One step of one sentence at every checkpoint, such as the attention of a layer."""
        return [moment.traces[text][step].value for moment in self.moments]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        texts = [each if isinstance(each, str) else list(each) for each in self.texts]
        return {"run": self.run, "texts": texts, "moments": [moment.as_dict() for moment in self.moments]}

    def plot(self, path: str | Path | None = None, **options: Any) -> Any:
        """The loss, and how far each step moved, along the training, by matplotlib; written to `path` if given."""
        return drawn("replay", self, path, **options)

    def __str__(self) -> str:
        lines = [f"{self.run}: {len(self.moments)} checkpoints"]
        for moment in self.moments:
            loss = f"  loss {fmean(moment.losses):.4f}" if moment.losses else ""
            most = max(moment.moved, key=lambda name: moment.moved[name], default=None)
            far = "" if most is None else f"  moved most: {most} ({moment.moved[most]:.3f})"
            lines.append(f"step {moment.step}{loss}{far}")
            pairs = zip(self.texts, moment.answers, strict=True)
            lines += [f"    {said(text)}  ->  {answer}" for text, answer in pairs]
        return "\n".join(lines)


def replay(
    run: str | Path,
    texts: Text | Sequence[Text],
    *,
    targets: Any = None,
    keep: str | Sequence[str] = WEIGHTS,
) -> Replay:
    """Run every checkpoint that a training kept (`keep_last` in its recipe says how many) on the same sentences.

    `targets` are the answers that are wanted, one for each text: with them every checkpoint has its losses. `keep`
    chooses the steps that are held and compared; by default the weights of every attention.
    """
    run = Path(run)
    if not (run / "recipe.toml").is_file():
        raise InputError(f"{run} holds no recipe.toml; give the folder of a training run")
    folder, one = RunFolder(run, tensorboard=False), isinstance(texts, str | tuple)
    sentences: tuple[Text, ...] = (texts,) if one else tuple(texts)  # type: ignore[assignment]
    wanted = [None] * len(sentences) if targets is None else [targets] if one else list(targets)
    if len(wanted) != len(sentences):
        raise InputError(f"{len(wanted)} targets were given for {len(sentences)} texts; give one for each")
    if not folder.steps():
        raise InputError(f"{run} keeps no checkpoint; train with checkpoint_every, and keep_last above 0")
    model = load(published(run))
    return Replay(run=run.name, texts=sentences, moments=tuple(moments(folder, model, sentences, wanted, keep)))


def published(run: Path) -> Path:
    """A folder of the run that can be loaded: what surrounds the weights is the same in all."""
    for name in ("last", "best"):
        if (run / name / "config.json").is_file():
            return run / name
    raise InputError(f"{run} holds neither last nor best; wait until the run has written one")


def moments(
    folder: RunFolder, model: Model, texts: Sequence[Text], targets: Sequence[Any], keep: str | Sequence[str]
) -> Iterator[Moment]:
    """Each checkpoint, oldest first."""
    before: tuple[Trace, ...] | None = None
    for step in folder.steps():
        load_weights(model.transformer, folder.read_checkpoint(step).model)
        traces = tuple(model.trace(text, keep=keep) for text in texts)
        losses = tuple(
            float(model.trace(text, target=target, keep="loss.mean")["loss.mean"].value)
            for text, target in zip(texts, targets, strict=True)
            if target is not None
        )
        yield Moment(
            step=step,
            answers=tuple(trace.answer for trace in traces),
            losses=losses,
            traces=traces,
            moved={} if before is None else movement(before, traces),
        )
        before = traces


def movement(before: Sequence[Trace], after: Sequence[Trace]) -> dict[str, float]:
    """How far each step is from where it was, relative to its length; what changed its shape is left out."""
    found: dict[str, list[float]] = {}
    for one, two in zip(before, after, strict=True):
        for each in compared(one, two).differences:
            found.setdefault(each.step, []).append(each.relative)
    return {name: fmean(values) for name, values in found.items()}


def said(text: Text) -> str:
    """A text on one line."""
    return text if isinstance(text, str) else " / ".join(text)
