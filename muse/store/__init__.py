"""Evidence: records with provenance, appended as JSON lines and never rewritten. Loads without torch."""
