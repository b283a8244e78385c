"""From records to verdicts and standings: pure functions, no files, no printing."""
