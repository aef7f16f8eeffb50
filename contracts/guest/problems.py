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
    try:
        return json.dumps(_tell(fault))
    except BaseException:  # its class or its text fails, too: whoever wrote it meant it to
        return json.dumps(["Exception", "an error whose text cannot be had", []])


def _tell(fault):
    kind = str(type(fault).__name__)[:80]
    if isinstance(fault, SyntaxError) and fault.filename == FILE:
        return [kind, str(fault.msg)[:MESSAGE], [["<module>", fault.lineno or 0]]]
    calls, trace = [], fault.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE:
            calls.append([trace.tb_frame.f_code.co_name[:80], trace.tb_lineno])
        trace = trace.tb_next
    return [kind, str(fault)[:MESSAGE], calls[-CALLS:]]
