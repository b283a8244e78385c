"""Shared worlds with a finished suite."""

from ..runs.fixtures import finished

__all__ = ["finished"]
