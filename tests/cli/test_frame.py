"""The frame: help, version, and refusals that are one sentence."""

import errno
import subprocess
import sys

import click
import pytest

import glassformer
from glassformer.cli.main import COMMANDS
from glassformer.cli.refusals import refusal
from glassformer.errors import InputError
from glassformer.shipped import first_sentence

from .conftest import Call, assert_refused


def test_help_names_every_command(call: Call) -> None:
    result = call("--help")
    assert result.code == 0
    for name, (_, line) in COMMANDS.items():
        assert name in result.out
        assert line in result.out


def test_no_words_at_all_show_the_help(call: Call) -> None:
    assert call().out == call("--help").out


def test_version(call: Call) -> None:
    assert call("--version").out == f"glassformer, version {glassformer.__version__}\n"


@pytest.mark.parametrize("words", [["nothing"], ["--nothing"], ["models", "--nothing"], ["train"]])
def test_wrong_words_are_refused_in_one_sentence(call: Call, words: list[str]) -> None:
    assert_refused(call(*words), "--help")


def test_a_command_that_is_misspelt(call: Call) -> None:
    assert_refused(call("classfy", "a text"), "No such command 'classfy'. Did you mean 'classify'?")


def test_module_and_command_are_one() -> None:
    words = [sys.executable, "-m", "glassformer", "--version"]
    assert glassformer.__version__ in subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_a_refusal_is_one_line() -> None:
    assert refusal(InputError("two\n  lines")) == "two lines"


def test_a_path_that_cannot_be_used_is_named() -> None:
    missing = FileNotFoundError(errno.ENOENT, "No such file or directory", "there.txt")
    assert refusal(missing) == "there.txt: no such file or directory; give a path that exists and may be used"

    full = OSError(errno.ENOSPC, "No space left on device")
    assert refusal(full) == "the system refused: no space left on device"


def test_a_mistake_of_our_own_keeps_its_traceback() -> None:
    assert refusal(ZeroDivisionError("ours")) is None


def test_an_interrupt_is_130(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("glassformer.cli.models.models", click.Command("models", callback=interrupt))
    assert call("models").code == 130


def test_a_reader_that_leaves_early_is_no_error() -> None:
    words = f"{sys.executable} -m glassformer --help | true"
    assert subprocess.run(words, shell=True, capture_output=True, text=True, check=True).stderr == ""


def test_a_cards_first_sentence() -> None:
    card = "---\nlicence: cc-by\n---\n\n# Name\n\nEnglish to French. Trained on little.\n"
    assert first_sentence(card) == "English to French"
