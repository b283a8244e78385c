"""Records and verdicts as tables: terminal, Markdown, CSV, JSON. No statistics in here."""
