"""Names and patterns of steps: which are meant, and which are near when none is."""

import difflib
import fnmatch
import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache

from glassformer.errors import InputError

NEAR = 4


class UnknownStepError(InputError, KeyError):
    """A name or a pattern that no step has; it is the user's to mend, and no key of the mapping that a trace is."""

    def __str__(self) -> str:
        return str(self.args[0])


def nearest(name: str, known: Collection[str], count: int = NEAR) -> str:
    """The known names most like one that is not, as part of a sentence: those whose last word is its own or nearest."""
    lasts = {each.rpartition(".")[2] for each in known}
    words = difflib.get_close_matches(name.rpartition(".")[2], lasts, n=1, cutoff=0.6)
    alike = [each for each in known if each.rpartition(".")[2] in words]
    near = difflib.get_close_matches(name, alike or known, n=count, cutoff=0.0)
    return ", ".join(near) or "none"


def unknown(what: str, known: Collection[str]) -> UnknownStepError:
    """What is said of a name or pattern that fits nothing."""
    kind = "step fits the pattern" if is_pattern(what) else "step is called"
    return UnknownStepError(
        f"no {kind} {what!r}; of the {len(known)} steps near it are {nearest(what.lstrip('!'), known)}"
    )


def let_go(name: str, patterns: Iterable[str]) -> UnknownStepError:
    """What is said of a step that was made but not kept."""
    return UnknownStepError(f"{name} was computed but not kept; keep is {', '.join(patterns)}, add its name")


def is_pattern(name: str) -> bool:
    """Whether a name may stand for several."""
    return any(sign in name for sign in "*?[!")


class Keep:
    """Which steps are held on to: those that fit one of the shell patterns and none of those that begin with "!".

    A name is matched once, however often it is met.
    """

    def __init__(self, patterns: str | Iterable[str]) -> None:
        self.patterns = (patterns,) if isinstance(patterns, str) else tuple(patterns)
        self._known = _answers(self.patterns)

    def __call__(self, name: str) -> bool:
        """Whether a step of this name is held on to."""
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = self._fits(name)
        return found

    def _fits(self, name: str) -> bool:
        wanted = any(fits(pattern, name) for pattern in self.patterns if not pattern.startswith("!"))
        return wanted and not any(fits(pattern[1:], name) for pattern in self.patterns if pattern[:1] == "!")

    def check(self, names: Collection[str]) -> None:
        """Refuse a pattern that fits none of these names."""
        for pattern in self.patterns:
            if not any(fits(pattern.removeprefix("!"), name) for name in names):
                raise unknown(pattern, names)


@lru_cache(maxsize=64)
def _answers(patterns: tuple[str, ...]) -> dict[str, bool]:
    """What was found of each name under these patterns; shared by all traces that have them."""
    return {}


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))


def fits(pattern: str, name: str) -> bool:
    """Whether a name fits a shell pattern."""
    return _compiled(pattern).match(name) is not None


def chosen(pattern: str, names: Iterable[str]) -> list[str]:
    """The names that fit a shell pattern, in their order."""
    return [name for name in names if fits(pattern, name)]


def first_fitting(patterns: Mapping[str, object], name: str) -> str | None:
    """The first of the patterns that a name fits."""
    return next((pattern for pattern in patterns if fits(pattern, name)), None)
