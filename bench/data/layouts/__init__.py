"""Readers of label files and image trees as their owners ship them; one module a layout.

A layout module holds

- `Options`: a frozen pydantic model of its options in a dataset spec;
- `label_files(root, options) -> list[Path]`: the files that labels are read from, so that a change in them is noticed;
- `read(root, options, columns) -> pyarrow.Table`: one row an image, all columns text: `image` (path under `root`),
  `split` and `group` (where the layout has them), and each of `columns` as it stands in the files;
- `write(root, table, options)`: a small fixture in the same layout, so that reading is tested against files.
"""
