"""The Tallystick protocol: logs, records, sealing, membership, replication and proofs.

Everything in this package is pure: it takes bytes and times as arguments and
never opens a file, a socket or a clock. Exact formats: docs/spec/.
"""
