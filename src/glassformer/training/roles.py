"""Which files a run reads: the recipe names them by role, the user says where they lie."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from glassformer.data.columns import KindName
from glassformer.data.examples import Found
from glassformer.data.readers import HUB, hub_roles, read_examples
from glassformer.errors import InputError
from glassformer.training.recipe import DataTable

ROLES = ("train", "dev", "test")
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")

Names = str | tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Place:
    """One role's files inside a folder: patterns of tables, or two of parallel texts; or a split of the hub's."""

    folder: Path | None
    names: Names
    split: str | None = None

    def read(self, kind: KindName, table: DataTable) -> Found[Any]:
        """All examples that the files hold, and the lines that hold none; without a single example it is refused."""
        reading = table if self.split is None else replace(table, split=self.split)
        return read_examples(kind, self.names, reading, folder=self.folder)


def locate(given: Sequence[str], table: DataTable) -> dict[str, Place]:
    """Where each role's files are.

    `given` is a folder, a file to learn from, the hub name of a repository that holds such files, or
    `hub:OWNER/NAME`, a data set whose splits are the roles; `train=FILE`, `dev=FILE`, `test=FILE` replace a role's
    files (twice for parallel texts: first the source, then the target).
    """
    given = [f"train={each}" if Path(each).is_file() else each for each in given]
    named: dict[str, Names] = {role: names for role in ROLES if (names := getattr(table, role)) is not None}
    told = [(role, name) for role, name in map(_told, given) if role is not None]
    own = {role: place for role in ROLES if (place := _own_place(role, told)) is not None}
    rest = [name for role, name in map(_told, given) if role is None]
    if len(rest) > 1:
        raise InputError(
            f"{' and '.join(rest)} were both given as data; give one folder, or train=FILE dev=FILE"
        )
    if not rest and "train" not in own:
        raise InputError("no data was given to train on; give a folder, a file or a hub name")
    if not rest:
        return own
    if rest[0].startswith(HUB):
        roles = hub_roles(rest[0], table)
        if "train" not in roles and "train" not in own:
            raise InputError(f"{rest[0]} has no split to train on; name one that has, or add train=FILE")
        return {
            role: Place(folder=None, names=rest[0], split=each.split) for role, each in roles.items()
        } | own
    folder = _folder(rest[0], named)
    return {role: Place(folder=folder, names=names) for role, names in named.items()} | own


def _told(given: str) -> tuple[str | None, str]:
    """The role that is named before a file, and the file."""
    role, equals, name = given.partition("=")
    if not equals or role not in ROLES:
        return None, given
    if not name:
        raise InputError(f"--data {given} names no file; write it as {role}=FILE")
    return role, name


def _own_place(role: str, told: Sequence[tuple[str, str]]) -> Place | None:
    paths = [Path(name) for key, name in told if key == role]
    if not paths:
        return None
    if len(paths) > 2 or len({path.parent for path in paths}) > 1:
        raise InputError(
            f"{role} was given {len(paths)} files: {', '.join(map(str, paths))}; expected one table, "
            "or the two sides of a parallel text in one folder"
        )
    names = tuple(path.name for path in paths)
    return Place(folder=paths[0].parent, names=names[0] if len(names) == 1 else names)


def _folder(name: str, named: dict[str, Names]) -> Path:
    """The folder itself, or what the hub has under that name."""
    path = Path(name)
    if path.is_dir():
        return path
    patterns = [each for names in named.values() for each in ([names] if isinstance(names, str) else names)]
    if path.exists() or not HUB_NAME.fullmatch(name):
        raise InputError(
            f"{name} is neither a file nor a folder; give a file of examples, or the folder that holds "
            f"{', '.join(patterns)}"
        )
    try:
        return Path(snapshot_download(name, repo_type="dataset", allow_patterns=patterns))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(
            f"{name} is neither a folder here nor a data set that the hub gives ({type(error).__name__}); "
            f"give the folder that holds {', '.join(patterns)}"
        ) from error
