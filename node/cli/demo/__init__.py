"""`tally demo`: four firms on this machine share, sync and prove shipments.

Everything is done by the commands that a user runs, in processes of their own; the demo
only starts them, waits, and says what happens.
"""

from __future__ import annotations

import json
import secrets
import sys
import tempfile
import time
from pathlib import Path

from node.cli.demo.firms import FIRMS, DemoFailed, Firm, Network, Tally
from node.cli.demo.report import Story
from node.cli.demo.sharing import documents_for
from node.cli.demo.story import tell
from node.cli.exits import end_as_by_interrupt

__all__ = ["FIRMS", "Firm", "Network", "run"]


def run(
    *, once: bool = False, as_json: bool = False, attacks: bool = True, events: Path | None = None,
    seed: int | None = None,
) -> int:  # fmt: skip
    """Run the demo. Returns 0 if all that it set out to show happened, else 1.

    Raises: DemoFailed; of `events` NothingToShare, and what strict JSON raises.
    """
    seed = secrets.randbelow(10**6) if seed is None else seed
    # Before anything starts: what is wrong with a given file is told at once.
    documents = documents_for(events, seed)
    story = Story(as_json=as_json)
    end_as_by_interrupt()
    with tempfile.TemporaryDirectory(prefix="tally-demo-") as folder:
        network = Network(Path(folder), Tally(story))
        started = time.monotonic()
        try:
            result = tell(network, story, documents=documents, attacks=attacks, seed=seed)
            result["seconds"] = round(time.monotonic() - started, 1)
            if as_json:
                sys.stdout.write(json.dumps(result) + "\n")
                sys.stdout.flush()
            if not once:
                story.invite(network.firms, Path(folder))
                network.wait_for_interrupt()
        except DemoFailed:
            story.last_words(network.firms)
            raise
        finally:
            network.stop()
    wanted = ["in_sync", "receipt_verified"] + (["forgery_caught", "tamper_caught", "fork_caught"] if attacks else [])
    return 0 if all(result[name] for name in wanted) else 1
