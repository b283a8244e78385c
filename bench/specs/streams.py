"""Named random streams: every use of chance has a name, and its numbers depend on that name alone.

Two runs that share a seed share each stream by name (order, augmentation, initialisation), so a joint run and its
single-task twin differ only in what they learn together. There is no global random state.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def stream_seed(*names: str | int) -> int:
    """A 64-bit seed for the stream of that name."""
    text = json.dumps([name if isinstance(name, str) else int(name) for name in names])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def stream(*names: str | int) -> np.random.Generator:
    """A numpy generator for the stream of that name."""
    import numpy as np

    return np.random.Generator(np.random.PCG64(stream_seed(*names)))


def uniform_of(*names: str | int) -> float:
    """A number in [0, 1) that belongs to the name; used to split by key, so that adding rows moves no other."""
    return (stream_seed(*names) >> 11) / (1 << 53)
