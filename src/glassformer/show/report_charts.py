"""The small pictures of a report, as SVG: an interval on its scale, a share as a bar, confidence against truth."""

from collections.abc import Sequence
from html import escape

from glassformer.evaluation.report import Bin

SIDE = 320  # of the calibration diagram's square
LEFT, TOP, BELOW = 44, 10, 84  # room for its axes, and for the counts underneath
COUNTS = 40  # height of the highest count
TICKS = (0, 25, 50, 75, 100)


def strip(value: float, low: float | None, high: float | None, said: str) -> str:
    """A figure in percent on a line from 0 to 100, and where 95 % of its resamples lie."""
    spread = ""
    if low is not None and high is not None:
        first, last = inside(low), inside(high)
        spread = (
            f'<rect class="spread" x="{first:.2f}%" y="3" width="{last - first:.2f}%" height="10" rx="2"/>'
        )
    return (
        f'<svg class="strip" role="img" aria-label="{escape(said)}" width="100%" height="16">'
        f'<line class="axis" x1="0" x2="100%" y1="8" y2="8"/>{spread}'
        f'<circle class="at" cx="{inside(value):.2f}%" cy="8" r="3"/></svg>'
    )


def bar(value: float, low: float | None, high: float | None, said: str) -> str:
    """A figure in percent as a bar, and where 95 % of its resamples lie."""
    spread = ""
    if low is not None and high is not None:
        spread = f'<line class="whisker" x1="{inside(low):.2f}%" x2="{inside(high):.2f}%" y1="8" y2="8"/>'
    return (
        f'<svg class="strip" role="img" aria-label="{escape(said)}" width="100%" height="16">'
        f'<rect class="trough" width="100%" y="3" height="10" rx="2"/>'
        f'<rect class="bar" width="{inside(value):.2f}%" y="3" height="10" rx="2"/>{spread}</svg>'
    )


def inside(value: float) -> float:
    """A share of the width; what is below nothing stands at its edge."""
    return min(max(value, 0.0), 100.0)


def calibration(bins: Sequence[Bin]) -> str:
    """How often decisions of each confidence were right, the diagonal where they should be, and how many they were."""
    most, foot = max(each.decisions for each in bins), TOP + SIDE + BELOW - 14
    columns = "".join(column(each, COUNTS * each.decisions / most, foot) for each in bins)
    return (
        f'<svg class="calibration" role="img" viewBox="0 0 {LEFT + SIDE + 12} {foot + 16}" '
        f'aria-label="How often decisions of each confidence were right">{axes(foot)}{columns}</svg>'
    )


def column(found: Bin, count: float, foot: int) -> str:
    """The decisions of one confidence: how often right as a bar, how sure as a dot, how many underneath."""
    place = f'x="{LEFT + SIDE * found.low + 1:.1f}" width="{SIDE * (found.high - found.low) - 2:.1f}"'
    height = SIDE * found.right
    said = (
        f"{found.low:.0%} to {found.high:.0%} sure: {found.decisions:,} decisions, "
        f"{found.confidence:.1%} sure on average, {found.right:.1%} right"
    )
    return (
        f"<g><title>{escape(said)}</title>"
        f'<rect class="bar" {place} y="{TOP + SIDE - height:.1f}" height="{height:.1f}"/>'
        f'<rect class="count" {place} y="{foot - count:.1f}" height="{max(count, 1):.1f}"/>'
        f'<circle class="sure" cx="{LEFT + SIDE * found.confidence:.1f}" cy="{TOP + SIDE - height:.1f}" r="3.5"/></g>'
    )


def axes(foot: int) -> str:
    """The square with its ticks, and the names of the two parts."""
    parts = [f'<line class="ideal" x1="{LEFT}" y1="{TOP + SIDE}" x2="{LEFT + SIDE}" y2="{TOP}"/>']
    for tick in TICKS:
        x, y = LEFT + SIDE * tick / 100, TOP + SIDE - SIDE * tick / 100
        parts.append(f'<line class="axis" x1="{LEFT}" x2="{LEFT + SIDE}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick}</text>')
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{TOP + SIDE + 16}" text-anchor="middle">{tick}</text>'
        )
    parts.append(f'<text class="name" x="{LEFT}" y="{foot + 13}">decisions</text>')
    parts.append(f'<text class="name" x="{LEFT + 4}" y="{TOP + 14}">right, %</text>')
    parts.append(
        f'<text class="name" x="{LEFT + SIDE - 4}" y="{TOP + SIDE - 6}" text-anchor="end">sure, %</text>'
    )
    return "".join(parts)
