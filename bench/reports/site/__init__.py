"""A static site of results: pages that open from a file, with no framework and no network.

content.py      plans and records -> verdicts, standings, curves, controls: what pages are made of
pages.py        content -> pages, pictures and CSV files in a folder
cells.py        the page of one cell: runs, curves, predictions, examples
figures.py      pictures as SVG, each with its data and a text alternative
drawing.py      elements of pictures; placing.py finds room for labels
spreadsheet.py  CSV that no spreadsheet takes for formulas
folder.py       the folder appears whole or not at all
templates/, static/
"""

from bench.reports.site.content import Content, SuiteContent, gather
from bench.reports.site.folder import refuse_foreign
from bench.reports.site.pages import build

__all__ = ["Content", "SuiteContent", "build", "gather", "refuse_foreign"]
