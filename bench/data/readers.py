"""From the label files of a copy to labels, and to where the pixels of each image are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from bench.data.decode import Sources
from bench.data.labels import Labelled, LabelTable, Names, code_columns, labels_from_codes
from bench.data.reading import Reading, Skipped
from bench.data.store import ReadingReport
from bench.errors import DataError
from bench.specs.components import load_part, read_options
from bench.specs.dataset import Crop, DatasetSpec
from bench.specs.model import Component
from bench.specs.task import TaskSpec

LAYOUTS = "bench.data.layouts"


@dataclass(frozen=True)
class CopyLabels:
    """What the label files of a copy say: the labels that are used, where their pixels are, and what was left out."""

    copy: Path
    labelled: Labelled
    sources: Sources
    read: int
    variant: str
    skipped: Skipped

    @property
    def labels(self) -> LabelTable:
        return self.labelled.labels

    def report(self, tiny: Mapping[str, str]) -> ReadingReport:
        """What was read and what became of it, for the manifest; `tiny` images by name."""
        return ReadingReport(
            variant=self.variant,
            read=self.read + self.skipped.total,
            skipped=self.skipped.counts,
            skipped_names={reason: tuple(names) for reason, names in self.skipped.names.items()},
            left_out=self.labelled.left_out,
            tiny=dict(tiny),
        )


def read_labels(dataset: DatasetSpec, tasks: Mapping[str, TaskSpec], copy: Path) -> CopyLabels:
    """Read the labels of a copy. Raises `DataError`."""
    layout, options = read_layout(dataset, copy)
    reading: Reading = layout.read(copy, options, code_columns(dataset, tasks))
    raw = reading.rows
    if raw.num_rows == 0:
        raise DataError(f"data set '{dataset.name}': {copy} lists no images{_said(reading.skipped)}")
    labelled = labels_from_codes(raw, dataset, tasks)
    used = raw.select([name for name in raw.column_names if not name.startswith("value:")]).take(
        pa.array(labelled.rows)
    )
    crop = dataset.crop
    if crop is not None and crop.by not in raw.column_names and crop.absent == "refuse":
        raise DataError(
            f"data set '{dataset.name}': the spec crops by {crop.by}, and {copy} ('{reading.variant}') has none",
            hint="complete the copy (`access` in the spec says with what), or use whole images: `crop: null` in a "
            f"dataset spec with `extends: {dataset.name}`",
        )
    sources = Sources(
        root=copy,
        names=labelled.labels.images,
        files=Names(used["file"]) if "file" in used.column_names else None,
        items=used["item"].to_numpy() if "item" in used.column_names else None,
        crop=crop,
        places=_places(used, crop),
        column=reading.column,
    )
    return CopyLabels(copy, labelled, sources, raw.num_rows, reading.variant, reading.skipped)


def _places(used: pa.Table, crop: Crop | None) -> NDArray[np.float32] | None:
    """Boxes or points of the rows that are used, NaN where there is none."""
    if crop is None or crop.by not in used.column_names:
        return None
    column = used[crop.by].combine_chunks()
    width = column.type.list_size
    flat = pc.list_flatten(pc.fill_null(column, pa.scalar([float("nan")] * width, column.type)))
    places: NDArray[np.float32] = flat.to_numpy(zero_copy_only=False).reshape(-1, width)
    return places


def _said(skipped: Skipped) -> str:
    """The end of a message: what was skipped and why."""
    reasons = (
        f"{count} rows skipped: {reason} ({skipped.names[reason][0]})" for reason, count in skipped.counts.items()
    )
    text = "; ".join(reasons)
    return f" ({text})" if text else ""


def read_layout(dataset: DatasetSpec, copy: Path) -> tuple[ModuleType, Any]:
    """The layout's module and its checked options. Raises `DataError` where the copy or the layout is missing."""
    declared = layout_of(dataset)
    if not copy.is_dir():
        raise DataError(
            f"the copy of data set '{dataset.name}' at {copy} is not there",
            hint=f"`bench data add {dataset.copy_name} PATH` gives the right place",
        )
    layout = load_part(LAYOUTS, declared.name, "layout")
    return layout, read_options(layout.Options, declared.options)


def layout_of(dataset: DatasetSpec) -> Component:
    """The declared layout. Raises `DataError` where copies of the data set cannot be read."""
    if dataset.layout is None:
        raise DataError(
            f"copies of '{dataset.name}' cannot be read: its spec declares no layout",
            hint=f"declare one, or use its stand-in (`bench data remove {dataset.copy_name}`, or leave BENCH_DATA out)",
        )
    return dataset.layout
