"""`contract compare`: what a new version of a contract changes for the same inputs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.authoring import describe, lacking_terms, open_engine, read_terms, say_hints, say_lacking
from node.cli.exits import ExitCode, UsageWrong
from node.cli.linting import NoLint, read_contract
from node.cli.output import count
from node.cli.progress import Progress
from node.cli.running import SHOWN, Inputs, Terms, open_inputs, read_lines
from node.cli.session import Session

if TYPE_CHECKING:
    from contracts.comparing import Carried, Comparison, StateChange
    from contracts.disclosing import Change
    from contracts.engine import Reason

_Version = Annotated[Path, typer.Argument(help="Contract file (Python).", exists=True, dir_okay=False)]


def compare(
    session: Session,
    old: _Version,
    new: _Version,
    *,
    inputs: Inputs,
    terms: Terms = None,
    new_terms: Annotated[
        Path | None, typer.Option(help="Terms of NEW. Default: those of OLD.", exists=True, dir_okay=False)
    ] = None,
    migrate: Annotated[
        bool,
        typer.Option("--migrate", help="Carry OLD's states over with NEW's `migrate` before they are compared."),
    ] = False,
    no_lint: NoLint = False,
) -> ExitCode:
    """Run two versions of a contract on the same inputs; exit 1 if states, rejections or readers differ."""
    from contracts.comparing import Comparison, Version
    from contracts.streaming import batches

    before, after = (read_contract(session, file, no_lint=no_lint) for file in (old, new))
    sides = (
        Version(text=before.text, terms=read_terms(session, terms, old)),
        Version(text=after.text, terms=read_terms(session, new_terms or terms, new)),
    )
    with open_engine(session) as engine, open_inputs(inputs) as (stream, name, total):
        found = Comparison(engine, *sides, name)
        if migrate and not found.can_migrate:
            raise UsageWrong(reason=f"{new} has no function migrate")
        engine.start()
        with Progress(session.out, total_bytes=total) as progress:
            read = 0
            for part in batches(read_lines(stream)):
                found.add(part)
                read += sum(len(line) + 1 for _, line in part)
                progress.update(read, found.inputs - len(found.turns), len(found.turns))
        carried, summaries = found.carry_over() if migrate else None, found.summaries()
    states = found.states(carried)
    if session.as_json:
        from contracts.wording import encode_value

        doubts = {"old": before.document(), "new": after.document()}
        document = {**_document(found, states, carried), "summaries": _sides(summaries), "doubts": doubts}
        session.out.answer(encode_value(document).encode())
    else:
        _tell(session, found, (states, summaries), carried)
        say_hints(session, (reason for one in found.turns for reason in (one.old, one.new)))
        say_lacking(session, before.text, [one.old for one in found.turns], lacking_terms(terms))
        say_lacking(session, after.text, [one.new for one in found.turns], lacking_terms(new_terms or terms))
        before.tell(session)
        after.tell(session)
    same = not (states or summaries or _has_differences(found) or (carried and carried.failed))
    return ExitCode.OK if same else ExitCode.REFUSED


# --- inside -------------------------------------------------------------------------


def _has_differences(found: Comparison) -> bool:
    return bool(found.turns or found.rules or found.disclosure.changes())


def _document(found: Comparison, states: list[StateChange], carried: Carried | None) -> dict[str, Any]:
    from contracts.wording import reason_document

    return {
        "inputs": found.inputs,
        "states": _sides(states),
        "rejections": [
            {"line": one.line, "old": reason_document(one.old), "new": reason_document(one.new)} for one in found.turns
        ],
        "readers": {
            "rules": [_change(one) for one in found.rules],
            "records": [
                {**_change(one), "records": one.records, "line": one.line} for one in found.disclosure.changes()
            ],
        },
        "migrated": None
        if carried is None
        else {
            "carried": len(carried.states),
            "failed": [{"case": case, "reason": reason_document(why)} for case, why in carried.failed.items()],
        },
    }


def _sides(changes: list[StateChange]) -> list[dict[str, Any]]:
    return [{"case": one.case, "path": one.path, **one.sides} for one in changes]


def _change(one: Change) -> dict[str, Any]:
    return {"type": one.type, "part": one.part, "role": one.role, "reads_under": "new" if one.is_gained else "old"}


def _tell(
    session: Session,
    found: Comparison,
    changes: tuple[list[StateChange], list[StateChange]],
    carried: Carried | None,
) -> None:
    states, summaries = changes
    if carried is not None:
        failed = [
            f"{case}: {describe(why, 'migrate', found.new.source.answers)}" for case, why in carried.failed.items()
        ]
        _section(session, f"Carried over: {count(len(carried.states), 'state')}, failed", failed)
    _section(session, "States that differ", [_state_line(one) for one in states])
    _section(session, "Summaries that differ", [_state_line(one) for one in summaries])
    turns = [f"inputs line {one.line}: {_word(one.old)} -> {_word(one.new)}" for one in found.turns]
    _section(session, "Inputs that are rejected by one alone, or otherwise", turns)
    _section(session, "Readers by the rules", [_change_line(one) for one in found.rules])
    lines = [f"{_change_line(one)}: {count(one.records, 'record')}" for one in found.disclosure.changes()]
    _section(session, "Readers of these records", lines)
    if carried is None and found.can_migrate and states:
        session.out.say("NEW has a function migrate: --migrate carries OLD's states over before they are compared.")
    session.out.say(f"{count(found.inputs, 'input')} compared")


def _section(session: Session, title: str, lines: Sequence[str]) -> None:
    session.out.line(f"{title}: {len(lines) or 'none'}")
    for line in lines[:SHOWN]:
        session.out.line(f"  {line}")
    if len(lines) > SHOWN:
        session.out.line(f"  ... and {len(lines) - SHOWN} more; --json lists all")


def _state_line(one: StateChange) -> str:
    from contracts.wording import encode_value

    old, new = (encode_value(one.sides[side]) if side in one.sides else "nothing" for side in ("old", "new"))
    return f"{one.case}{' ' + one.path if one.path else ''}: {old} -> {new}"


def _change_line(one: Change) -> str:
    word = "reads it only under NEW" if one.is_gained else "reads it only under OLD"
    return f"{one.type} {one.part}: {one.role} {word}"


def _word(reason: Reason | None) -> str:
    return "applied" if reason is None else f"rejected: {describe(reason)}"
