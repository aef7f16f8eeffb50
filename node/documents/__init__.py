"""Documents of others, in formats that were there before: read as inputs of contracts, checked by their rules."""
