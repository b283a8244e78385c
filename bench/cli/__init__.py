"""The words a person types; each command parses, calls one function, and prints."""
