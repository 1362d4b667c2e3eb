"""The names of labels that files give by number."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glassformer.data.examples import Skipped
from glassformer.data.lines import Unfit, read_lines
from glassformer.data.reading import Reading
from glassformer.errors import InputError

USUAL = "labels.txt"


@dataclass(frozen=True)
class LabelNames:
    """Names by number, and where they come from; without any, a label is its own name."""

    names: tuple[str, ...] = ()
    origin: str = ""

    def name(self, label: str) -> str:
        """A label by its name, given so or by number."""
        if not self.names or label in self.names:
            return label
        if label.isdecimal() and int(label) < len(self.names):
            return self.names[int(label)]
        raise Unfit(f"its label {label!r} is none of the {len(self.names)} of {self.origin}")

    def are_all(self, labels: Sequence[str]) -> bool:
        """Whether each of several labels is known, so that together they are no name of their own."""
        known = {*self.names, *map(str, range(len(self.names)))}
        return len(labels) > 1 and known.issuperset(labels)


def find_names(reading: Reading, folder: Path | None) -> LabelNames:
    """Those that were given: a list, a file, or one that lies beside the data under its usual name."""
    given = reading.labels
    if given is None:
        usual = None if folder is None else folder / USUAL
        return LabelNames() if usual is None or not usual.is_file() else _read(usual)
    if isinstance(given, tuple):
        return _named(given, "the labels given")
    places = [Path(given), *([] if folder is None else [folder / given])]
    found = next((place for place in places if place.is_file()), None)
    if found is not None:
        return _read(found)
    if "," not in given:
        raise InputError(
            f"there is no file {given} with labels; give one, one label a line, or the labels: no,yes"
        )
    return _named(tuple(each.strip() for each in given.split(",")), "the labels given")


def _read(path: Path) -> LabelNames:
    lines = list(read_lines(path))
    for line in lines:
        if isinstance(line, Skipped):
            raise InputError(f"{line}; give one label a line")
    return _named(tuple(line.text.strip() for line in lines if not isinstance(line, Skipped)), str(path))


def _named(names: tuple[str, ...], origin: str) -> LabelNames:
    if not names or "" in names or len(set(names)) < len(names):
        raise InputError(f"{origin} holds {list(names)}; expected labels that differ, and none empty")
    return LabelNames(names, origin)
