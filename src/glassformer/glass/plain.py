"""Records as plain values and back: dataclasses of numbers, words, tuples and other records."""

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


def as_plain(value: Any) -> Any:
    """A record as dictionaries and lists, which JSON can say; a float keeps every digit."""
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: as_plain(getattr(value, each.name)) for each in fields(value) if each.init}
    if isinstance(value, tuple | list):
        return [as_plain(part) for part in value]
    if isinstance(value, Mapping):
        return {str(name): as_plain(part) for name, part in value.items()}
    return value


def from_plain(kind: type[Record], value: Any) -> Record:
    """A record from what `as_plain` gave; a TypeError where a value is not of the kind that its field has."""
    found: Record = _read(kind, value)
    return found


@lru_cache(maxsize=256)
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _read(kind: Any, value: Any) -> Any:
    origin = get_origin(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        return _read_record(kind, value)
    if origin in (Union, types.UnionType):
        return _read_union(get_args(kind), value)
    if origin is tuple:
        return _read_tuple(get_args(kind), value)
    if origin is list:
        return list(_read_tuple((*get_args(kind), ...), value))
    if origin is dict:
        return _read_mapping(get_args(kind)[1], value)
    if kind is float and type(value) in (int, float):
        return float(value)
    if type(value) is not kind:
        raise TypeError(f"expected {getattr(kind, '__name__', kind)}, found {type(value).__name__}")
    return value


def _read_record(kind: type, value: Any) -> Any:
    names = fields_of(kind)
    if not isinstance(value, dict) or set(value) != names:
        raise TypeError(f"expected the fields {', '.join(sorted(names))}")
    hints = _hints(kind)
    return kind(**{name: _read(hints[name], value[name]) for name in names})


def fields_of(kind: type) -> set[str]:
    """The names that a record is made of; of several kinds of record they say which one it is."""
    return {each.name for each in fields(kind) if each.init}


def _read_union(kinds: tuple[Any, ...], value: Any) -> Any:
    if value is None and type(None) in kinds:
        return None
    records = [kind for kind in kinds if kind is not type(None)]
    fitting = [kind for kind in records if len(records) == 1 or fields_of(kind) == set(value)]
    if len(fitting) != 1:
        raise TypeError(f"expected one of {', '.join(kind.__name__ for kind in records)}")
    return _read(fitting[0], value)


def _read_tuple(kinds: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, found {type(value).__name__}")
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        return tuple(_read(kinds[0], part) for part in value)
    if len(kinds) != len(value):
        raise TypeError(f"expected {len(kinds)} values, found {len(value)}")
    return tuple(_read(kind, part) for kind, part in zip(kinds, value, strict=True))


def _read_mapping(kind: Any, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"expected names and values, found {type(value).__name__}")
    return {name: _read(kind, part) for name, part in value.items()}
