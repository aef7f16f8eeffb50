"""EPCIS 2.0: checking documents against the standard, and splitting them into records."""
