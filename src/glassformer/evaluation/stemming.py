"""Porter's stemmer with the changes that NLTK makes to it: the one that published ROUGE figures are computed with.

Porter 1980, "An algorithm for suffix stripping". NLTK is the test's oracle; it is too much to install for one function.
"""

from collections.abc import Callable
from functools import cache

Condition = Callable[[str], bool]
Rule = tuple[str, str, Condition]  # suffix, what stands in its place, if what stands before it is such

IRREGULAR = {
    "skies": "sky",
    "sky": "sky",
    "dying": "die",
    "lying": "lie",
    "tying": "tie",
    "news": "news",
    "innings": "inning",
    "inning": "inning",
    "outings": "outing",
    "outing": "outing",
    "cannings": "canning",
    "canning": "canning",
    "howe": "howe",
    "proceed": "proceed",
    "exceed": "exceed",
    "succeed": "succeed",
}


@cache
def stem(word: str) -> str:
    """The stem of a word in lower case."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if len(word) <= 2:
        return word
    for step in (plural, past, y_to_i, double_suffix, suffix, last_suffix, final_e, final_l):
        word = step(word)
    return word


def consonants(word: str) -> str:
    """c for each consonant and v for each vowel; a y is one of the two as the letter before it is the other."""
    kinds = ""
    for letter in word:
        vowel = letter in "aeiou" or (letter == "y" and kinds.endswith("c"))
        kinds += "v" if vowel else "c"
    return kinds


def measure(word: str) -> int:
    """How often a consonant follows a vowel."""
    return consonants(word).count("vc")


def longer_than_0(word: str) -> bool:
    """m > 0."""
    return measure(word) > 0


def longer_than_1(word: str) -> bool:
    """m > 1."""
    return measure(word) > 1


def always(word: str) -> bool:
    """Whatever stands before the suffix."""
    return True


def doubled(word: str) -> bool:
    """*d: ends in twice the same consonant."""
    return len(word) >= 2 and word[-1] == word[-2] and consonants(word)[-1] == "c"


def short(word: str) -> bool:
    """*o: ends in consonant, vowel, consonant, the last not w, x or y; or is a vowel and a consonant."""
    kinds = consonants(word)
    return kinds == "vc" or (kinds.endswith("cvc") and word[-1] not in "wxy")


def replaced(word: str, rules: tuple[Rule, ...]) -> str:
    """By the first rule whose suffix the word has; if its condition fails, no other is tried."""
    for ending, new, condition in rules:
        if word.endswith(ending):
            start = word[: len(word) - len(ending)]
            return start + new if condition(start) else word
    return word


def plural(word: str) -> str:
    """Step 1a: caresses, ponies, cats."""
    if word.endswith("ies") and len(word) == 4:
        return word[:-1]
    return replaced(
        word, (("sses", "ss", always), ("ies", "i", always), ("ss", "ss", always), ("s", "", always))
    )


def past(word: str) -> str:
    """Step 1b: agreed, plastered, motoring."""
    if word.endswith("ied"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("eed"):
        return word[:-1] if longer_than_0(word[:-3]) else word
    for ending in ("ed", "ing"):
        start = word.removesuffix(ending)
        if start != word and "v" in consonants(start):
            return _mended(start)
    return word


def _mended(word: str) -> str:
    """What is left of a word without -ed or -ing: conflat(e), hop(p), fil(e)."""
    if word.endswith(("at", "bl", "iz")):
        return word + "e"
    if doubled(word):
        return word if word[-1] in "lsz" else word[:-1]
    return word + "e" if measure(word) == 1 and short(word) else word


def y_to_i(word: str) -> str:
    """Step 1c: happy, but not enjoy, nor by."""
    return replaced(word, (("y", "i", lambda start: len(start) > 1 and consonants(start)[-1] == "c"),))


SECOND: tuple[Rule, ...] = tuple(
    (ending, new, longer_than_0)
    for ending, new in (
        ("ational", "ate"),
        ("tional", "tion"),
        ("enci", "ence"),
        ("anci", "ance"),
        ("izer", "ize"),
        ("bli", "ble"),
        ("alli", "al"),
        ("entli", "ent"),
        ("eli", "e"),
        ("ousli", "ous"),
        ("ization", "ize"),
        ("ation", "ate"),
        ("ator", "ate"),
        ("alism", "al"),
        ("iveness", "ive"),
        ("fulness", "ful"),
        ("ousness", "ous"),
        ("aliti", "al"),
        ("iviti", "ive"),
        ("biliti", "ble"),
        ("fulli", "ful"),
    )
)
THIRD: tuple[Rule, ...] = tuple(
    (ending, new, longer_than_0)
    for ending, new in (
        ("icate", "ic"),
        ("ative", ""),
        ("alize", "al"),
        ("iciti", "ic"),
        ("ical", "ic"),
        ("ful", ""),
        ("ness", ""),
    )
)
BEFORE_ION = ("al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent")
AFTER_ION = ("ou", "ism", "ate", "iti", "ous", "ive", "ize")
FOURTH: tuple[Rule, ...] = (
    *((ending, "", longer_than_1) for ending in BEFORE_ION),
    ("ion", "", lambda start: longer_than_1(start) and start[-1] in "st"),
    *((ending, "", longer_than_1) for ending in AFTER_ION),
)


def double_suffix(word: str) -> str:
    """Step 2: relational, conditional, digitizer."""
    if word.endswith("alli") and longer_than_0(word[:-4]):
        return double_suffix(word[:-2])
    if word.endswith("logi"):  # the l belongs to what stands before: geo-, theo-
        return word[:-1] if longer_than_0(word[:-3]) else word
    return replaced(word, SECOND)


def suffix(word: str) -> str:
    """Step 3: triplicate, formative, hopeful."""
    return replaced(word, THIRD)


def last_suffix(word: str) -> str:
    """Step 4: revival, allowance, adoption."""
    return replaced(word, FOURTH)


def final_e(word: str) -> str:
    """Step 5a: probate, cease, but not rate."""
    start = word.removesuffix("e")
    return (
        start
        if start != word and (measure(start) > 1 or (measure(start) == 1 and not short(start)))
        else word
    )


def final_l(word: str) -> str:
    """Step 5b: controll, but not roll."""
    return word[:-1] if word.endswith("ll") and longer_than_1(word[:-1]) else word
