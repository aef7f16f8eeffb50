"""Sync: signed calls between nodes, the routes that answer them, and the driver that runs rounds."""
