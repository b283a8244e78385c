"""Which process this is, of those that `torchrun` or `accelerate launch` started; told without importing torch."""

from __future__ import annotations

import os


def several() -> bool:
    """Whether this process was started beside others, to share each run with them."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def follows() -> bool:
    """Whether another process leads this one."""
    return several() and int(os.environ["RANK"]) > 0
