"""A layout whose labels stand in the names of files: `train-cat-001.jpg` is the first cat of training."""

import os

import pyarrow as pa
from PIL import Image

from bench.data.reading import Reading, Skipped, chosen_columns
from bench.errors import DataError
from bench.specs.model import Frozen

VARIANTS = ("named",)


class Options(Frozen):
    """`separator` stands between the parts of a name."""

    separator: str = "-"


def columns(options):
    return ("kind",)


def recognise(root, options):
    if not any(options.separator in name for name in os.listdir(root)):
        raise DataError(f"{root} holds no file whose name has parts", hint="give the folder of the images")
    return VARIANTS[0]


def label_files(root, options):
    return [root]


def read(root, options, columns):
    recognise(root, options)
    found, skipped = [], Skipped()
    for name in sorted(os.listdir(root)):
        parts = name.removesuffix(".jpg").split(options.separator)
        if len(parts) == 3:
            found.append((name, *parts))
        else:
            skipped.add("a name without three parts", name)
    names, splits, kinds = ([row[place] for row in found] for place in range(3))
    rows = {"image": pa.array(names, pa.string()), "split": pa.array(splits, pa.string())}
    return Reading(pa.table(rows | chosen_columns(columns, {"kind": kinds}, root)), VARIANTS[0], skipped)


def write(root, rows, options, variant=VARIANTS[0]):
    for place, row in enumerate(rows.to_pylist()):
        Image.new("RGB", (20, 20), (place % 256, 255 * (row["value:kind"] == "cat"), 80)).save(root / row["image"])


def named(rows, options):
    known = rows.filter([bool(kind) for kind in rows["value:kind"].to_pylist()])
    parts = zip(known["split"].to_pylist(), known["value:kind"].to_pylist(), strict=True)
    names = [options.separator.join((*part, f"{place:03d}.jpg")) for place, part in enumerate(parts)]
    return known.add_column(0, "image", pa.array(names, pa.string()))
