"""What can be said: spec models, YAML with positions, the catalog, fingerprints. Imports in milliseconds."""
