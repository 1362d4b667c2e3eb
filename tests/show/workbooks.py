"""Workbooks read back: computed again by LibreOffice, or by a small evaluator of the functions that ours use."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl

from glassformer.glass.trace import Trace
from glassformer.show.workbook_layout import Placed, chosen, placed

OFFICE = shutil.which("soffice") or shutil.which("libreoffice")
ALWAYS = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Office.Calc/Formula/Load"><prop oor:name="OOXMLRecalcMode" oor:op="fuse">
<value>0</value></prop></item>
</oor:items>
"""
Changes = Mapping[tuple[str, tuple[int, ...]], float]


def blocks_of(trace: Trace, keep: str | tuple[str, ...] = "*") -> dict[str, Placed]:
    """Where everything stands."""
    return placed(trace, chosen(trace, keep))


def changed(path: Path, to: Path, blocks: Mapping[str, Placed], changes: Changes) -> None:
    """The workbook with other numbers in some cells and no result in any: whoever opens it has to compute."""
    book = openpyxl.load_workbook(path)
    for (name, index), value in changes.items():
        block = blocks[name]
        row, column = block.place(index)
        cell = book[block.sheet].cell(row + 1, column + 1)
        assert not str(cell.value).startswith("="), f"{name} is a formula"
        cell.value = value
    book.save(to)


def recalculated(path: Path, folder: Path) -> Path:
    """The same workbook, every cell computed by LibreOffice."""
    profile = folder / "profile"
    (profile / "user").mkdir(parents=True, exist_ok=True)
    (profile / "user" / "registrymodifications.xcu").write_text(ALWAYS, encoding="utf-8")
    command = [
        str(OFFICE), f"-env:UserInstallation={profile.as_uri()}", "--headless", "--convert-to",
        "xlsx:Calc MS Excel 2007 XML", "--outdir", str(folder / "out"), str(path),
    ]  # fmt: skip
    environment = {**os.environ, "HOME": str(folder)}
    subprocess.run(command, check=True, capture_output=True, timeout=300, env=environment)
    return folder / "out" / path.name


def numbers(path: Path, blocks: Mapping[str, Placed]) -> dict[str, np.ndarray[Any, Any]]:
    """Every block as an array; "−∞" is minus infinity."""
    book = openpyxl.load_workbook(path, data_only=True)
    found = {}
    for name, block in blocks.items():
        sheet, array = book[block.sheet], np.empty(block.shape)
        for index in block.indices():
            row, column = block.place(index)
            value = sheet.cell(row + 1, column + 1).value
            assert value is not None, f"{name}{index} is empty"
            array[index] = -np.inf if value == "−∞" else float(value)
        found[name] = array
    return found


def furthest(found: Mapping[str, np.ndarray[Any, Any]], trace: Trace) -> tuple[float, str]:
    """The largest difference of any cell from the trace, and where; of vast numbers, relative to them."""
    worst = 0.0, ""
    for name, array in found.items():
        expected = trace.value(name).double().numpy()
        if not expected.size:
            continue
        same = array == expected  # equal infinities too
        error = np.where(same, 0.0, np.abs(array - np.where(same, 0.0, expected)))
        worst = max(worst, (float((error / np.maximum(1.0, np.abs(expected))).max()), name))
    return worst
