"""Readers of label files and image trees as their owners ship them; one module a layout.

A layout module holds

- `Options`: a frozen pydantic model of its options in a dataset spec;
- `VARIANTS: tuple[str, ...]`: snake_case names of the releases or folder variants that it knows, the usual one first;
- `columns(options) -> Sequence[str] | None`: the columns that it offers, so that specs are checked without a copy;
  None where only the files know;
- `recognise(root, options) -> str`: which variant stands under `root`, from a look at a few names; `DataError` says
  what was looked for and what is there instead;
- `label_files(root, options) -> list[Path]`: the files that labels are read from, so that a change in them is noticed;
  where every image has a label file of its own, the folders of those;
- `read(root, options, columns) -> Reading`: see `bench.data.reading`;
- `write(root, rows, options, variant)`: a small fixture of that variant with `rows` as `read` gives them, with the
  quirks of the real files that its module's docstring lists, so that reading is tested against files.

A layout for anybody's data also holds `named(rows, options) -> pa.Table`: made-up rows (split, group, values) with the
names, and places, of images that such a copy would have, so that a spec can be tried before there is a copy.

What a reader owes: labels are never guessed. A row that is malformed in a way the literature knows is skipped by name
or mended as documented; anything else is a `DataError` with file and line. No file outside `root` is read, whatever
lists and links say.

`_files.py` has what all readers share, `_folders.py` and `_frames.py` what several do where every image has a file of
labels or a number of its own, `_places.py` what they do with boxes and points; `_matlab.py` reads MATLAB files,
`_parquet.py` Parquet files.
"""

HOLDS = ("Options", "VARIANTS", "columns", "recognise", "label_files", "read", "write")
