"""What went wrong, as the author of the contract must see it. Contract-side code.

Spec: docs/spec/contract-engine.md, "Errors".
"""

import json

# No file has this name, as no path can hold it: otherwise Python would open the "file" to quote a faulty line of it.
FILE = "contract.py\ud800"
MESSAGE = 1000  # limits.REASON_LETTERS_MAX
CALLS = 10  # limits.REASON_CALLS_MAX


class Reject(Exception):
    """Refuse the input, with a reason for people."""


def describe(fault):
    """Kind, message, and the calls inside the contract with their lines, innermost last; nothing of the guest."""
    kind = _safely(lambda: _text(type(fault).__name__)[:80], "Exception")
    message = _safely(lambda: _message(fault), "an error whose text cannot be had")
    calls = _safely(lambda: json.dumps(_calls(fault)), "[]")
    return f"[{json.dumps(kind)},{json.dumps(message)},{calls}]"


def _safely(tell, otherwise):
    """What a class and a text of the contract's own say, unless they fail: then their author meant them to."""
    try:
        return tell()
    except BaseException:
        return otherwise


def _message(fault):
    return _text(fault.msg if _is_of_reading(fault) else fault)[:MESSAGE]


def _text(value):
    """A str and nothing derived from it: what was made of the contract's own class would be cut and written by it."""
    return str.__str__(str(value))


def _calls(fault):
    if _is_of_reading(fault):
        return [["<module>", fault.lineno or 0]]
    calls, trace = [], fault.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE:
            calls.append([trace.tb_frame.f_code.co_name[:80], trace.tb_lineno])
        trace = trace.tb_next
    return calls[-CALLS:]


def _is_of_reading(fault):
    return isinstance(fault, SyntaxError) and fault.filename == FILE
