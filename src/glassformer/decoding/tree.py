"""The tree of a beam search, made of what was weighed at each step."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from glassformer.decoding.chooser import penalized
from glassformer.decoding.options import Decoding
from glassformer.decoding.records import Candidate, Candidates
from glassformer.errors import InputError
from glassformer.glass.beam_tree import BeamTree, Finished, Node

Spelt = Callable[[Sequence[int]], str]  # the text of some new tokens
Named = Callable[[int], str]


def grown(
    history: Sequence[Candidates], options: Decoding, token: Named, spelt: Spelt, *, by_sum: bool
) -> BeamTree:
    """One sentence's tree: every candidate, what it continues, and what became of it and why."""
    if not history:
        raise InputError("the search weighed nothing, so it has no tree; ask for at least one token")
    nodes: list[Node] = []
    ids: list[tuple[int, ...]] = []
    before: dict[int, int] = {}  # beam -> the node that it is
    for level in history:
        beams = {}
        for rank, one in enumerate(level.candidates):
            parent = before.get(one.parent)
            written = (*(() if parent is None else ids[parent]), one.token)
            number = len(nodes)
            if one.beam is not None:
                beams[one.beam] = number
            ids.append(written)
            nodes.append(
                Node(
                    number=number,
                    position=level.position,
                    rank=rank,
                    id=one.token,
                    token=token(one.token),
                    parent=parent,
                    text=spelt(written),
                    log_probability=one.log_probability,
                    score=one.score,
                    closed=one.closed,
                    fate=fate_of(one),
                    beam=one.beam,
                    reason="",
                    chosen=False,
                )
            )
        before = beams
    tree = BeamTree(
        beams=options.num_beams,
        weighed=max(len(level.candidates) for level in history),
        length_penalty=float(options.length_penalty),
        by_sum=by_sum,
        nodes=tuple(nodes),
        finished=finished(nodes, options),
    )
    return explained(tree)


def fate_of(candidate: Candidate) -> str:
    """What became of a continuation."""
    if candidate.ended:
        return "ended"
    return "dropped" if candidate.beam is None else "kept"


def finished(nodes: Sequence[Node], options: Decoding) -> tuple[Finished, ...]:
    """The best hypotheses that ended, as many as there are beams; of equals the one that ended first."""
    ended = [
        Finished(node=node.number, score=penalized(node.score, node.position + 1, options.length_penalty))
        for node in nodes
        if node.fate == "ended"
    ]
    ended.sort(key=lambda one: -one.score)
    return tuple(ended[: options.num_beams])


def explained(tree: BeamTree) -> BeamTree:
    """The same tree, each node with the reason of its fate, those of the answer marked."""
    chosen = {node.number for node in tree.answer}
    places = {one.node: place for place, one in enumerate(tree.finished, start=1)}
    last = tree.levels[-1][0].position
    nodes = [
        replace(node, reason=reason(node, tree, places, last), chosen=node.number in chosen)
        for node in tree.nodes
    ]
    return replace(tree, nodes=tuple(nodes))


def reason(node: Node, tree: BeamTree, places: dict[int, int], last: int) -> str:
    """Why a continuation was kept, ended or dropped."""
    if node.fate == "kept":
        after = "; the search was over then" if node.position == last else ""
        return f"kept as beam {node.beam}{after}"
    how = "it closes the text" if node.closed else "no more tokens are allowed"
    if node.fate == "ended":
        score = penalized(node.score, node.position + 1, tree.length_penalty)
        place = places.get(node.number)
        if place is None:
            return f"ended: {how}; score {score:.4f}, later put out by {tree.beams} better ones"
        return f"ended: {how}; score {score:.4f}, number {place} of those that ended"
    if node.closed or node.rank >= tree.beams and all(other.beam is None for other in tree.levels[node.position]):
        return f"dropped: {how}, but only the best {tree.beams} may end, and it is number {node.rank + 1}"
    return f"dropped: {tree.beams} open ones are better"
