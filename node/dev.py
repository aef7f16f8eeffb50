"""`make dev`: two nodes on free ports, founded and agreed, until Ctrl-C; their addresses are in a file.

Usage: python -m node.dev [--file .dev.json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from node.cli.demo.firms import Network, Tally
from node.cli.demo.report import Story
from node.cli.demo.story import found
from node.cli.exits import end_as_by_interrupt
from node.files import write_durably


def main() -> None:
    parser = argparse.ArgumentParser(description="Two nodes on free ports, until Ctrl-C.")
    parser.add_argument("--file", type=Path, default=Path(".dev.json"), help="where to write their addresses")
    options = parser.parse_args()
    story = Story(as_json=True)
    end_as_by_interrupt()
    with tempfile.TemporaryDirectory(prefix="tally-dev-") as folder:
        network = Network(Path(folder), Tally(story), names=("fishery", "processor"))
        try:
            found(network, story)
            addresses = {
                firm.name: {
                    "url": firm.url,
                    "folder": str(firm.folder),
                    "token": firm.token(),
                }
                for firm in network.firms
            }
            # Replaced, as whoever has an older file of this name open would read the tokens.
            write_durably(options.file, json.dumps(addresses, indent=2).encode() + b"\n")
            story.good(f"addresses and tokens are in {options.file}; Ctrl-C ends both")
            network.wait_for_interrupt()
        finally:
            network.stop()
            options.file.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
