"""A table as LaTeX: booktabs and nothing else, in plain ASCII, so that every engine and every encoding takes it."""

from __future__ import annotations

import unicodedata

from bench.reports.table import Table, one_line

_ASCII = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''", "`": "{`}", "'": "{'}", "-": "{-}", "*": "{*}", "[": "{[}",
}  # fmt: skip
"""Characters that mean something: `[` and `*` do after the end of a row, and pairs such as `--` are ligatures."""
_SYMBOLS = {
    "Δ": r"$\Delta$", "±": r"$\pm$", "▲": r"$\bigtriangleup$", "▼": r"$\bigtriangledown$", "–": "--", "—": "---",
    "×": r"$\times$", "·": r"$\cdot$", "≤": r"$\leq$", "≥": r"$\geq$", "−": "$-$", "’": "'", "‘": "`", "“": "``",
    "”": "''", "…": r"\ldots{}", "ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}",
    "ø": r"\o{}", "Ø": r"\O{}", "ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}", "\N{NO-BREAK SPACE}": "~",
}  # fmt: skip
_ACCENTS = {
    "\u0300": "`", "\u0301": "'", "\u0302": "^", "\u0303": "~", "\u0304": "=", "\u0306": "u", "\u0307": ".",
    "\u0308": '"', "\u030a": "r", "\u030b": "H", "\u030c": "v", "\u0327": "c",
}  # fmt: skip


def to_latex(table: Table) -> str:
    r"""A `table` environment that needs `\usepackage{booktabs,graphicx}`; no wider than a line of text.

    The warning stands in the caption and as a comment.
    """
    align = "".join("r" if i in table.numeric else "l" for i in range(len(table.headers)))
    said = f"{latex_text(table.title)}." + (rf" \textbf{{{latex_text(table.warning)}}}" if table.warning else "")
    lines = [f"% {one_line(table.warning)}"] if table.warning else []
    lines += [r"\begin{table}", r"\centering\footnotesize\setlength{\tabcolsep}{3pt}", rf"\caption{{{said}}}"]
    lines.append(r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%")
    lines += [rf"\begin{{tabular}}{{{align}}}", r"\toprule", *_header(table.headers), r"\midrule"]
    for i, row in enumerate(table.rows):
        if i == table.first_apart:
            lines.append(r"\midrule")
        lines.append(_row([_styled(cell, table, i, j) for j, cell in enumerate(row)]))
    lines += [r"\bottomrule", r"\end{tabular}}"]
    lines += [rf"\par\smallskip {latex_text(note)}" for note in table.notes]
    return "\n".join([*lines, r"\end{table}"]) + "\n"


def latex_text(text: str) -> str:
    """Any text as LaTeX that prints it; a character without a command for it by its number."""
    return "".join(map(_character, one_line(text)))


def _character(character: str) -> str:
    if character in _ASCII:
        return _ASCII[character]
    if character.isascii():
        return character
    if character in _SYMBOLS:
        return _SYMBOLS[character]
    decomposed = unicodedata.normalize("NFD", character)
    base, marks = decomposed[0], decomposed[1:]
    if base.isascii() and base.isalpha() and marks in _ACCENTS:
        return rf"\{_ACCENTS[marks]}{{{base}}}"
    return f"{{[}}U+{ord(character):04X}]"


def _header(headers: tuple[str, ...]) -> list[str]:
    """Names over several lines as several rows, all ending on the last."""
    parts = [header.split("\n") for header in headers]
    height = max(map(len, parts))
    padded = [[""] * (height - len(names)) + names for names in parts]
    return [_row([latex_text(names[i]) for names in padded]) for i in range(height)]


def _styled(cell: str, table: Table, row: int, column: int) -> str:
    text = latex_text(cell)
    if (row, column) in table.bold:
        return rf"\textbf{{{text}}}"
    return rf"\textit{{{text}}}" if row >= table.first_apart and text else text


def _row(cells: list[str]) -> str:
    return " & ".join(cells) + r" \\"
