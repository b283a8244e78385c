"""Fingerprints: the same content has the same name, whoever computes it and when."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

FINGERPRINT_VERSION = 2
"""Raised when the harness itself changes in a way that changes numbers; old results are then not comparable."""

LENGTH = 16
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def fingerprint(content: Any) -> str:
    """16 hex digits that stand for JSON-like content; the order of keys does not matter."""
    return fingerprint_of(canonical(content))


def canonical(content: Any) -> str:
    """JSON-like content as text, the same whatever the order of its keys."""
    return _ENCODER.encode(content)


def fingerprint_of(text: str) -> str:
    """16 hex digits that stand for a canonical text."""
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


@cache
def source_fingerprint(file: Path) -> str:
    """Fingerprint of a source file: a metric, term or generator is another one when its code is."""
    return hashlib.sha256(file.read_bytes().replace(b"\r\n", b"\n")).hexdigest()[:LENGTH]
