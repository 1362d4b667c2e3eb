"""Compiles the native part when the package is built, where a C++ compiler is found; else the package is pure."""

import runpy
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.tags import sys_tags


class NativePart(BuildHookInterface):
    """The libraries are plain ones, loaded by ctypes: they belong to a platform, not to a version of Python."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before the files are gathered."""
        script = Path(self.root, "src", "glassformer", "native", "build.py")
        built = runpy.run_path(str(script))["build"]()
        if built and version == "standard":
            build_data["artifacts"] += ["src/glassformer/native/sources/*.so"]
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{next(sys_tags()).platform}"
