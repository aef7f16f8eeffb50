"""Every bound of a contract that runs, with its unit and its reason. Bounds of its source stand in `ledger.limits`.

They are part of what makes a result the same everywhere: another value is another engine (`contracts.engine.pin`).
"""

from __future__ import annotations

from typing import Final

FUEL_INPUT: Final = 200_000_000
"""WebAssembly instructions of one input, beside what its length earns: about 0.2 s. A plain one takes few million."""

FUEL_BYTE: Final = 2_000
"""Further instructions for each byte of record and state: reading JSON takes about 300, writing it as many again."""

FUEL_LOAD: Final = 400_000_000
"""Instructions to load a contract into an instance, terms included. About half a million for 4 KB of source."""

FUEL_TRANSLATE: Final = 20_000_000_000
"""Instructions to compile a contract, once: about 12,000 for each byte of source, which has up to 256 KiB."""

MEMORY_BYTES: Final = 128 << 20
"""Memory of an instance: the interpreter has 21 MiB of it; the largest record, read, may take 60."""

STACK_BYTES: Final = 1 << 20
"""Stack of the machine code: more than twice what the calls that Python allows inside each other take."""

CALLS_INSIDE_MAX: Final = 200
"""Python calls inside each other, built into the guest: a state has 32 levels, and what goes deeper is a loop. They
take less than half of `STACK_BYTES`, so Python ends them first, with an error that names the line."""

BATCH_INPUTS_MAX: Final = 256
"""Inputs of one batch: they share an instance, so what one leaves behind has an end."""

LANES_INPUTS_MIN: Final = 512
"""Inputs given at once from which on two workers share them: for fewer the second would not be worth its start."""

LANES_INPUTS_MAX: Final = 1_024
"""Inputs shared out at once: while they are run the next are prepared, and of these many are held as text."""

STREAM_INPUTS: Final = 2_048
"""Lines of a file of inputs that are read and folded at once: progress is shown in between."""

STREAM_BYTES: Final = 32 << 20
"""Bytes of lines that are read at once, but for the last one: each is held three times on its way."""

WINDOW_INPUTS: Final = 64
"""Inputs begun before the first of them goes on: their cases are asked for in one message."""

WINDOW_BYTES: Final = 256 << 10
"""Bytes of records begun in a window of more than one: they are kept, read, in the instance's memory."""

CASE_LETTERS_MAX: Final = 200
"""Letters of a case's name: it stands in lists, file names and messages."""

STATE_BYTES_MAX: Final = 256 << 10
"""Bytes of a state: it is read and written anew by every input of its case, on every signer."""

NUMBER_LETTERS_MAX: Final = 80
"""Letters of a number in a state, and digits that an exponent may add: money has 34, and text for more there is."""

SUMMARY_COLUMNS_MAX: Final = 64
"""Columns of a summary: it is a row of a table for people."""

SHARE_PATTERNS_MAX: Final = 256
"""Patterns that `share` may add to one record: each is compared with every field."""

REASON_LETTERS_MAX: Final = 1_000
"""Letters of the reason for which an input was rejected: it is shown, and acknowledged."""

REASON_CALLS_MAX: Final = 10
"""Calls inside the contract that are told with an error, innermost last."""

ANSWER_BYTES_MAX: Final = 2 << 20
"""Letters of one answer of the guest, before it is read: the largest state of numbers such as `0E+79`, which the guest
writes in 14 letters and the host in 1 and a comma. Read, it takes thirty times as much of the host's memory."""

WORKER_ADDRESS_BYTES: Final = 12 << 30
"""Address space of a worker: far above an instance and the 4 GiB reserved around it, so that it never decides."""

WORKER_STACK_BYTES: Final = 4 << 20
"""Stack of a worker's process: four times `STACK_BYTES`, or a contract that is stopped there would end the process."""

WORKER_CONTRACTS_MAX: Final = 64
"""Contracts that a worker keeps compiled, up to 1 MB each: beyond, the one that was not used for longest goes."""

WORKER_SILENT_S: Final = 120.0
"""Seconds a worker may be silent: it says once a second that it is at work, but not inside a call, and the longest
takes 20 (`FUEL_TRANSLATE`). Longer means that the machine is at fault."""

CASES_BYTES_MAX: Final = 16 << 20
"""Bytes of a file of cases: it is read whole, by its author."""

TERMS_CHECK_S: Final = 2
"""Seconds of computing to check terms by their schema, in the main thread of a program: an honest one takes
thousandths, a hostile one has no end."""
