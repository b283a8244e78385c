"""Pictures drawn from labels, for stand-ins."""
