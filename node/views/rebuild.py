"""Making the record search anew from the ledger, also beside a running node."""

from __future__ import annotations

from pathlib import Path

from node.storage.viewstore import VIEWS_NAME, ViewStore
from node.views.worker import open_projector


def rebuild(folder: Path) -> None:
    """Drop the view of the node in `folder`, and return once it is filled again.

    A worker that is running there goes on with it from the start; the two share the work.
    Raises: ConfigBroken, KeyFileBroken.
    """
    views = ViewStore.open(folder / VIEWS_NAME)
    views.reset()
    views.close()
    projector = open_projector(folder)
    while projector.run_round():
        pass
    projector.close()
