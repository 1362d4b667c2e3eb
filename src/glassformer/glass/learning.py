"""A traced run learnt from: its gradients and one update, recorded beside its steps."""

from glassformer.glass.tape import Gradient, Tape
from glassformer.glass.trace import Trace
from glassformer.glass.update import AdamW, updates


def learn(trace: Trace, tape: Tape, optimizer: AdamW) -> None:
    """Go back over a run whose last step is its loss, then move every parameter once; both become steps.

    The parameters themselves stay as they are: their new values are the steps `update.*.new`.
    """
    gradients: dict[str, Gradient] = {}
    for gradient in tape.back():
        record(trace, gradient)
        gradients[gradient.name.removeprefix("gradient.")] = gradient
    for update in updates(trace.parameters, gradients, optimizer):
        record(trace, update)


def record(trace: Trace, gradient: Gradient) -> None:
    """Hand one number of the way back to the trace."""
    trace.record(
        gradient.name, gradient.axes, gradient.value, gradient.key, gradient.inputs, gradient.constants
    )
