"""Contracts: read without running them, and run by the engine.

`library` holds ready contracts and `guest` what runs inside WebAssembly: both are contract-side code, which runs in the
sandbox and imports nothing of this program.
"""
