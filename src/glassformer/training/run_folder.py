"""Everything a training run leaves behind, written so that a kill at any moment harms nothing.

recipe.toml         exactly what ran, defaults included
log.jsonl           one record per line
data.json           how many examples it learns from and is measured by, which labels, and a digest of them
left-out.txt        lines of the user's files that hold no example, and why, if there are any
tensorboard/        the same figures for TensorBoard, where it is installed
checkpoints/step-N/ model.safetensors, optimizer.safetensors, state.json: enough to go on, to the last bit
best/ last/         published checkpoint folders
"""

import importlib
import importlib.util
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from glassformer.errors import InputError
from glassformer.files import is_partial, replacing
from glassformer.training.checkpoint import Save, flush_to_disk, read_tensors, write_tensors
from glassformer.training.recipe import Recipe
from glassformer.training.record import Record


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One complete state of a run."""

    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    state: Mapping[str, Any]


class RunFolder:
    """The folder of one run."""

    def __init__(self, path: Path | str, *, tensorboard: bool = True) -> None:
        self.path = Path(path)
        self.log_file, self.left_out = self.path / "log.jsonl", self.path / "left-out.txt"
        self.data_file = self.path / "data.json"
        self._tensorboard_wanted = tensorboard and importlib.util.find_spec("tensorboard") is not None
        self._tensorboard: Any = None
        self._first_step = 0

    @classmethod
    def create(cls, path: Path | str, recipe: Recipe, *, tensorboard: bool = True) -> "RunFolder":
        """A new folder with its recipe; one that holds something is never overwritten."""
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file; expected a new folder for this run, choose another name")
        if path.is_dir() and not all(map(is_partial, path.iterdir())):
            raise InputError(
                f"{path} is not empty and is never overwritten; go on with --resume or choose another name"
            )
        try:
            path.mkdir(parents=True, exist_ok=True)
            _replace_text(path / "recipe.toml", recipe.to_toml())
        except OSError as error:
            raise InputError(
                f"{path} cannot be written ({error.strerror}); choose a folder that can"
            ) from error
        return cls(path, tensorboard=tensorboard)

    @classmethod
    def resume(
        cls, path: Path | str, recipe: Recipe | None = None, *, tensorboard: bool = True
    ) -> "RunFolder":
        """A folder to go on from: half-written pieces are removed, the log ends at the last checkpoint.

        A recipe, if given, must be the folder's own: another one could not give the same weights.
        """
        path = Path(path)
        if not (path / "recipe.toml").is_file():
            raise InputError(
                f"{path} holds no recipe.toml; expected the folder of an earlier run, leave out --resume"
            )
        if not os.access(path, os.W_OK):
            raise InputError(f"{path} cannot be written; give yourself the right to write there")
        folder = cls(path, tensorboard=tensorboard)
        if recipe is not None:
            _refuse_other(path, folder.recipe().to_dict(), recipe.to_dict(), "recipe")
        for leftover in (*path.glob("*.partial"), *path.glob("checkpoints/*.partial")):
            shutil.rmtree(leftover)
        for leftover in filter(is_partial, path.iterdir()):
            leftover.unlink()
        steps = folder.steps()
        folder._first_step = steps[-1] + 1 if steps else 0
        folder._shorten_log(steps[-1] if steps else 0)
        return folder

    def discard(self) -> None:
        """Take away what `create` and a tokenizer left, when nothing can be learnt here after all."""
        made = (self.path / "recipe.toml", self.data_file, self.left_out)
        for file in (*made, *filter(is_partial, self.path.iterdir())):
            file.unlink(missing_ok=True)
        shutil.rmtree(self.path / "tokenizer", ignore_errors=True)
        self.path.rmdir()

    def hold_to(self, data: Mapping[str, Any]) -> None:
        """Write down what is learnt from; an earlier run's must have been the same, or the weights would not be."""
        if self.data_file.is_file():
            _refuse_other(self.path, json.loads(self.data_file.read_text(encoding="utf-8")), data, "data")
        else:
            _replace_text(self.data_file, json.dumps(data, indent=1))

    def list_left_out(self, lines: Sequence[str]) -> None:
        """Write down which lines of the user's files hold no example, if any."""
        if lines:
            _replace_text(self.left_out, "".join(f"{line}\n" for line in lines))

    def recipe(self) -> Recipe:
        """The recipe that this run follows."""
        return Recipe.read(self.path / "recipe.toml")

    def log(self, record: Record) -> None:
        """Add one record to the log and to TensorBoard's."""
        with self.log_file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record.to_dict()) + "\n")
        if self._tensorboard_wanted:
            self._log_to_tensorboard(record)

    def records(self) -> list[dict[str, Any]]:
        """The log so far; a line that a kill cut short is left out."""
        if not self.log_file.exists():
            return []
        lines = self.log_file.read_text(encoding="utf-8").split("\n")
        return [json.loads(line) for line in lines[:-1]]

    def steps(self) -> list[int]:
        """The steps of the kept checkpoints, oldest first."""
        folders = (self.path / "checkpoints").glob("step-*")
        return sorted(int(each.name.removeprefix("step-")) for each in folders if each.suffix != ".partial")

    def checkpoint_folder(self, step: int) -> Path:
        """Where the checkpoint of a step lies."""
        return self.path / "checkpoints" / f"step-{step}"

    def write_checkpoint(self, step: int, checkpoint: Checkpoint, keep: int) -> None:
        """Write a checkpoint whole or not at all, then drop the oldest beyond `keep`."""
        final = self.checkpoint_folder(step)
        partial = final.with_name(f"{final.name}.partial")
        partial.mkdir(parents=True, exist_ok=True)
        write_tensors(partial / "model.safetensors", checkpoint.model)
        write_tensors(partial / "optimizer.safetensors", checkpoint.optimizer)
        _replace_text(partial / "state.json", json.dumps(checkpoint.state, indent=1))
        os.replace(partial, final)
        for old in self.steps()[:-keep]:
            self._remove(self.checkpoint_folder(old))

    def read_checkpoint(self, step: int) -> Checkpoint:
        """The checkpoint of a step."""
        folder = self.checkpoint_folder(step)
        return Checkpoint(
            model=read_tensors(folder / "model.safetensors"),
            optimizer=read_tensors(folder / "optimizer.safetensors"),
            state=json.loads((folder / "state.json").read_text(encoding="utf-8")),
        )

    def publish(self, name: str, save: Save) -> Path:
        """Let `save` write a checkpoint folder, and put its files in place of the earlier ones, weights last.

        Between two saves of one run only the weights change, and what config.json says of a threshold: the folder can
        be loaded at every moment.
        """
        final, partial = self.path / name, self.path / f"{name}.partial"
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir()
        save(partial)
        files = [path for path in partial.rglob("*") if path.is_file()]
        for file in sorted(files, key=lambda file: file.suffix == ".safetensors"):
            place = final / file.relative_to(partial)
            place.parent.mkdir(parents=True, exist_ok=True)
            flush_to_disk(file)
            os.replace(file, place)
        shutil.rmtree(partial)
        return final

    def close(self) -> None:
        """Write what TensorBoard still holds back."""
        if self._tensorboard is not None:
            self._tensorboard.close()
            self._tensorboard = None

    def _remove(self, folder: Path) -> None:
        """Rename first: a kill in the middle leaves no half-empty folder under a checkpoint's name."""
        condemned = folder.with_name(f"{folder.name}.old.partial")
        os.replace(folder, condemned)
        shutil.rmtree(condemned)

    def _shorten_log(self, step: int) -> None:
        """End the log with the line of the checkpoint of `step`: what came after it will come again."""
        kept = self.records()
        while kept and not (kept[-1]["kind"] == "checkpoint" and kept[-1]["step"] == step):
            kept.pop()
        _replace_text(self.log_file, "".join(json.dumps(each) + "\n" for each in kept))

    def _log_to_tensorboard(self, record: Record) -> None:
        if self._tensorboard is None:
            # loaded here, not above: whoever only reads a run folder should not pay its seconds
            module = importlib.import_module("torch.utils.tensorboard")
            self._tensorboard = module.SummaryWriter(
                str(self.path / "tensorboard"), purge_step=self._first_step
            )
        for name, value in _figures(record).items():
            self._tensorboard.add_scalar(name, value, record.step)


def _figures(record: Record) -> dict[str, float]:
    """A record's figures under TensorBoard's grouped names."""
    hidden = ("kind", "step", "seconds", "time_left", "metrics", "best", "epoch")
    own = {f"{record.kind}/{key}": value for key, value in record.to_dict().items() if key not in hidden}
    return own | {f"{record.kind}/{key}": value for key, value in (record.metrics or {}).items()}


def _replace_text(path: Path, text: str) -> None:
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
        flush_to_disk(partial)


def _refuse_other(path: Path, own: Mapping[str, Any], given: Mapping[str, Any], what: str, table: str = "") -> None:
    """Name the first key in which two recipes, or two sets of data, differ."""
    for key in sorted(own.keys() | given.keys()):
        one, other = own.get(key), given.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            _refuse_other(path, one, other, what, f"[{key}] ")
        elif one != other:
            raise InputError(
                f"{path} ran with {table}{key} = {one!r}, the given {what} says {other!r}; "
                f"resume with the run's own {what} or start a new run"
            )
