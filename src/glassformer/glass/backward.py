"""The backward rules: how the gradient of a step's value becomes that of each of its inputs.

One table beside the formulas. `∂X` is the gradient of the loss with respect to X: how much the loss rises when that
number does. Rules are written as on a board; a stored weight is (out, in), and its gradient is stored like it.
Rumelhart, Hinton and Williams 1986.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from glassformer.glass import gradients as g
from glassformer.glass.formula import Array, Formula

OUTPUT = -1  # the place of the step's own value


@dataclass(frozen=True)
class Rule:
    """The gradient of one input of a kind of step."""

    name: str  # the input, in one word
    formula: Formula
    takes: tuple[int, ...] = ()  # the inputs of the step, by place, whose values the rule needs after the gradient
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # constants: an input's size along an axis


Rules = tuple[Rule | None, ...]  # one for each input of the step in order; None: an input that cannot be learnt


def _rule(
    name: str,
    text: str,
    latex: str,
    compute: Callable[..., Array],
    says: str,
    takes: tuple[int, ...] = (),
    **sizes: tuple[int, int],
) -> Rule:
    symbol = text.partition(" = ")[0]
    return Rule(name, Formula(symbol, text, latex, compute, says=says), takes, sizes)


BACK = "The gradient goes back through the map, by its transpose."
MEETS = "A weight collects what went in, times the gradient of what came out, over all positions."
EVERY = "A bias meets every position, so it collects the gradients of all."


def _linear(y: str, x: str, letter: str, kind: tuple[Callable[..., Array], ...] | None = None) -> Rules:
    """Y = X·W + b."""
    to_input, to_weight, to_bias = kind or (g.linear_input, g.linear_weight, g.linear_bias)
    sizes = {"heads": (0, 1)} if to_input is g.joined_input else {}
    w, b = f"W_{letter}", f"b_{letter}"
    lx = rf"\partial {x} = \partial {y}\, {w}^\top"
    return (
        _rule("input", f"∂{x} = ∂{y}·{w}ᵀ", lx, to_input, BACK, (1,), **sizes),
        _rule(
            "weight",
            f"∂{w} = {x}ᵀ·∂{y}",
            rf"\partial {w} = {x}^\top\, \partial {y}",
            to_weight,
            MEETS,
            (0,),
        ),
        _rule(
            "bias",
            f"∂{b} = Σ rows of ∂{y}",
            rf"\partial {b} = \textstyle\sum_t \partial {y}_t",
            to_bias,
            EVERY,
        ),
    )


HEADS = g.heads_input, g.heads_weight, g.heads_bias
JOINED = g.joined_input, g.joined_weight, g.linear_bias

LOGITS_SCALED: Rules = (
    _rule(
        "input",
        "∂X = ∂L·W_Lᵀ / √<d_model>",
        r"\partial X = \frac{\partial L\, W_L^\top}{\sqrt{<d_model>}}",
        g.scaled_input,
        BACK,
        (1,),
    ),
    _rule(
        "weight",
        "∂W_L = Xᵀ·∂L / √<d_model>",
        r"\partial W_L = \frac{X^\top\, \partial L}{\sqrt{<d_model>}}",
        g.scaled_weight,
        MEETS,
        (0,),
    ),
    _rule(
        "bias",
        "∂b_L = Σ rows of ∂L",
        r"\partial b_L = \textstyle\sum_t \partial L_t",
        g.scaled_bias,
        EVERY,
    ),
)

POOLED: Rules = (
    _rule(
        "input",
        "∂x = (∂c ⊙ (1 − c²))·W_Cᵀ",
        r"\partial x = (\partial c \odot (1 - c^2))\, W_C^\top",
        g.pooled_input,
        "Back through tanh, whose slope is 1 − tanh², then through the map.",
        (1, OUTPUT),
    ),
    _rule(
        "weight",
        "∂W_C = xᵀ·(∂c ⊙ (1 − c²))",
        r"\partial W_C = x^\top (\partial c \odot (1 - c^2))",
        g.pooled_weight,
        MEETS,
        (0, OUTPUT),
    ),
    _rule(
        "bias",
        "∂b_C = Σ rows of ∂c ⊙ (1 − c²)",
        r"\partial b_C = \textstyle\sum \partial c \odot (1 - c^2)",
        g.pooled_bias,
        EVERY,
        (OUTPUT,),
    ),
)


def _table(text: str, latex: str, compute: Callable[..., Array]) -> Rules:
    says = "A row of the table collects the gradients of all positions that used it; the other rows get 0."
    return None, _rule("table", text, latex, compute, says, (0,), rows=(1, 0))


PASSED = _rule("part", "∂X = ∂Y", r"\partial X = \partial Y", g.passed, "A sum passes its gradient to each part.")
SAME = _rule("input", "∂X = ∂Y", r"\partial X = \partial Y", g.passed, "Another name for the same numbers.")


def _turned(text: str, latex: str) -> Rules:
    says = "A turn is undone by the same turn the other way."
    return _rule("input", f"∂X = {text}", rf"\partial X = {latex}", g.turned_back, says, (1,)), None


def _scores(scale: str, below: str) -> Rules:
    return (
        _rule(
            "query",
            f"∂Q = ∂S·K{scale}",
            below.replace("?", r"\partial S\, K").replace("!", r"\partial Q"),
            g.scores_query,
            "A query collects the keys, each as far as its score matters.",
            (1,),
        ),
        _rule(
            "key",
            f"∂K = ∂Sᵀ·Q{scale}",
            below.replace("?", r"\partial S^\top\, Q").replace("!", r"\partial K"),
            g.scores_key,
            "A key collects the queries, each as far as its score matters.",
            (0,),
            key_heads=(1, 1),
        ),
    )


def _softmax(y: str, x: str, name: str = "scores") -> Rule:
    return _rule(
        name,
        f"∂{x} = {y} ⊙ (∂{y} − rowsum(∂{y} ⊙ {y}))",
        rf"\partial {x} = {y} \odot (\partial {y} - \textstyle\sum_k \partial {y}_k {y}_k)",
        g.softmax_input,
        "What the loss likes better than the row's weighted mean is raised, the rest lowered.",
        (OUTPUT,),
    )


def _log_softmax(text: str, over: str, compute: Callable[..., Array]) -> Rule:
    latex = rf"\partial L = \partial \ln y - y \textstyle\sum_{over} \partial \ln y_{over}"
    says = "Every score moves all probabilities of its row, so each takes its share of what the others are told."
    return _rule("logits", text, latex, compute, says, (OUTPUT,))


STRETCHES = "Each stretch collects the normed rows, times their gradients."


def _rms(stretch: str, latex: str, compute: Callable[..., Array]) -> Rules:
    return (
        _rule(
            "input",
            f"∂X = (G − X ⊙ mean(G ⊙ X) / r²) / r; G = ∂X̂ ⊙ {stretch}, r = √(mean(X²) + <eps>)",
            rf"\partial X = \frac{{G - X\, \overline{{G \odot X}} / r^2}}{{r}},\quad "
            rf"G = \partial \hat X \odot {latex},\ r = \sqrt{{\overline{{X^2}} + <eps>}}",
            compute,
            "A stretch of the whole row changes nothing, so what points that way is taken out.",
            (0, 1),
        ),
        _rule(
            "stretch",
            "∂γ = Σ rows of ∂X̂ ⊙ X / r; r = √(mean(X²) + <eps>)",
            r"\partial \gamma = \textstyle\sum_t \partial \hat X_t \odot X_t / r_t",
            g.rms_norm_weight,
            STRETCHES,
            (0,),
        ),
    )


LAYER_NORM: Rules = (
    _rule(
        "input",
        "∂X = (G − mean(G) − N ⊙ mean(G ⊙ N)) / σ; G = ∂X̂ ⊙ γ, N = (X − mean(X)) / σ, σ = √(var(X) + <eps>)",
        r"\partial X = \frac{G - \overline{G} - N\,\overline{G \odot N}}{\sigma},\quad "
        r"G = \partial \hat X \odot \gamma,\ N = \frac{X - \mu}{\sigma}",
        g.layer_norm_input,
        "Shifts and stretches of the whole row change nothing, so what points those ways is taken out.",
        (0, 1),
    ),
    _rule(
        "stretch",
        "∂γ = Σ rows of ∂X̂ ⊙ (X − mean(X)) / √(var(X) + <eps>)",
        r"\partial \gamma = \textstyle\sum_t \partial \hat X_t \odot \frac{X_t - \mu_t}{\sigma_t}",
        g.layer_norm_weight,
        STRETCHES,
        (0,),
    ),
    _rule(
        "shift",
        "∂β = Σ rows of ∂X̂",
        r"\partial \beta = \textstyle\sum_t \partial \hat X_t",
        g.layer_norm_bias,
        EVERY,
    ),
)

MIXED: Rules = (
    _rule(
        "weights",
        "∂A = ∂Z·Vᵀ",
        r"\partial A = \partial Z\, V^\top",
        g.mixed_weights,
        "A weight matters as far as its value points along the gradient.",
        (1,),
    ),
    _rule(
        "value",
        "∂V = Aᵀ·∂Z",
        r"\partial V = A^\top\, \partial Z",
        g.mixed_value,
        "A value collects the gradients of all that read it, as much as they read.",
        (0,),
        key_heads=(1, 1),
    ),
)

GATED: Rules = (
    _rule(
        "gate",
        "∂G = ∂H ⊙ U ⊙ <activation>′(G)",
        r"\partial G = \partial H \odot U \odot \mathrm{<activation>}'(G)",
        g.gated_gate,
        "A gate matters by what it lets through, at the slope where it stands.",
        (0, 1),
    ),
    _rule(
        "up",
        "∂U = ∂H ⊙ <activation>(G)",
        r"\partial U = \partial H \odot \mathrm{<activation>}(G)",
        g.gated_up,
        "What comes up matters as far as its gate is open.",
        (0,),
    ),
)


def _placed(which: str, compute: Callable[..., Array]) -> Rules:
    says = "Only the row that was read has a gradient."
    text = f"∂X = ∂x at the {which} real position, 0 elsewhere"
    return (
        _rule("input", text, rf"\partial X_{{\text{{{which}}}}} = \partial x", compute, says, (1,)),
        None,
    )


LAYERS: Mapping[str, Rules] = {
    "same": (SAME,),
    "tokens": _table("∂W_E = onehot(ids)ᵀ·∂E", r"\partial W_E = \mathrm{onehot}(ids)^\top\, \partial E", g.gathered),
    "tokens_scaled": _table(
        "∂W_E = onehot(ids)ᵀ·∂E·√<d_model>",
        r"\partial W_E = \mathrm{onehot}(ids)^\top\, \partial E \sqrt{<d_model>}",
        g.gathered_scaled,
    ),
    "positions": _table(
        "∂W_P = onehot(p + <offset>)ᵀ·∂P", r"\partial W_P = \mathrm{onehot}(p + <offset>)^\top\, \partial P", g.gathered
    ),
    "segments": _table(
        "∂W_G = onehot(segment ids)ᵀ·∂G",
        r"\partial W_G = \mathrm{onehot}(\mathrm{segment})^\top\, \partial G",
        g.gathered,
    ),
    "sum": (PASSED,) * 3,
    "residual": (PASSED,) * 3,
    "layer_norm": LAYER_NORM,
    "rms_norm": _rms("γ", r"\gamma", g.rms_norm_input),
    "rms_norm_from_one": _rms("(1 + γ)", r"(1 + \gamma)", g.rms_norm_from_one_input),
    "query": _linear("Q", "X", "Q", HEADS),
    "key": _linear("K", "X", "K", HEADS),
    "value": _linear("V", "X", "V", HEADS),
    "turned": _turned(
        "each pair (∂R_i, ∂R_(i+D/2)) turned by −p / <base>^(2i/D)", r"R_{-p}(\partial R),\ <base>^{2i/D}"
    ),
    "turned_in_part": _turned(
        "of the first <size> numbers, each pair turned by −p / <base>^(2i/<size>)",
        r"R_{-p}(\partial R),\ <base>^{2i/<size>}",
    ),
    "turned_slowly": _turned("each pair turned by −p·r_i", r"R_{-p}(\partial R)"),
    "append": (
        _rule("past", "∂past = ∂Y[first positions]", r"\partial \text{past} = \partial Y_{\text{first}}",
              g.appended_past, "What was kept comes first.", (0,)),
        _rule("new", "∂X = ∂Y[last positions]", r"\partial X = \partial Y_{\text{last}}",
              g.appended_new, "What is new comes last.", (0,)),
    ),
    "relative_bias": (
        None,
        None,
        _rule(
            "table",
            "∂W_B[n, h] = Σ of ∂B[h, q, k] where bucket(k − q) = n",
            r"\partial W_B[n, h] = \textstyle\sum_{\mathrm{bucket}(k - q) = n} \partial B_{hqk}",
            g.relative_table,
            "A bucket collects the gradients of all distances in it, head by head.",
            (0, 1),
            rows=(2, 0),
        ),
    ),
    "scores": _scores(" / √<head_size>", r"! = \frac{?}{\sqrt{<head_size>}}"),
    "scores_unscaled": _scores("", "! = ?"),
    "weights": (_softmax("A", "S"), None),
    "biased_weights": (_softmax("A", "S"), _softmax("A", "B", "bias"), None),
    "mixed": MIXED,
    "attention_output": _linear("O", "Z", "O", JOINED),
    "up": _linear("U", "X", "1"),
    "gate": _linear("G", "X", "G"),
    "active": (
        _rule(
            "input",
            "∂U = ∂H ⊙ <activation>′(U)",
            r"\partial U = \partial H \odot \mathrm{<activation>}'(U)",
            g.active_input,
            "The slope of the activation where its input stood.",
            (0,),
        ),
    ),
    "gated": GATED,
    "feed_forward_output": _linear("F", "H", "2"),
    "projected": _linear("U", "X", "T"),
    "logits": _linear("L", "X", "L"),
    "logits_scaled": LOGITS_SCALED,
    "probabilities": (_softmax("y", "L", "logits"),),
    "probability_of_each": (
        _rule(
            "logits",
            "∂L = ∂y ⊙ y ⊙ (1 − y)",
            r"\partial L = \partial y \odot y \odot (1 - y)",
            g.sigmoid_input,
            "The slope of sigmoid is y(1 − y).",
            (OUTPUT,),
        ),
    ),
    "span_probabilities": (
        _rule(
            "logits",
            "∂L = y ⊙ (∂y − Σ over positions of ∂y ⊙ y)",
            r"\partial L = y \odot (\partial y - \textstyle\sum_t \partial y_t y_t)",
            g.span_logits,
            "The same as of any softmax, over the positions.",
            (OUTPUT,),
        ),
        None,
    ),
    "first": _placed("first", g.first_rows),
    "last": _placed("last", g.last_rows),
    "pooled": POOLED,
}

BOTH = "Each of two losses counts whole."
LOSS: Mapping[str, Rules] = {
    "log_probabilities": (_log_softmax("∂L = ∂ln y − y ⊙ rowsum(∂ln y)", "j", g.log_softmax_input),),
    "span_log_probabilities": (
        _log_softmax("∂L = ∂ln y − y ⊙ Σ over positions of ∂ln y", "t", g.span_log_softmax_input),
        None,
    ),
    "cross_entropy": (
        _rule(
            "log_probabilities",
            "∂ln y = −∂ℓ at the label, 0 elsewhere",
            r"\partial \ln y_{\text{label}} = -\partial \ell",
            g.choice,
            "Only the logarithm of what is wanted counts.",
            (1,),
            choices=(0, -1),
        ),
        None,
    ),
    "smoothed_cross_entropy": (
        _rule(
            "log_probabilities",
            "∂ln y = −∂ℓ·((1 − <smoothing>) at the label + <smoothing> / <choices> everywhere)",
            r"\partial \ln y = -\partial \ell ((1 - <smoothing>)\, \mathrm{onehot}"
            r" + \frac{<smoothing>}{<choices>})",
            g.smoothed_choice,
            "The logarithm of what is wanted counts most, and all others a little.",
            (1,),
            choices=(0, -1),
        ),
        None,
    ),
    "weighted_cross_entropy": (
        _rule(
            "log_probabilities",
            "∂ln y = −w ⊙ ∂ℓ at the label, 0 elsewhere",
            r"\partial \ln y_{\text{label}} = -w_{\text{label}}\, \partial \ell",
            g.weighted_choice,
            "Only the logarithm of what is wanted counts, as much as its label weighs.",
            (1, 2),
            choices=(0, -1),
        ),
        None,
        None,
    ),
    "weighted_smoothed_cross_entropy": (
        _rule(
            "log_probabilities",
            "∂ln y = −∂ℓ·w ⊙ ((1 − <smoothing>) at the label + <smoothing> / <choices> everywhere)",
            r"\partial \ln y = -\partial \ell\, w \odot ((1 - <smoothing>)\, \mathrm{onehot}"
            r" + \frac{<smoothing>}{<choices>})",
            g.weighted_choice,
            "The logarithm of what is wanted counts most, and all others a little, each as its label weighs.",
            (1, 2),
            choices=(0, -1),
        ),
        None,
        None,
    ),
    "span_cross_entropy": (
        _rule(
            "log_probabilities",
            "∂ln y = −∂ℓ at the position of the label, 0 elsewhere",
            r"\partial \ln y_{\text{position}} = -\partial \ell",
            g.span_choice,
            "Only the logarithms at the start and the end count.",
            (1,),
            positions=(0, 1),
        ),
        None,
    ),
    "binary_cross_entropy": (
        _rule(
            "logits",
            "∂L = ∂ℓ ⊙ (sigmoid(L) − label)",
            r"\partial L = \partial \ell \odot (\mathrm{sigmoid}(L) - \mathrm{label})",
            g.each_label,
            "The probability that was given, less the one that is wanted.",
            (0, 1),
        ),
        None,
    ),
    "squared_error": (
        _rule(
            "logits",
            "∂L = 2·∂ℓ ⊙ (L − label)",
            r"\partial L = 2\, \partial \ell \odot (L - \mathrm{label})",
            g.squared,
            "Twice the difference.",
            (0, 1),
        ),
        None,
    ),
    "total": (
        _rule(
            "part",
            "∂ℓ = ∂Λ, everywhere",
            r"\partial \ell = \partial \Lambda",
            g.summed,
            "Each part of a sum counts the same.",
            (0,),
        ),
    ),
    "mean_loss": (
        _rule(
            "total",
            "∂Λ = ∂loss / <count>",
            r"\partial \Lambda = \frac{\partial \mathrm{loss}}{<count>}",
            g.mean,
            "In a mean each counts one part of all.",
        ),
    ),
    "both_losses": (
        _rule("first", "∂loss_1 = ∂loss", r"\partial \mathrm{loss}_1 = \partial \mathrm{loss}", g.passed, BOTH),
        _rule("second", "∂loss_2 = ∂loss", r"\partial \mathrm{loss}_2 = \partial \mathrm{loss}", g.passed, BOTH),
    ),
}
BACKWARD: Mapping[str, Rules] = {**LAYERS, **LOSS}

WITHOUT: Mapping[str, str] = {  # formulas that no gradient passes, and why
    "given": "what a run starts from is made of nothing",
    "position_ids": "positions are counted from a mask, and neither can be learnt",
    "mask": "a mask is made of zeros and ones that cannot be learnt",
    "sinusoidal": "waves are computed from positions, which cannot be learnt",
    "sinusoidal_halves": "waves are computed from positions, which cannot be learnt",
    "sinusoidal_inclusive": "waves are computed from positions, which cannot be learnt",
}

START, TOTAL = "gradient_start", "gradient_total"
RULES: Mapping[str, Rule] = {
    f"{key}.{rule.name}": rule for key, rules in BACKWARD.items() for rule in rules if rule is not None
}
GRADIENTS: Mapping[str, Formula] = {
    **{key: rule.formula for key, rule in RULES.items()},
    START: Formula(
        "∂loss", "∂loss = 1", r"\partial \mathrm{loss} = 1", g.one, says="The loss rises by one when it rises by one."
    ),
    TOTAL: Formula(
        "∂X",
        "∂X = Σ of what each use sends back",
        r"\partial X = \textstyle\sum_u \partial_u X",
        g.total,
        says="A value that several steps use has the sum of what they send back.",
    ),
}
