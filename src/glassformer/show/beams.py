"""A beam search in the terminal: position by position what was weighed, in the colour of what became of it."""

from collections.abc import Iterator

from rich.text import Text

from glassformer.glass.beam_tree import BeamTree

STYLES = {"kept": "", "ended": "green", "dropped": "dim"}


def told(tree: BeamTree) -> Iterator[Text]:
    """The same lines as the tree's own, the answer's in bold."""
    wide = max(len(repr(node.token)) for node in tree.nodes)
    for level in tree.levels:
        yield Text(f"position {level[0].position}", "bold")
        for node in level:
            style = f"bold {STYLES[node.fate]}".strip() if node.chosen else STYLES[node.fate]
            yield Text(f"  {tree.line(node, wide)}", style)
    for place, one in enumerate(tree.finished, start=1):
        yield Text(f"{place}. {tree.nodes[one.node].text!r}, score {one.score:.4f}", "bold" if place == 1 else "")
