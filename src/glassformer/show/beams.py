"""A search's tree in the terminal: position by position what was weighed, in the colour of what became of it."""

from collections.abc import Iterator

from rich.text import Text

from glassformer.glass.search_tree import SearchTree

STYLES = {"kept": "", "ended": "green", "dropped": "dim"}


def told(tree: SearchTree) -> Iterator[Text]:
    """The same lines as the tree's own, the answer's in bold."""
    wide = max(len(repr(node.token)) for node in tree.nodes)
    for called, nodes in tree.stages:
        yield Text(called, "bold")
        for node in nodes:
            style = f"bold {STYLES[node.fate]}".strip() if node.chosen else STYLES[node.fate]
            yield Text(f"  {tree.line(node, wide)}", style)
    for place, line in enumerate(tree.endings()):
        yield Text(line, "" if place else "bold")
