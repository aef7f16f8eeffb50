"""Build the guest: `python contracts/guest/build.py`. Needs componentize-py (the extra `guest` of this project).

The build is not the same byte for byte twice. So it is done once, its result lies beside this file, and its SHA-256
stands in `contracts/engine/pin.py`: what runs is what all parties named, whoever built it.
"""

from __future__ import annotations

import hashlib
import lzma
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
ARTIFACT = HERE / "contract.wasm.xz"
FILES = ("app.py", "given.py", "problems.py", "values.py")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        inside, wasm = Path(folder, "inside"), Path(folder, "contract.wasm")
        inside.mkdir()
        for name in FILES:  # nothing but these may enter the image
            shutil.copy(HERE / name, inside)
        command = ["-d", str(HERE / "contract.wit"), "-w", "contract", "componentize", "--stub-wasi"]
        tool = Path(sys.executable).with_name("componentize-py")
        subprocess.run([str(tool), *command, "-p", str(inside), "app", "-o", str(wasm)], check=True, cwd=folder)
        content = wasm.read_bytes()
    ARTIFACT.write_bytes(lzma.compress(content, preset=9 | lzma.PRESET_EXTREME))
    sys.stdout.write(
        f'ARTIFACT: Final = "{hashlib.sha256(content).hexdigest()}"\nARTIFACT_BYTES: Final = {len(content)}\n'
    )


if __name__ == "__main__":
    main()
