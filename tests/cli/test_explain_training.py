"""`glassformer explain --target`, `--training` and `--workbook`."""

import json
from pathlib import Path

import openpyxl
from click.testing import CliRunner, Result

from glassformer.cli.explain import explain

TEXT, TARGET = "I love data science", "j' aime la science des données"
MODEL = ("--model", "worked-example")


def explained(*more: str) -> Result:
    return CliRunner().invoke(explain, [TEXT, *MODEL, *more])


def test_the_walk_goes_on_to_the_update() -> None:
    shown = explained("--target", TARGET, "--training")
    assert shown.exit_code == 0, shown.output
    for said in (
        "How the loss would change with every number",
        "∂Λ = 1 / 7 = 0.1429",
        "∂L[aime, la] = −0.1429 − 0.9999·(−0.1429)",
        "Every weight moves a little",
        "W_new = W' − 0.001·m̂ / (√v̂ + 1e-08)",
        "The other parameters move the same way",
        "304 steps recomputed in NumPy float64",
    ):
        assert said in shown.output, said


def test_one_gradient_alone_and_as_json() -> None:
    alone = explained("--target", TARGET, "--training", "--step", "gradient.source_tokens.weight")
    assert alone.exit_code == 0
    assert "∂W_E = onehot(ids)ᵀ·∂E" in alone.output
    name = "update.tokens.weight.new"
    printed = json.loads(explained("--target", TARGET, "--training", "--step", name, "--json", "-").stdout)
    assert name in json.dumps(printed)


def test_a_target_alone_gives_the_loss() -> None:
    shown = explained("--target", TARGET, "--step", "loss.mean")
    assert shown.exit_code == 0
    assert "gradient" not in shown.output


def test_training_needs_a_target() -> None:
    refused = CliRunner().invoke(explain, [TEXT, *MODEL, "--training"])
    assert refused.exit_code != 0
    assert "--target" in refused.output + str(refused.exception)


def test_a_workbook(tmp_path: Path) -> None:
    path = tmp_path / "part.xlsx"
    made = explained("--workbook", str(path), "--keep", "encoder.*")
    assert made.exit_code == 0, made.output
    book = openpyxl.load_workbook(path)
    assert "Encoder" in book.sheetnames
    assert "Decoder" not in book.sheetnames
    assert book["Index"]["A1"].value == "Every number of one run of worked-example"
