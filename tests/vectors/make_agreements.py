"""Prints agreements.json: python -m tests.vectors.make_agreements. Statements, which of them count, and what for.

Written with `tests.formats`, from docs/spec/agreements.md: nothing of the ledger or the node is used, so that the
vectors can contradict both. The file beside it is frozen.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, Final

from tests import formats
from tests.formats import b64
from tests.make_records import NETWORK_NAME, ORIGIN, random, record_id

NAMES: Final = ("fishery", "processor", "retailer")
SOURCE: Final = '''"""Share landings."""
ROLES = {"catcher", "buyer"}
SIGNERS = set()
AUTHORS = {"landing": {"catcher"}, "offer": {"buyer"}}
SHARES = {"landing": {"/*": {"catcher", "buyer"}}, "offer": {"/*": {"catcher", "buyer"}, "/limit": set()}}
'''
PARTIES: Final = {"catcher": ["fishery"], "buyer": ["retailer", "processor"]}
SECRET: Final = random("agreement secret")
ENTRY: Final = formats.header(
    log=ORIGIN, index=3, prev=random("before"), record_id=record_id("proposal"), body=random("manifest"),
    slot=random("slot")[:16],
)  # fmt: skip
CONTRACT: Final = formats.leaf_hash(ENTRY)


def build() -> dict[str, Any]:
    return {
        "entry": ENTRY.decode(),
        "contract": CONTRACT.hex(),
        "proposals": [{"status": status, **_propose(why, body, **to)} for why, status, body, to in _proposals()],
        "refused_proposals": [_propose(why, body, **given) for why, body, given in _bad_proposals()],
        "answers": [_answer(*item) for item in _ANSWERS],
        "refused_answers": [_answer(*item) for item in _BAD_ANSWERS],
        "outcomes": [{"said": said, "status": status} for said, status in _OUTCOMES],
        "slots": [_slot(*given) for given in (("fishery", 2, 0, 7), ("retailer", 2, 0, 7), ("fishery", 1, 3, 9),
                                              ("retailer", 3, 4, 0), ("fishery", 4, 0, 0))],
    }  # fmt: skip


# --- proposals ----------------------------------------------------------------------


def _body(**changes: object) -> str:
    value = {"source": SOURCE, "terms": {"currency": "NOK"}, "parties": PARTIES, "secret": b64(SECRET), **changes}
    return json.dumps({name: item for name, item in value.items() if item is not ...}, ensure_ascii=False)


def _proposals() -> list[tuple[str, str, str, dict[str, Any]]]:
    """Each with its status once every party has accepted."""
    turned = json.dumps(dict(reversed(json.loads(_body()).items())), indent=1)
    code = SOURCE.replace("set()\nAUTHORS", '{"buyer"}\nAUTHORS') + "def apply(*given): return None\n"
    return [
        ("the plain one", "active", _body(), {}),
        ("without terms", "active", _body(terms=...), {}),
        ("terms of any kind", "active", _body(terms=[None, 1.50, "Kr\u00f8ner"]), {}),
        ("with spaces, in another order", "active", turned, {}),
        ("a member in two roles", "active", _body(parties={**PARTIES, "catcher": ["fishery", "retailer"]}), {}),
        ("its author is left out of those it is shared with", "active", _body(), {"to": [NAMES[1:]]}),
        ("shared with more than the parties", "active", _body(), {"to": [("bank", *NAMES)]}),
        ("a contract with code, which this version does not run", "unsupported", _body(source=code), {}),
    ]  # fmt: skip


def _bad_proposals() -> list[tuple[str, str, dict[str, Any]]]:
    def parties(**changes: object) -> str:
        return _body(parties={**PARTIES, **changes})

    bodies = [
        ("no source", _body(source=...)),
        ("a source that is no text", _body(source=7)),
        ("a source that is no Python", _body(source="ROLES = {")),
        ("a source without SHARES", _body(source=SOURCE.replace("SHARES", "SHARED"))),
        ("a source that shares with a role it lacks", _body(source=SOURCE.replace('{"buyer"}}', '{"bank"}}'))),
        ("no parties", _body(parties=...)),
        ("parties that are a list", _body(parties=[])),
        ("a role without an entry", _body(parties={"catcher": ["fishery"]})),
        ("a role with nobody", parties(buyer=[])),
        ("a role that ROLES lacks", parties(auditor=["bank"])),
        ("a role that is given a text", parties(buyer="retailer")),
        ("a member that is null", parties(buyer=[None, "retailer"])),
        ("a name in upper case", parties(buyer=["Retailer"])),
        ("an author that is no party", parties(catcher=["carrier"])),
        ("no secret", _body(secret=...)),
        ("a secret of 31 bytes", _body(secret=b64(SECRET[:31]))),
        ("a secret without padding", _body(secret=b64(SECRET).rstrip("="))),
        ("a secret in hexadecimal", _body(secret=SECRET.hex())),
        ("a further member", _body(engine="sharing")),
    ]
    return [
        *((why, body, {}) for why, body in bodies),
        ("of a later version", _body(), {"version": 2}),
        ("a party is not told", _body(), {"to": [("fishery", "retailer")]}),
        ("two parties could be told two things", _body(), {"to": [NAMES, ("processor",)]}),
        ("told to nobody", _body(), {"to": []}),
    ]


def _propose(why: str, body: str, **given: Any) -> dict[str, Any]:
    return _statement(why, "tally/propose", "fishery", body, **given)


# --- answers ------------------------------------------------------------------------


_NAMED: Final = json.dumps({"contract": b64(CONTRACT)})
_MORE: Final = json.dumps({"contract": b64(CONTRACT), "reason": "prices"})
_ANSWERS: Final[list[tuple[Any, ...]]] = [
    ("an acceptance", "tally/accept", "retailer", _NAMED),
    ("an acceptance whose author is left out", "tally/accept", "retailer", _NAMED, {"to": [NAMES[:2]]}),
    ("a decline", "tally/decline", "retailer", _NAMED),
    ("an end", "tally/end", "retailer", _NAMED),
    ("an end by the proposer", "tally/end", "fishery", _NAMED),
    ("a decline that says more", "tally/decline", "retailer", _MORE),
    ("an end that says more", "tally/end", "retailer", _MORE),
    ("an end that one party is told of", "tally/end", "retailer", _NAMED, {"to": [("fishery",)]}),
]
_BAD_ANSWERS: Final[list[tuple[Any, ...]]] = [
    ("an acceptance that says more", "tally/accept", "retailer", _MORE),
    ("an acceptance that one party is not told of", "tally/accept", "retailer", _NAMED, {"to": [("fishery",)]}),
    ("an acceptance in two sections", "tally/accept", "retailer", _NAMED, {"to": [NAMES, ("fishery",)]}),
    *(
        (f"{word} {what}", f"tally/{word}", author, body, given)
        for word in ("accept", "decline", "end")
        for what, author, body, given in (
            ("of a later version", "retailer", _NAMED, {"version": 2}),
            ("by no party", "carrier", _NAMED, {}),
            ("of another contract", "retailer", json.dumps({"contract": b64(random("other"))}), {}),
            ("of nothing", "retailer", "{}", {}),
            ("of a contract that is null", "retailer", '{"contract":null}', {}),
            ("of a contract in hexadecimal", "retailer", json.dumps({"contract": CONTRACT.hex()}), {}),
            ("of 31 bytes", "retailer", json.dumps({"contract": b64(CONTRACT[:31])}), {}),
            ("without padding", "retailer", json.dumps({"contract": b64(CONTRACT).rstrip("=")}), {}),
        )
    ),
]


def _answer(why: str, type_name: str, author: str, body: str, given: dict[str, Any] | None = None) -> dict[str, Any]:
    return _statement(why, type_name, author, body, **(given or {}))


def _statement(
    why: str, type_name: str, author: str, body: str, *, to: Sequence[Sequence[str]] = (NAMES,), version: int = 1
) -> dict[str, Any]:
    """to: the members that each shared section is addressed to."""
    shared = [sorted(f"@{name}" for name in names) for names in to]
    everyone = sorted({name for names in shared for name in names})
    fields = formats.section_zero(
        record_type=type_name, contract=None, role=None, audience=[everyone, *sorted(shared), []]
    )
    zero = {name: str(version) if name == "version" else text.decode() for name, text in fields}
    return {"why": why, "author": author, "section_zero": zero, "body": body}


# --- what it comes to ---------------------------------------------------------------


_A, _D, _E = "tally/accept", "tally/decline", "tally/end"
_OUTCOMES: Final = [
    ([], "proposed"),
    ([[_A, "retailer"]], "proposed"),
    ([[_A, "retailer"], [_A, "retailer"]], "proposed"),
    ([[_A, "retailer"], [_A, "processor"]], "active"),
    ([[_A, "retailer"], [_A, "processor"], [_A, "fishery"]], "active"),
    ([[_A, "retailer"], [_A, "carrier"]], "proposed"),
    ([[_D, "retailer"]], "declined"),
    ([[_D, "fishery"]], "declined"),
    ([[_D, "carrier"]], "proposed"),
    ([[_A, "retailer"], [_A, "processor"], [_D, "processor"]], "declined"),
    ([[_E, "fishery"]], "ended"),
    ([[_A, "retailer"], [_A, "processor"], [_E, "fishery"]], "ended"),
    ([[_E, "fishery"], [_D, "retailer"]], "declined"),
]


def _slot(member: str, kind: int, term: int, batch: int) -> dict[str, Any]:
    signer = f"{NETWORK_NAME}/{member}"
    found = formats.slot(secret=SECRET, contract=CONTRACT, signer=signer, kind=kind, term=term, batch=batch)
    return {"signer": signer, "kind": kind, "term": term, "batch": batch, "slot": found.hex()}


def render() -> str:
    """What agreements.json holds."""
    source = "tests/vectors/make_agreements.py, from the pages of docs/spec by way of tests/formats.py"
    return json.dumps({"source": source, **build()}, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(render())
