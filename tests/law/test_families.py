"""Every family, and every class of it, stands in the file that `glassformer families` prints, and each is short."""

import json
from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner

import glassformer
from glassformer.cli.main import glassformer as command
from glassformer.families import FAMILIES

VERIFIED = json.loads((files("glassformer.families") / "verified.json").read_text("utf-8"))["families"]
PACKAGE = Path(glassformer.__file__).parent
DATA = sorted(set((PACKAGE / "families").glob("*.py")) - {PACKAGE / "families" / "family.py"})
FORMER = ("T5WithLMHeadModel",)  # a name that the reference no longer knows
LONGEST = 120  # lines of a file


def test_every_family_and_class_was_verified() -> None:
    assert list(VERIFIED) == list(FAMILIES)
    for name, family in FAMILIES.items():
        now = {each for each in family.architectures if each not in FORMER}
        assert now == set(VERIFIED[name]["classes"])
        assert VERIFIED[name]["source"] == family.source


@pytest.mark.parametrize("name", FAMILIES)
def test_what_was_found_is_within_the_bounds(name: str) -> None:
    found = VERIFIED[name]
    assert max(found["loaded"], found["reopened"], found["formulas"]) <= 1e-10
    assert found["as_it_is"] <= 1e-5


@pytest.mark.parametrize("path", DATA, ids=lambda path: path.stem)
def test_a_family_is_short(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) < LONGEST


def test_the_command_prints_each() -> None:
    run = CliRunner()
    lines = run.invoke(command, ["families"]).output.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(FAMILIES)]] == list(FAMILIES)
    assert "LlamaForCausalLM" in run.invoke(command, ["families", "--classes"]).output
    assert json.loads(run.invoke(command, ["families", "--json"]).output)["families"] == VERIFIED
