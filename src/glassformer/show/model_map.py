"""A model's map: what its configuration says, as blocks with arrows from the bottom up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle

from glassformer.config import TransformerConfig

COLOURS = {  # after Okabe and Ito 2008, lightened
    "embedding": "#cfe3f2",
    "norm": "#eeeae0",
    "attention": "#f8dcc4",
    "cross": "#f3cfe0",
    "feed_forward": "#cdeadf",
    "head": "#dcd6ec",
}
LINE, INK, SOFT = "#8a857b", "#22211f", "#6d6a64"
WIDE, HIGH, GAP, COLUMN = 3.0, 0.62, 0.34, 4.6
HEADS = {
    "language-model": "language model",
    "masked-language-model": "masked language model",
    "sequence-label": "label of the text",
    "token-label": "label of each token",
    "answer-span": "start and end of an answer",
    "hidden": "rows as they are",
}


@dataclass(frozen=True)
class Block:
    """One box: what kind, its name, what it says of itself."""

    kind: str
    name: str
    says: str = ""


def blocks(config: TransformerConfig, side: str) -> tuple[list[Block], list[Block], list[Block]]:
    """What a stack has before its layers, in each of them, and after them, from the bottom up."""
    norm = {"layer": "layer norm", "rms": "RMS norm", "rms-from-one": "RMS norm (1 + γ)", "none": ""}[config.norm]
    return [*_embedding(config, side, norm)], [*_layer(config, side, norm)], (
        [Block("norm", "last norm", norm)] if config.final_norm and norm else []
    )


def _embedding(config: TransformerConfig, side: str, norm: str) -> Iterator[Block]:
    size = config.source_vocab_size if side == "encoder" and config.source_vocab_size else config.vocab_size
    yield Block("embedding", "tokens", f"{size:,} × {config.embedding_size or config.d_model}")
    if config.positions.startswith(("sinusoidal", "learned")):
        yield Block("embedding", "+ positions", config.positions)
    if config.segments:
        yield Block("embedding", "+ segments", str(config.segments))
    if config.embedding_norm and norm:
        yield Block("norm", "norm", norm)


def _layer(config: TransformerConfig, side: str, norm: str) -> Iterator[Block]:
    parts = [Block("attention", "self-attention", _heads(config, side))]
    if side == "decoder" and config.stack == "encoder-decoder":
        parts.append(Block("cross", "cross-attention", f"{config.heads} heads, over the encoder's rows"))
    gate = ", gated" if config.gated else ""
    beside = ", reads what attention reads" if config.parallel_residual else ""
    parts.append(Block("feed_forward", "feed-forward", f"{config.d_ff:,}, {config.activation}{gate}{beside}"))
    for part in parts:
        if norm and config.norm_first:
            yield Block("norm", "norm", norm)
        yield part
        if norm and not config.norm_first:
            yield Block("norm", "norm", norm)


def _heads(config: TransformerConfig, side: str) -> str:
    said = [f"{config.heads} heads"]
    if config.kv_heads not in (None, config.heads):
        said.append(f"{config.kv_heads} of keys and values")
    if config.positions in ("rotary", "relative", "learned-relative"):
        said.append(config.positions.removeprefix("learned-"))
    if side == "decoder":
        said.append(f"window {config.window}" if config.window else "looks back")
    return ", ".join(said)


def draw(axes: Axes, config: TransformerConfig) -> None:
    """Draw the map into empty axes."""
    sides = [side for side in ("encoder", "decoder") if side in config.stack.split("-")]
    tops = {}
    for column, side in enumerate(sides):
        tops[side] = _stack(axes, config, side, column * COLUMN)
    last = (len(sides) - 1) * COLUMN
    top = tops[sides[-1]][0]
    says = f"{config.labels} labels" if config.head.endswith("label") else ""
    if config.head.endswith("language-model"):
        says = f"{config.vocab_size:,} words" + (", the table of tokens again" if config.tied_output else "")
    if config.head != "hidden":
        _arrow(axes, (last + WIDE / 2, top), (last + WIDE / 2, top + GAP))
        _box(axes, Block("head", HEADS[config.head], says), last, top + GAP)
        top += GAP + HIGH
    if len(sides) == 2:
        _across(axes, tops["encoder"][0], tops["decoder"][1])
    axes.set_xlim(-0.75, last + WIDE + 0.75)
    axes.set_ylim(-0.9, max(top, *(height for height, _ in tops.values())) + 0.5)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title(f"d_model {config.d_model}, {' and '.join(map(str, _layers(config)))} layers", color=SOFT)


def _layers(config: TransformerConfig) -> list[int]:
    return [count for count in (config.encoder_layers, config.decoder_layers) if count]


def _stack(axes: Axes, config: TransformerConfig, side: str, left: float) -> tuple[float, float]:
    """Draw one stack; the height of its top, and of its cross-attention."""
    before, layer, after = blocks(config, side)
    axes.text(left + WIDE / 2, -0.55, f"{side} reads", ha="center", va="center", color=SOFT, fontsize=9)
    height, crossing = 0.0, 0.0
    _arrow(axes, (left + WIDE / 2, -0.4), (left + WIDE / 2, 0.0))
    for block in before:
        height = _box(axes, block, left, height)
    _arrow(axes, (left + WIDE / 2, height), (left + WIDE / 2, height + GAP * 2))
    bottom = height + GAP
    height += GAP * 2
    start = height
    for block in layer:
        if block.kind == "cross":
            crossing = height + HIGH / 2
        if block.kind != "norm" and not config.norm_first:
            start = height
        height = _box(axes, block, left, height)
        if block.kind != "norm":
            _residual(axes, left, start, height)
            start = height  # where a norm before the next part would begin
    count = config.encoder_layers if side == "encoder" else config.decoder_layers
    frame = (left - 0.42, bottom), WIDE + 0.84, height - bottom + GAP * 0.7
    axes.add_patch(Rectangle(*frame, fill=False, edgecolor=LINE, linestyle=(0, (4, 3))))
    axes.text(left + WIDE + 0.5, bottom + 0.1, f"× {count}", ha="left", va="bottom", fontsize=12, color=INK)
    height += GAP * 0.7
    if after:
        _arrow(axes, (left + WIDE / 2, height - GAP * 0.7), (left + WIDE / 2, height + GAP))
        height += GAP
        for block in after:
            height = _box(axes, block, left, height)
    return height, crossing


def _box(axes: Axes, block: Block, left: float, bottom: float) -> float:
    """Draw a box; the height of its top."""
    high = HIGH if block.says else HIGH * 0.7
    shape = FancyBboxPatch(
        (left, bottom + 0.03),
        WIDE,
        high - 0.06,
        boxstyle="round,pad=0,rounding_size=0.08",
        facecolor=COLOURS[block.kind],
        edgecolor=LINE,
        linewidth=0.8,
    )
    axes.add_patch(shape)
    middle = bottom + high * (0.66 if block.says else 0.5)
    axes.text(left + WIDE / 2, middle, block.name, ha="center", va="center", fontsize=10, color=INK)
    if block.says:
        axes.text(left + WIDE / 2, bottom + high * 0.3, block.says, ha="center", va="center", fontsize=7.5, color=SOFT)
    return bottom + high


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.add_patch(FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=10, color=LINE, linewidth=1))


def _residual(axes: Axes, left: float, bottom: float, top: float) -> None:
    """The way around a sub-layer, added again above it."""
    side = left + WIDE + 0.2
    axes.plot([left + WIDE, side, side], [bottom, bottom, top], color=LINE, linewidth=1)
    _arrow(axes, (side, top), (left + WIDE - 0.02, top))


def _across(axes: Axes, top: float, crossing: float) -> None:
    """From the encoder's last rows to the decoder's cross-attention."""
    middle = WIDE + (COLUMN - WIDE) / 2
    axes.plot([WIDE / 2, WIDE / 2, middle, middle], [top, top + GAP, top + GAP, crossing], color=LINE, linewidth=1)
    _arrow(axes, (middle, crossing), (COLUMN, crossing))
