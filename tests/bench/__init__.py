"""Benchmarks: `python -m tests.bench`, or `make bench`. Real nodes in their own processes, driven over HTTP.

Figures of one run may be compared with each other, and with nothing else: see docs/performance.md.
"""
