"""`python -m contracts.engine.compiling DESCRIPTOR`: compile the guest for `contracts.engine.cache`."""

from __future__ import annotations

import os
import sys

from contracts.engine.cache import read_artifact
from contracts.engine.machine import compile_component, make_engine


def main() -> None:
    os.nice(5)  # whoever waits for it waits little longer, and a node that serves is not held up
    code = compile_component(make_engine(), read_artifact())
    with os.fdopen(int(sys.argv[1]), "wb") as file:
        file.write(code)


if __name__ == "__main__":
    main()
