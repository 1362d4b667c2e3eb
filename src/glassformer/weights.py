"""Tables of weight names, read in both directions: a published layout to ours, and ours back to it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from glassformer.errors import InputError

Shape = tuple[int, ...]
Role = Literal["main", "tied", "spare"]

# ------------------------------------------------------------------ changes of layout, each with its inverse


@dataclass(frozen=True, kw_only=True)
class Reshape:
    """How one stored tensor lies in ours, and how ours go back into one."""

    ours: Callable[[Tensor], tuple[Tensor, ...]]
    theirs: Callable[[Sequence[Tensor]], Tensor]


def _turned(weight: Tensor) -> Tensor:
    """Matrices turned over; a bias has nothing to turn."""
    return weight.mT if weight.ndim == 2 else weight


AS_IS = Reshape(ours=lambda w: (w,), theirs=lambda pieces: pieces[0])
TRANSPOSED = Reshape(ours=lambda w: (_turned(w),), theirs=lambda pieces: _turned(pieces[0]))
ROW = Reshape(ours=lambda w: (w[0],), theirs=lambda pieces: pieces[0][None])  # stored as a matrix of one row
THIRDS = Reshape(ours=lambda w: w.chunk(3), theirs=lambda pieces: torch.cat([*pieces]))  # q over k over v
TRANSPOSED_THIRDS = Reshape(  # q beside k beside v
    ours=lambda w: tuple(map(_turned, w.chunk(3, dim=-1))),
    theirs=lambda pieces: torch.cat([_turned(piece) for piece in pieces], dim=-1),
)


def pairs(heads: int) -> Reshape:
    """The two numbers of a head that turn together stored side by side, and not in two halves."""

    def ours(w: Tensor) -> tuple[Tensor, ...]:
        return (w.reshape(heads, -1, 2, *w.shape[1:]).transpose(1, 2).reshape(w.shape),)

    def theirs(pieces: Sequence[Tensor]) -> Tensor:
        (w,) = pieces
        return w.reshape(heads, 2, -1, *w.shape[1:]).transpose(1, 2).reshape(w.shape)

    return Reshape(ours=ours, theirs=theirs)


# ------------------------------------------------------------------ rules


@dataclass(frozen=True)
class Rule:
    """One line of a table: a name in the published file, and what it is called here.

    In both names `{i}` is a number and `*` the last word (weight, bias); a rule without ours drops the tensor: it is
    computed, or no part of the model. `[prefix.]` may be missing from the file; writing says whether to put it.

    Tied: another name of a tensor, read where the main one is missing, and equal to it where both are there.
    Spare: likewise, but of no account where the main one is there; it is written because others look for it.
    """

    theirs: str
    ours: tuple[str, ...]
    reshape: Reshape = AS_IS
    role: Role = "main"


def rule(theirs: str, *ours: str, reshape: Reshape = AS_IS, role: Role = "main") -> Rule:
    """A rule as a table writes it."""
    return Rule(theirs, ours, reshape, role)


@cache
def _pattern(name: str) -> re.Pattern[str]:
    """`[bert.]layer.{i}.*` as a regular expression."""
    pattern = re.escape(name).replace(r"\{i\}", r"(?P<i>\d+)").replace(r"\*\*", r"(?P<all>.+)")
    pattern = pattern.replace(r"\*", r"(?P<last>\w+)")
    return re.compile(re.sub(r"\\\[(.+?)\\\]", r"(?:\1)?", pattern))


def _written(name: str, match: re.Match[str], prefixed: bool = True) -> str:
    """A name with what the match found in place of `{i}` and `*`, with or without its `[prefix.]`."""
    found = match.groupdict()
    name = re.sub(r"\[(.+?)\]", r"\1" if prefixed else "", name)
    name = name.replace("{i}", found.get("i") or "")
    return name.replace("**", found.get("all") or "").replace("*", found.get("last") or "")


# ------------------------------------------------------------------ plans: names only, before a number is read


@dataclass(frozen=True)
class Move:
    """One stored tensor and the parameters of ours that it holds."""

    theirs: str
    ours: tuple[str, ...]
    reshape: Reshape
    role: Role = "main"

    def expected(self, shapes: Mapping[str, Shape]) -> Shape:
        """The shape that the stored tensor must have for ours to have theirs."""
        one = torch.empty((), dtype=torch.int8)  # a tensor of any shape that takes up one byte
        pieces = [one.expand(shapes[name]) for name in self.ours]
        return tuple(self.reshape.theirs(pieces).shape)


def moves_in(stored: Iterable[str], rules: Sequence[Rule]) -> list[Move]:
    """Where each stored tensor goes; every one must meet exactly one rule."""
    return [_move_in(name, rules) for name in stored]


def _move_in(name: str, rules: Sequence[Rule]) -> Move:
    hits = [(match, each) for each in rules if (match := _pattern(each.theirs).fullmatch(name))]
    if not hits:
        raise InputError(
            f"the checkpoint holds {name}, which has no place in such a model; it may be of another kind"
        )
    if len(hits) > 1:
        raise ValueError(f"{name} meets {len(hits)} rules: {', '.join(each.theirs for _, each in hits)}")
    match, each = hits[0]
    return Move(name, tuple(_written(ours, match) for ours in each.ours), each.reshape, each.role)


def moves_out(parameters: Iterable[str], rules: Sequence[Rule], prefixed: bool = True) -> list[Move]:
    """Which stored tensors our parameters become; each must meet exactly one main rule, and spares are written too."""
    moves: dict[str, Move] = {}
    for name in parameters:
        hits = [
            (match, each)
            for each in rules
            for ours in each.ours
            if each.role != "tied" and (match := _pattern(ours).fullmatch(name))
        ]
        if (count := sum(each.role == "main" for _, each in hits)) != 1:
            raise ValueError(f"{name} meets {count} rules, expected one")
        for match, each in hits:
            theirs = _written(each.theirs, match, prefixed)
            pieces = tuple(_written(ours, match) for ours in each.ours)
            moves[theirs] = Move(theirs, pieces, each.reshape, each.role)
    return list(moves.values())


def planned(
    stored: Mapping[str, Shape], parameters: Mapping[str, Shape], rules: Sequence[Rule], prefixed: bool = True
) -> tuple[list[Move], list[Move]]:
    """The moves that fill every parameter once, and the tied ones whose tensors must equal what they are tied to.

    Given and asked for by name and shape; raises one sentence on the first tensor that is missing, unknown, there
    twice or of a wrong shape.
    """
    moves = [move for move in moves_in(stored, rules) if move.ours]
    for move in moves:
        _check_place(move, stored, parameters)
    main = [move for move in moves if move.role == "main"]
    filled = _filled(main)
    used = list(main)
    for move in moves:
        if move.role != "main" and not all(name in filled for name in move.ours):
            used.append(move)
            filled.update(dict.fromkeys(move.ours, move.theirs))
    missing = [name for name in parameters if name not in filled]
    if missing:
        wanted = moves_out(parameters, rules, prefixed)
        first = next(move for move in wanted if move.role == "main" and missing[0] in move.ours)
        raise InputError(
            f"the checkpoint lacks {first.theirs}, which config.json calls for with shape "
            f"{list(first.expected(parameters))}{_and_more(len(missing) - 1)}; fetch the files again"
        )
    tied = [move for move in moves if move.role == "tied" and move not in used]
    return used, tied


def _check_place(move: Move, stored: Mapping[str, Shape], parameters: Mapping[str, Shape]) -> None:
    shape = list(stored[move.theirs])
    if any(name not in parameters for name in move.ours):
        raise InputError(
            f"the checkpoint holds {move.theirs}, of shape {shape}, but config.json describes a model without it; "
            "give the config.json that belongs to these weights"
        )
    expected = list(move.expected(parameters))
    if shape != expected:
        raise InputError(
            f"{move.theirs} has shape {shape} in the checkpoint, but config.json calls for {expected}; "
            "give the config.json that belongs to these weights"
        )


def _filled(moves: Iterable[Move]) -> dict[str, str]:
    """Parameter -> the stored tensor that fills it; two are one too many."""
    filled: dict[str, str] = {}
    for move in moves:
        for name in move.ours:
            if name in filled:
                raise InputError(
                    f"the checkpoint holds both {filled[name]} and {move.theirs}, which are one and the same tensor; "
                    "keep one of them"
                )
            filled[name] = move.theirs
    return filled


def _and_more(count: int) -> str:
    return f" (and {count} more)" if count > 0 else ""


# ------------------------------------------------------------------ tensors


def to_ours(move: Move, stored: Tensor) -> dict[str, Tensor]:
    """One stored tensor as the parameters that it holds."""
    return dict(zip(move.ours, move.reshape.ours(stored), strict=True))


def to_theirs(move: Move, parameters: Mapping[str, Tensor]) -> Tensor:
    """Parameters of ours as the one tensor that holds them."""
    return move.reshape.theirs([parameters[name] for name in move.ours])


def imported(
    stored: Mapping[str, Tensor], parameters: Mapping[str, Shape], rules: Sequence[Rule]
) -> dict[str, Tensor]:
    """A whole published state in our names."""
    moves, _ = planned({name: tuple(tensor.shape) for name, tensor in stored.items()}, parameters, rules)
    return {name: piece for move in moves for name, piece in to_ours(move, stored[move.theirs]).items()}


def exported(
    parameters: Mapping[str, Tensor], rules: Sequence[Rule], prefixed: bool = True
) -> dict[str, Tensor]:
    """Our parameters in the published names."""
    return {move.theirs: to_theirs(move, parameters) for move in moves_out(parameters, rules, prefixed)}
