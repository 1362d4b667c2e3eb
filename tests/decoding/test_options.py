import re
from dataclasses import fields
from pathlib import Path

import pytest

from glassformer.decoding.options import DEFAULTS, OURS, Decoding
from glassformer.errors import InputError


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"num_beams": 0}, "num_beams is 0; expected a whole number of 1 or more"),
        ({"num_beams": True}, "num_beams is True"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0"),
        ({"max_new_tokens": 2.5}, "max_new_tokens is 2.5"),
        ({"num_beams": None}, "num_beams is None"),
        ({"beyond_source": -1}, "beyond_source is -1; expected a whole number of 0 or more"),
        ({"length_penalty": float("nan")}, "length_penalty is nan"),
        ({"agreement_power": -0.5}, "agreement_power is -0.5; expected a number of 0 or more, such as 0.5"),
        ({"length_penalty": "long"}, "length_penalty is 'long'"),
        ({"early_stopping": "sometimes"}, "expected True, False or 'never'"),
        ({"early_stopping": 1}, "early_stopping is 1"),
        ({"do_sample": "yes"}, "do_sample is 'yes'; expected True or False"),
        ({"temperature": 0.0}, "temperature is 0.0; expected a number above 0: for the likeliest token"),
        ({"temperature": float("inf")}, "temperature is inf"),
        ({"top_p": 0.0}, "top_p is 0.0; expected a share above 0"),
        ({"top_p": 1.1}, "top_p is 1.1"),
        ({"top_k": -1}, "top_k is -1"),
        ({"min_p": -0.1}, "min_p is -0.1; expected a share from 0 to 1"),
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0.0; expected a number above 0"),
        ({"seed": -1}, "seed is -1"),
        ({"stop_strings": ("",)}, "expected texts, none of them empty"),
        ({"bad_words_ids": ((),)}, "bad_words_ids has an empty sequence"),
        ({"bad_words_ids": ((1, -2),)}, "expected a sequence of token numbers"),
        ({"forced_prefix_ids": (True,)}, "forced_prefix_ids has"),
        ({"forced_prefix": 3}, "forced_prefix is 3; expected a text"),
        ({"num_return_sequences": 3, "num_beams": 2}, "is 3, but 2 beams end in as many; raise num_beams"),
        ({"num_return_sequences": 3}, "is 3, but one output is found; raise num_beams, or draw"),
        ({"num_return_sequences": 3, "num_beams": 2, "do_sample": True}, "2 beams end in as many"),
        ({"num_beams": 4, "num_beam_groups": 3, "diversity_penalty": 1.0}, "4 beams make no 3 groups"),
        ({"num_beams": 4, "num_beam_groups": 2}, "groups differ by the penalty"),
        ({"diversity_penalty": 1.0}, "the penalty is for groups"),
        (
            {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 1.0, "do_sample": True},
            "groups of beams draw nothing",
        ),
        ({"penalty_alpha": 0.6}, "top_k is 0; try 4"),
        ({"penalty_alpha": 0.6, "top_k": 4, "num_beams": 2}, "contrastive search, which draws nothing"),
        ({"penalty_alpha": 0.6, "top_k": 4, "do_sample": True}, "contrastive search, which draws nothing"),
        ({"penalty_alpha": 1.6, "top_k": 4}, "penalty_alpha is 1.6; expected a share"),
    ],
)
def test_what_cannot_be_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Decoding(**given)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="num_beam"):
        Decoding(num_beam=3)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"temprature": 0.8}, "no option 'temprature'; did you mean temperature"),
        ({"max_length": 9}, "no option 'max_length'; did you mean max_new_tokens"),
        ({"xyzzy": 9}, "no option 'xyzzy'; there are num_beams, "),
        ({"top_p": 0.9, "do_sample": False}, "top_p is for drawing, and do_sample is False"),
        ({"seed": 1, "temperature": -1}, "temperature is -1"),
    ],
)
def test_a_change_that_cannot_be_is_refused(given: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Decoding().changed(**given)


def test_options_of_drawing_ask_for_it() -> None:
    assert Decoding().changed(temperature=0.5) == Decoding(temperature=0.5, do_sample=True)
    assert Decoding().changed(top_k=5, do_sample=True) == Decoding(top_k=5, do_sample=True)
    assert Decoding().changed(top_k=5, penalty_alpha=0.6) == Decoding(top_k=5, penalty_alpha=0.6)
    assert Decoding().changed(seed=5) == Decoding(seed=5)
    assert Decoding().changed() == Decoding()


def test_lists_and_single_texts_are_taken_too() -> None:
    changed = Decoding().changed(stop_strings="\n", bad_words=["a", "b"], bad_words_ids=[[1, 2], [3]])
    assert (changed.stop_strings, changed.bad_words) == (("\n",), ("a", "b"))
    assert changed.bad_words_ids == ((1, 2), (3,))
    assert Decoding.read({"stop_strings": "end", "bad_words_ids": [[4]]}).stop_strings == ("end",)


FULL = Decoding(
    num_beams=4, length_penalty=0.6, agreement_power=0.5, early_stopping="never", num_return_sequences=2,
    max_new_tokens=99, beyond_source=50, min_new_tokens=3, stop_strings=("a", "b"), do_sample=True,
    temperature=0.7, top_k=0, top_p=0.9, min_p=0.05, typical_p=0.8, seed=7, repetition_penalty=1.2,
    no_repeat_ngram_size=3, bad_words=("x",), bad_words_ids=((1,), (2, 3)), forced_prefix="So",
    forced_prefix_ids=(5, 6), forced_bos_token_id=8, forced_eos_token_id=9,
)  # fmt: skip
GROUPS = Decoding(num_beams=4, num_beam_groups=2, diversity_penalty=0.5)


@pytest.mark.parametrize("options", [Decoding(), FULL, GROUPS, Decoding(penalty_alpha=0.6, top_k=4)])
def test_what_is_published_is_read_again(options: Decoding) -> None:
    assert Decoding.read(options.publish()) == options


def test_only_what_is_meant_is_published() -> None:
    assert set(Decoding().publish()) == {
        "num_beams", "length_penalty", "early_stopping", "max_new_tokens", "num_return_sequences",
    }  # fmt: skip
    assert {name for name in FULL.publish() if name in OURS} == set(OURS)


def test_every_name_but_ours_is_one_of_generates() -> None:
    import transformers

    theirs = vars(transformers.GenerationConfig())
    assert set(DEFAULTS) - set(OURS) <= set(theirs)


def test_a_published_file_means_what_it_means_there() -> None:
    llama = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "max_length": 4096, "bos_token_id": 1}
    read = Decoding.read({**llama, "max_new_tokens": 20})
    assert read == Decoding(do_sample=True, temperature=0.6, top_p=0.9, top_k=50, max_new_tokens=20)
    assert Decoding.read({"temperature": 0.0, "top_p": None}) == Decoding()
    assert Decoding.read({"do_sample": True, "penalty_alpha": 0.6, "top_k": 4}).contrastive is False
    assert Decoding.read({"penalty_alpha": 0.6}).top_k == 50
    pairs = Decoding.read({"max_length": 63, "min_length": 11, "forced_bos_token_id": [7]})
    assert (pairs.max_new_tokens, pairs.min_new_tokens, pairs.forced_bos_token_id) == (62, 10, 7)


def test_the_documentation_lists_every_option_in_its_own_words() -> None:
    text = (Path(__file__).parents[2] / "docs" / "decoding.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| .+? \| (.+) \|$", text, re.MULTILINE)
    assert rows == [(each.name, each.metadata["description"]) for each in fields(Decoding)]
