"""The Tallystick node: storage, append, sync, the partner API and the `tally` command."""
