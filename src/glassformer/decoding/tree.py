"""The tree of a search, made of what was weighed at each step."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from glassformer.decoding.agreement import agreements
from glassformer.decoding.chooser import penalized
from glassformer.decoding.options import Decoding
from glassformer.decoding.records import Candidate, Candidates
from glassformer.errors import InputError
from glassformer.glass.beam_tree import BeamTree
from glassformer.glass.contrastive_tree import ContrastiveTree
from glassformer.glass.search_tree import Finished, Node, SearchTree, path

Spelt = Callable[[Sequence[int]], str]  # the text of some new tokens
Named = Callable[[int], str]
Tree = TypeVar("Tree", bound=SearchTree)


def grown(
    history: Sequence[Candidates], options: Decoding, token: Named, spelt: Spelt
) -> BeamTree | ContrastiveTree:
    """One sentence's tree: every candidate, what it continues, and what became of it and why."""
    if not history:
        raise InputError("the search weighed nothing, so it has no tree; ask for at least one token")
    nodes = nodes_of(history, token, spelt)
    penalty = float(options.length_penalty)
    if options.contrastive:
        return explained_choices(
            ContrastiveTree(
                candidates=max(len(level.candidates) for level in history),
                penalty_alpha=float(options.penalty_alpha),
                ruled=options.constrained,
                length_penalty=penalty,
                nodes=nodes,
                finished=written(nodes, penalty),
            )
        )
    return explained_beams(
        BeamTree(
            beams=options.num_beams,
            groups=options.num_beam_groups,
            diversity_penalty=float(options.diversity_penalty),
            agreement_power=float(options.agreement_power) if options.by_agreement else 0.0,
            weighed=sum(len(level.candidates) for level in history if level.position == fullest(history)),
            length_penalty=penalty,
            by_sum=not (options.constrained or options.do_sample),
            nodes=nodes,
            finished=finished(nodes, options),
        )
    )


def nodes_of(history: Sequence[Candidates], token: Named, spelt: Spelt) -> tuple[Node, ...]:
    """Every candidate and what it continues, its fate still without a reason."""
    nodes: list[Node] = []
    ids: list[tuple[int, ...]] = []
    before: dict[tuple[int, int, int], int] = {}  # position, group and beam -> the node that it is
    ranks: defaultdict[int, int] = defaultdict(int)  # of each position, how many were weighed so far
    for level in history:
        for one in level.candidates:
            parent = before.get((level.position - 1, level.group, one.parent))
            written = (*(() if parent is None else ids[parent]), one.token)
            number = len(nodes)
            if one.beam is not None:
                before[level.position, level.group, one.beam] = number
            ids.append(written)
            nodes.append(
                Node(
                    number=number,
                    position=level.position,
                    group=level.group,
                    rank=ranks[level.position],
                    id=one.token,
                    token=token(one.token),
                    parent=parent,
                    row=one.row,
                    text=spelt(written),
                    log_probability=one.log_probability,
                    penalty=one.penalty,
                    score=one.score,
                    closed=one.closed,
                    fate=fate_of(one),
                    beam=one.beam,
                    reason="",
                    chosen=False,
                )
            )
            ranks[level.position] += 1
    return tuple(nodes)


def fullest(history: Sequence[Candidates]) -> int:
    """The position at which most was weighed, all groups together."""
    counts: defaultdict[int, int] = defaultdict(int)
    for level in history:
        counts[level.position] += len(level.candidates)
    return max(counts, key=counts.__getitem__)


def fate_of(candidate: Candidate) -> str:
    """What became of a continuation."""
    if candidate.ended:
        return "ended"
    return "dropped" if candidate.beam is None else "kept"


def marked(tree: Tree, reasons: Sequence[str]) -> Tree:
    """The same tree with the reason of every fate, the nodes of the answer marked."""
    chosen = {node.number for node in tree.answer}
    nodes = [
        replace(node, reason=reason, chosen=node.number in chosen)
        for node, reason in zip(tree.nodes, reasons, strict=True)
    ]
    return replace(tree, nodes=tuple(nodes))


# ------------------------------------------------------------------ beams


def finished(nodes: Sequence[Node], options: Decoding) -> tuple[Finished, ...]:
    """The best hypotheses that ended, as many as there are beams, of each group; of equals the first that ended.

    Where the answer is what they agree with most, what is agreed with most comes first.
    """
    best: list[Finished] = []
    for group in range(options.num_beam_groups):
        ended = [
            Finished(node=node.number, score=penalized(node.score, node.position + 1, options.length_penalty))
            for node in nodes
            if node.fate == "ended" and node.group == group
        ]
        ended.sort(key=lambda one: -one.score)
        best += ended[: options.num_beams // options.num_beam_groups]
    best.sort(key=lambda one: -one.score)
    if not options.by_agreement:
        return tuple(best)
    paths = [path(nodes, one.node) for one in best]
    found = agreements(
        [tuple(node.id for node in each) for each in paths],
        [sum(node.log_probability for node in each) for each in paths],
        options.agreement_power,
    )
    order = sorted(range(len(best)), key=lambda place: -found[place])
    return tuple(replace(best[place], agreement=found[place]) for place in order)


def explained_beams(tree: BeamTree) -> BeamTree:
    """The same tree, each node with the reason of its fate, those of the answer marked."""
    places = {one.node: place for place, one in enumerate(tree.finished, start=1)}
    last = {node.group: node.position for node in tree.nodes}
    reasons = {
        node.number: reason(node, rank, stage, tree, places, last[node.group])
        for _, stage in tree.stages
        for rank, node in enumerate(stage)
    }
    return marked(tree, [reasons[node.number] for node in tree.nodes])


def reason(
    node: Node, rank: int, stage: Sequence[Node], tree: BeamTree, places: dict[int, int], last: int
) -> str:
    """Why a continuation was kept, ended or dropped; `stage` is all that it was ranked among."""
    beams = tree.together
    if node.fate == "kept":
        after = "; the search was over then" if node.position == last else ""
        return f"kept as beam {node.beam}{after}"
    how = "it closes the text" if node.closed else "no more tokens are allowed"
    if node.fate == "ended":
        place = places.get(node.number)
        if place is None:
            score = penalized(node.score, node.position + 1, tree.length_penalty)
            better = "a better one" if beams == 1 else f"{beams} better ones"
            return f"ended: {how}; score {score:.4f}, later put out by {better}"
        return f"ended: {how}; {tree.finished[place - 1].figures}, number {place} of those that ended"
    if node.closed or rank >= beams and all(other.beam is None for other in stage):
        few = "the best" if beams == 1 else f"the best {beams}"
        return f"dropped: {how}, but only {few} may end, and it is number {rank + 1}"
    worst = min((other.score for other in stage if other.beam is not None), default=node.score)
    spared = node.penalty > 0 and node.score + node.penalty > worst
    without = f"; without its penalty of {node.penalty:g} it would have been kept" if spared else ""
    return f"dropped: {'an open one is' if beams == 1 else f'{beams} open ones are'} better{without}"


# ------------------------------------------------------------------ contrastive search


def written(nodes: Sequence[Node], penalty: float) -> tuple[Finished, ...]:
    """The one hypothesis: its score is the sum of its log-probabilities by its length, and decided nothing."""
    ended = [node for node in nodes if node.fate == "ended"]
    total = sum(node.log_probability for node in nodes if node.fate != "dropped")
    return tuple(Finished(node=node.number, score=penalized(total, node.position + 1, penalty)) for node in ended)


def explained_choices(tree: ContrastiveTree) -> ContrastiveTree:
    """The same tree, each node with the reason of its fate, those of the answer marked."""
    reasons = []
    for level in tree.levels:
        won = next(node for node in level if node.fate != "dropped")
        reasons += [reason_of_choice(node, won, tree) for node in level]
    return marked(tree, reasons)


def reason_of_choice(node: Node, won: Node, tree: ContrastiveTree) -> str:
    """Why a candidate was written, or was not."""
    if node is won:
        over = "it closes the text" if node.closed else "no more tokens are allowed"
        after = f"; ended: {over}" if node.fate == "ended" else ""
        return f"written: the greatest score{after}"
    less = f"{won.score - node.score:.4f} below {won.token!r}"
    repeats = node.log_probability > won.log_probability and node.penalty > won.penalty
    return f"dropped: {less}{', likelier but more like what was written' if repeats else ''}"
