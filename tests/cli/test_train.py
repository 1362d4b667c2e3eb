"""`glassformer train`: a run from beginning to end, and everything that it refuses."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from glassformer.cli.progress import Lines, clock, line_of, tell_skipped
from glassformer.cli.train import changed
from glassformer.data.examples import Skipped
from glassformer.errors import InputError
from glassformer.training.recipe import Recipe
from glassformer.training.record import Record
from glassformer.training.roles import Place, locate
from glassformer.training.run import Prepared

from .conftest import Call, assert_refused

RECIPE = """
task = "translation"
seed = 1
[data]
train = "train.tsv"
dev = "dev.tsv"
[tokenizer]
vocab_size = 60
[model]
d_model = 16
heads = 2
d_ff = 32
encoder_layers = 1
decoder_layers = 1
positions = "sinusoidal"
[training]
max_tokens = 60
max_steps = 6
warmup_steps = 2
log_every = 2
evaluate_every = 4
checkpoint_every = 2
keep_last = 2
average_last = 2
metric = "bleu"
[decoding]
num_beams = 2
beyond_source = 3
"""
PAIRS = [("one two", "un deux"), ("two three", "deux trois"), ("three one", "trois un"), ("one", "un")] * 6


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("train", "dev"):
        (folder / f"{name}.tsv").write_text("".join(f"{s}\t{t}\n" for s, t in PAIRS), "utf-8")
    return folder


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE, "utf-8")
    return path


def test_a_run_from_recipe_to_model_folder(call: Call, tmp_path: Path, recipe: Path, data: Path) -> None:
    out = tmp_path / "run"
    result = call("train", str(recipe), "--data", str(data), "--out", str(out))
    assert result.code == 0, result.err
    assert result.out == f"{out / 'best'}\n"
    for words in (
        "24 train examples",
        "tokens/s",
        "left",
        "perplexity",
        "rate ",
        "dev:  loss",
        "best: ",
        "bleu",
        "averaged weights",
    ):
        assert words in result.err
    files = {path.name for path in (out / "best").iterdir()}
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= files
    translated = call("translate", "one two", "three", "--model", str(out / "best"))
    assert translated.code == 0, translated.err
    assert translated.out.count("\n") == 2
    kinds = [json.loads(line)["kind"] for line in (out / "log.jsonl").read_text("utf-8").splitlines()]
    assert set(kinds) == {"train", "evaluation", "checkpoint", "average"}


def test_several_seeds_tell_their_spread(call: Call, tmp_path: Path, recipe: Path, data: Path) -> None:
    out = tmp_path / "runs"
    words = ("train", str(recipe), "--data", str(data), "--out", str(out), "--set", "training.max_steps=4")
    result = call(*words, "--seeds", "1,2,3")
    assert result.code == 0, result.err
    assert result.out.splitlines()[0].startswith("loss")
    assert "3 runs" in result.out
    told = json.loads((out / "seeds.json").read_text("utf-8"))
    losses = [told["seeds"][seed]["loss"] for seed in "123"]
    assert len(set(losses)) == 3
    assert told["figures"]["loss"]["mean"] == pytest.approx(sum(losses) / 3)
    assert_refused(call(*words, "--seeds", "one"), "no list of whole numbers", "1,2,3")
    assert_refused(call(*words, "--seeds", "1,1"), "name one twice")
    alone = ("train", str(recipe), "--data", f"train={data / 'train.tsv'}", "--out", str(tmp_path / "alone"))
    assert_refused(call(*alone, "--seeds", "1,2"), "--seeds compares figures")
    assert not (tmp_path / "alone" / "seed-1").exists()
    first = tmp_path / "alone" / "seed-1"
    written = ("--set", "seed=1", "--set", "training.metric=loss", "--set", "training.max_steps=2")
    assert call(*alone[:4], "--out", str(first), *written).code == 0
    assert_refused(call(*alone, *written, "--seeds", "1", "--resume"), "--seeds compares figures")
    assert (first / "recipe.toml").is_file(), "what an earlier run left is not taken away"


def test_a_run_goes_on_where_it_was(call: Call, tmp_path: Path, recipe: Path, data: Path) -> None:
    words = ("train", str(recipe), "--data", str(data), "--out")
    assert call(*words, str(tmp_path / "whole")).code == 0
    assert call(*words, str(tmp_path / "halves"), "--set", "training.max_steps=4").code == 0
    own = tmp_path / "halves" / "recipe.toml"
    own.write_text(own.read_text("utf-8").replace("max_steps = 4", "max_steps = 6"), "utf-8")
    resumed = call(*words, str(tmp_path / "halves"), "--resume")
    assert resumed.code == 0
    assert "going on from step 4\n" in resumed.err
    weights = [
        tmp_path / name / "checkpoints" / "step-6" / "model.safetensors" for name in ("whole", "halves")
    ]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_run_that_will_learn_little_or_ends_early_says_so(
    call: Call, tmp_path: Path, recipe: Path, data: Path
) -> None:
    words = ("train", str(recipe), "--data", str(data), "--set", "training.average_last=0", "--out")
    short = call(*words, str(tmp_path / "short"), "--set", "training.warmup_steps=6")
    assert "the run ends at step 6 and its rate rises until step 6" in short.err
    changes = ("training.patience=2", "training.evaluate_every=1", "training.learning_rate=1e-9")
    ended = call(*words, str(tmp_path / "ended"), *(word for each in changes for word in ("--set", each)))
    assert "ended: 2 evaluations without a better bleu" in ended.err
    assert "rises" not in ended.err


def test_the_folder_of_a_run_is_no_model_and_says_which_is(
    call: Call, tmp_path: Path, recipe: Path, data: Path
) -> None:
    run = tmp_path / "run"
    assert call("train", str(recipe), "--data", str(data), "--out", str(run)).code == 0
    assert_refused(call("translate", "one", "--model", str(run)), "it is the folder of a training", str(run / "best"))


def test_one_line_of_the_recipe_can_be_changed(call: Call, tmp_path: Path, recipe: Path, data: Path) -> None:
    words = ("--set", "training.max_steps=2", "--set", "tokenizer.kind=unigram", "--set", "model.heads=4")
    assert call("train", str(recipe), "--data", str(data), "--out", str(tmp_path / "run"), *words).code == 0
    own = Recipe.read(tmp_path / "run" / "recipe.toml")
    assert own.training.max_steps == 2
    assert own.tokenizer.kind == "unigram"
    assert own.model.overrides["heads"] == 4


def test_threads_are_a_line_of_the_recipe(call: Call, recipe: Path) -> None:
    shown = call("train", str(recipe), "--show", "--set", "training.threads=2", "--threads", "1").out
    assert Recipe.parse(shown).training.threads == 1


def test_a_task_that_is_misspelt(call: Call, tmp_path: Path, data: Path) -> None:
    result = call("train", "clasification", "--data", str(data), "--out", str(tmp_path / "run"))
    assert_refused(result, "did you mean classification?")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("training.max_stepz=2", "did you mean max_steps"),
        ("training.max_steps", "has no value; write it as training.max_steps=VALUE"),
        ("task.max_steps=2", "is not a table"),
        ("training.max_steps=many", "expected"),
        ("training.metric=accuracy", "bleu"),
        ("model.heads=3", "3 heads"),
        ("model.headz=3", "did you mean head"),
        ("model.preset=huge", "base, big"),
        ("task=juggling", "translation"),
    ],
)
def test_a_change_that_cannot_be_is_refused(
    call: Call, tmp_path: Path, recipe: Path, data: Path, change: str, said: str
) -> None:
    out = tmp_path / "run"
    result = call("train", str(recipe), "--data", str(data), "--out", str(out), "--set", change)
    assert_refused(result, said)
    assert not out.exists()


def test_a_recipe_that_is_not_there(call: Call, tmp_path: Path, data: Path) -> None:
    out = str(tmp_path / "run")
    assert_refused(call("train", "nothing.toml", "--data", str(data), "--out", out), "nothing.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("task = ", "not valid TOML"),
        ("task = 'translation'", "lacks"),
        (RECIPE + "colour = 'blue'", "has no 'colour'"),
        (RECIPE.replace("max_steps = 6", "max_steps = 'six'"), "expected a whole number"),
    ],
)
def test_a_broken_recipe(call: Call, tmp_path: Path, data: Path, text: str, said: str) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text(text, "utf-8")
    result = call("train", str(broken), "--data", str(data), "--out", str(tmp_path / "run"))
    assert_refused(result, "broken.toml", said)


def test_data_that_is_not_there(call: Call, tmp_path: Path, recipe: Path) -> None:
    out = tmp_path / "run"
    result = call("train", str(recipe), "--data", str(tmp_path / "nothing"), "--out", str(out))
    assert_refused(result, "nothing", "train.tsv")
    assert not out.exists()


def test_data_that_neither_the_disk_nor_the_hub_has(call: Call, tmp_path: Path, recipe: Path) -> None:
    result = call("train", str(recipe), "--data", "nobody/nothing", "--out", str(tmp_path / "run"))
    assert_refused(result, "nobody/nothing", "neither a folder here nor a data set")


def test_a_file_without_pairs(call: Call, tmp_path: Path, recipe: Path, data: Path) -> None:
    (data / "train.tsv").write_text("one column only\n", "utf-8")
    out = tmp_path / "run"
    assert_refused(
        call("train", str(recipe), "--data", str(data), "--out", str(out)), "1 column", "source and target"
    )
    assert not out.exists()


def test_a_run_folder_is_never_overwritten(call: Call, tmp_path: Path, recipe: Path, data: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "diary.txt").write_text("mine", "utf-8")
    assert_refused(call("train", str(recipe), "--data", str(data), "--out", str(out)), "never overwritten")
    assert [path.name for path in out.iterdir()] == ["diary.txt"]


def test_a_run_folder_that_cannot_be_written(call: Call, tmp_path: Path, recipe: Path, data: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    result = call("train", str(recipe), "--data", str(data), "--out", str(tmp_path / "file" / "run"))
    assert_refused(result, "cannot be written")


def test_nothing_to_go_on_with(call: Call, tmp_path: Path, recipe: Path, data: Path) -> None:
    result = call("train", str(recipe), "--data", str(data), "--out", str(tmp_path / "run"), "--resume")
    assert_refused(result, "recipe.toml", "leave out --resume")


def test_another_recipe_cannot_go_on(call: Call, tmp_path: Path, recipe: Path, data: Path) -> None:
    words = ("train", str(recipe), "--data", str(data), "--out", str(tmp_path / "run"))
    assert call(*words).code == 0
    assert_refused(call(*words, "--resume", "--set", "seed=2"), "seed")


def test_a_device_that_is_not_there(call: Call, tmp_path: Path, recipe: Path, data: Path) -> None:
    words = ("train", str(recipe), "--data", str(data), "--out", str(tmp_path / "run"), "--device")
    assert_refused(call(*words, "abacus"), "abacus", "cpu, cuda or auto")


def test_an_interrupted_run_says_how_to_go_on(
    call: Call, tmp_path: Path, recipe: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(prepared: Prepared) -> Iterator[Record]:
        yield Record(kind="checkpoint", step=2, epoch=1, seconds=1)
        raise KeyboardInterrupt

    monkeypatch.setattr(Prepared, "records", interrupted)
    result = call("train", str(recipe), "--data", str(data), "--out", str(tmp_path / "run"))
    assert result.code == 130
    assert "--resume goes on" in result.err
    assert "Traceback" not in result.err


def test_files_of_a_role_replace_the_folders(data: Path) -> None:
    table = Recipe.parse(RECIPE).data
    found = locate([str(data), f"dev={data / 'other.en'}", f"dev={data / 'other.fr'}"], table)
    assert found["train"] == Place(folder=data, names="train.tsv")
    assert found["dev"] == Place(folder=data, names=("other.en", "other.fr"))
    assert locate([f"train={data / 'train.tsv'}"], table) == {"train": found["train"]}
    with pytest.raises(InputError, match="no data was given"):
        locate([f"dev={data / 'dev.tsv'}"], table)
    with pytest.raises(InputError, match="both given"):
        locate([str(data), str(data)], table)
    with pytest.raises(InputError, match="--data train= names no file"):
        locate(["train="], table)
    assert locate([str(data / "train.tsv")], table) == {"train": found["train"]}
    with pytest.raises(InputError, match="3 files"):
        locate([f"train={data / name}" for name in "abc"], table)


def test_values_may_leave_their_quotes_out() -> None:
    recipe = Recipe.parse(RECIPE)
    words = ("tokenizer.kind=unigram", 'training.schedule="cosine"', "training.betas=[0.8, 0.9]")
    written = changed(recipe, words)
    assert written.tokenizer.kind == "unigram"
    assert written.training.schedule == "cosine"
    assert written.training.betas == (0.8, 0.9)
    assert changed(recipe, ()) is recipe


def test_a_record_in_one_line() -> None:
    step = Record(
        kind="train", step=1200, epoch=2, seconds=61, loss=1.5, nll=0.0, time_left=3600, tokens_per_second=1e4
    )
    line = line_of(step)
    assert (
        line
        == "step 1,200  epoch 2  loss 1.500  perplexity 1.00  10,000 tokens/s  0:01:01 gone  1:00:00 left"
    )
    assert line_of(step, "labels") == line.replace("  perplexity 1.00", "").replace("tokens/s", "labels/s")
    best = Record(kind="evaluation", step=5, epoch=1, seconds=1, metrics={"bleu": 41.02}, best=True)
    assert line_of(best) == "step 5  epoch 1  dev:  bleu 41.02  best so far"
    assert clock(3723.4) == "1:02:03"


def test_lines_that_do_not_fit_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    tell_skipped(Lines(), [Skipped("pairs.tsv", number, "it has 1 columns, not 2") for number in range(1, 9)])
    first, second, *rest = capsys.readouterr().err.splitlines()
    assert first == "8 lines were left out"
    assert second == "  pairs.tsv, line 1: it has 1 columns, not 2"
    assert len(rest) == 5
    assert rest[-1] == "  and 3 more; `glassformer data inspect FILE --problems N` shows them"
    tell_skipped(Lines(), [Skipped("pairs.tsv", 1, "it is empty")])
    assert capsys.readouterr().err.splitlines()[0] == "1 line was left out"


def test_every_line_that_does_not_fit_is_listed_in_the_run_folder(
    call: Call, tmp_path: Path, recipe: Path, data: Path
) -> None:
    path = data / "train.tsv"
    path.write_text(path.read_text("utf-8") + "one column\n" * 7, "utf-8")
    out = tmp_path / "run"
    result = call("train", str(recipe), "--data", str(data), "--out", str(out))
    assert f"  and 2 more; all are in {out / 'left-out.txt'}" in result.err
    listed = (out / "left-out.txt").read_text("utf-8").splitlines()
    assert len(listed) == 7
    assert all(f"{path.name}, line " in line for line in listed)


def test_labels_are_counted_and_a_single_one_is_told(call: Call, tmp_path: Path) -> None:
    table = tmp_path / "films.csv"
    rows = [f"film {number},{('bad', 'good')[number % 2]}" for number in range(40)]
    table.write_text("\n".join(["text,label", *rows, "x,goood"]) + "\n", "utf-8")
    seed = ("--set", "training.max_steps=1", "--set", "data.held_out=0.0", "--set", "training.metric=loss")
    result = call("train", "classification", "--data", str(table), "--out", str(tmp_path / "run"), *seed)
    assert "labels: bad 20, good 20, goood 1" in result.err
    assert "given once: 'goood'; of one example little is learnt" in result.err


def test_a_task_names_its_recipe_which_can_be_shown(call: Call, tmp_path: Path) -> None:
    shown = call("train", "classification", "--show", "--set", "training.max_minutes=5")
    assert shown.code == 0
    written = Recipe.parse(shown.out)
    assert written.task == "classification"
    assert written.training.max_minutes == 5
    assert "max_minutes = 5.0  # end after this much time, counted across resumes" in shown.out.splitlines()
    assert_refused(call("train", "classification"), "--data is missing")
    assert_refused(call("train", "classification", "--data", "reviews.csv"), "--out is missing")


def test_few_examples_are_gone_over_more_often_and_that_is_said(
    call: Call, tmp_path: Path, recipe: Path, data: Path
) -> None:
    epochs = RECIPE.replace("max_steps = 6", "epochs = 1\nmin_steps = 40")
    recipe.write_text(epochs.replace("evaluate_every = 4", "evaluate_every = 40"), "utf-8")
    words = ("train", str(recipe), "--data", str(data), "--set", "training.average_last=0", "--out")
    result = call(*words, str(tmp_path / "run"))
    assert "passes instead of 1, which makes 40 steps (training.min_steps)" in result.err
    by_hand = call(*words, str(tmp_path / "hand"), "--set", "training.epochs=1")
    assert by_hand.code == 0
    assert "passes instead" not in by_hand.err


@pytest.mark.parametrize(
    ("change", "least"),
    [
        (("training.epochs=3",), 0),
        (("training.max_steps=9",), 200),  # which ends it all the same
        (("training.epochs=3", "training.min_steps=7"), 7),
        (("training.log_every=1",), 200),
    ],
)
def test_who_says_how_long_is_not_overruled_by_the_least(change: tuple[str, ...], least: int) -> None:
    assert changed(Recipe.read("classification"), change).training.min_steps == least
