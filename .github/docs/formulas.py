"""Formulas of pages as MathML, which browsers draw by themselves: no script, no font, no network.

Sources write them as GitHub does: a fence called `math` for a line of its own, $`...`$ inside a sentence.
"""

from __future__ import annotations

import re
from typing import Any

from latex2mathml.converter import convert

LINE = re.compile(r"^```math\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"\$`([^`\n]+)`\$")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Called by mkdocs for every page before it is rendered."""
    lines = LINE.sub(lambda found: f"<div>{convert(found[1].strip(), display='block')}</div>", markdown)
    # Within a span, or Markdown would end the paragraph at a formula that begins a line.
    return INLINE.sub(lambda found: f"<span>{convert(found[1])}</span>", lines)
