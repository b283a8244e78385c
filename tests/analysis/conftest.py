"""Shared worlds with a finished suite."""

from ..runs.fixtures import ask, done, finished, redo

__all__ = ["ask", "done", "finished", "redo"]
