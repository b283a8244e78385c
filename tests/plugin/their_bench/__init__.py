"""What this package adds to bench; each module is found by an entry point."""
