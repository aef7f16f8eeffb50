"""The only place that speaks SQL. Entries, sidecars, checkpoints, documents, tokens, evidence."""
