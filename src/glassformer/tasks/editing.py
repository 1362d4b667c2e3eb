"""Edits put in force: their names checked against the model's steps, what they need of other texts read."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import torch

from glassformer.errors import InputError
from glassformer.glass.edits import AnyEdit, Look, StepEdit, WeightEdit
from glassformer.glass.naming import chosen, unknown
from glassformer.glass.step import Step
from glassformer.glass.touch import Ready, Touch, changed
from glassformer.glass.trace import Trace
from glassformer.model import Transformer
from glassformer.nn.cache import Cache

Looking = Callable[[str], Look]  # how to look at steps that fit a pattern
USUAL = (  # a part named alone -> the step of it that is meant, where heads or neurons are chosen and where not
    ("attention", "head", ".mixed", ".output"),
    ("feed_forward", "neuron", ".active", ".output"),
)
UNUSED = "head.probabilities"


@contextmanager
def in_force(model: Transformer, edits: Sequence[AnyEdit], looking: Looking) -> Iterator[None]:
    """These edits, and those of the contexts around, until it is left, whatever happens meanwhile."""
    for edit in edits:
        if not isinstance(edit, StepEdit | WeightEdit):
            raise InputError(
                f"{edit!r} is no edit; give what zero, mean, replace, patch, steer or weight returns"
            )
    of_steps = [edit for edit in edits if isinstance(edit, StepEdit)]
    steps = known_steps(model) if of_steps else {}
    ready = [made_ready(edit, steps, looking) for edit in of_steps]
    with ExitStack() as stack:
        for edit in edits:
            if isinstance(edit, WeightEdit):
                stack.enter_context(changed(model, edit))
        if ready:
            stack.enter_context(model.touching(Touch(ready, model.touch)))
        yield


def made_ready(edit: StepEdit, steps: Mapping[str, Step], looking: Looking) -> Ready:
    """The edit with all that it needs, refused where no step, or no such part of it, is meant."""
    pattern = meant(edit, steps)
    names = chosen(pattern, steps)
    if not names:
        raise unknown(edit.step, [*parts_of(steps), *steps])
    if names == [UNUSED]:
        raise InputError(f"nothing is made from {UNUSED}, so an edit changes no answer; edit head.logits instead")
    for name in names:
        edit.place.check(name, steps[name].axes, steps[name].value.shape)
    return Ready(pattern, edit.place, edit.source.made(looking(pattern), edit.place))


def meant(edit: StepEdit, steps: Mapping[str, Step]) -> str:
    """The pattern; where it names an attention or a feed-forward, that of the step in which its parts stand apart."""
    if chosen(edit.step, steps):
        return edit.step
    for ending, part, apart, whole in USUAL:
        if edit.step.endswith(ending):
            return edit.step + (whole if getattr(edit.place, part) is None else apart)
    return edit.step


def parts_of(steps: Iterable[str]) -> list[str]:
    """The attentions and feed-forwards that may be named alone."""
    endings = {f"{ending}{apart}": apart for ending, _, apart, _ in USUAL}
    found = {name.removesuffix(apart) for name in steps for ending, apart in endings.items() if name.endswith(ending)}
    return sorted(found)


def known_steps(model: Transformer) -> dict[str, Step]:
    """Every step that a run of this model can have, from runs of two tokens: whole, and with a cache."""
    device = model.tokens.weight.device
    ids = torch.zeros(1, 2, dtype=torch.long, device=device)
    source = None if model.encoder is None else ids
    target = None if model.decoder is None else ids
    with torch.inference_mode(), unedited(model):
        found = Trace()
        model(source, target, trace=found)
        steps = dict(found)
        if target is not None and model.config.head == "language-model":
            cache, later = Cache(), Trace()
            memory = None if source is None else model.encode(source)
            model(target=ids[:, :1], memory=memory, cache=cache)
            model(target=ids[:, 1:], memory=memory, cache=cache, trace=later)
            steps = {**later, **steps}
    return steps


@contextmanager
def unedited(model: Transformer) -> Iterator[None]:
    """The model as it is without the edits of its steps."""
    with model.touching(Touch(())):
        yield
