"""Contracts: what the ledger reads from a contract file without running it."""
