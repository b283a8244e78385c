"""Specs; bench looks for YAML files here and imports nothing."""
