"""The record search: a view of the ledger in a database of its own, filled by a process of its own.

`search` asks it, `supervisor` keeps the worker process running;
`rows` says what of a record can be searched, `projecting` fills the view, `worker` is the process.
"""
