"""Repositories of the Hub: Parquet files as `datasets` writes them, names of classes, lists, splits by file name."""

from __future__ import annotations

import io
import shutil

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from bench.data.layouts import hub as layout
from bench.data.prepare import Preparation
from bench.errors import DataError
from bench.specs.catalog import open_catalog
from bench.specs.components import read_options
from bench.specs.dataset import DatasetSpec
from bench.specs.task import TaskSpec

from . import contract
from .contract import quick

OPTIONS = layout.Options()
NAMES = ["data/test-00000-of-00001.parquet", "data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]
COLUMNS = ["label", "tags.red", "tags.blue"]


def jpeg(colour):
    """A picture of one colour as bytes."""
    stream = io.BytesIO()
    Image.new("RGB", (24, 24), colour).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def file_of(root, content, *, name="data/train-00000-of-00001.parquet", features=None, **options):
    """One file by hand, as plain Parquet or with features; `image` is added if it is not given."""
    count = len(next(iter(content.values())))
    pictures = {"image": [{"bytes": jpeg((i, 0, 0)), "path": None} for i in range(count)]}
    given = (pictures | content) if "image" not in content else content
    schema = None
    if features is not None:
        schema = datasets.Features({"image": datasets.Image()} | features).arrow_schema
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(given, schema=schema), root / name, **options)
    return root


def values(root, *columns, options=OPTIONS):
    rows = layout.read(root, options, columns).rows
    found = [rows[f"value:{column}"].to_pylist() for column in columns]
    return found[0] if len(found) == 1 else found


@st.composite
def repositories(draw):
    """Options, and rows as `read` gives them; images have paths or not."""
    options = layout.Options(
        split=draw(st.sampled_from([None, "part"])), group=draw(st.sampled_from([None, "who"])), image="picture"
    )
    named = draw(st.booleans())
    rows = {name: [] for name in ("image", "file", "item", "split", "group", *(f"value:{c}" for c in COLUMNS))}
    for file in NAMES:
        for item in range(draw(st.integers(1, 7))):
            rows["image"].append(f"{len(rows['image'])}/x.jpg" if named else f"{file}#{item}")
            rows["file"].append(file)
            rows["item"].append(item)
            official = file.removeprefix("data/").partition("-")[0]
            rows["split"].append(official if options.split is None else draw(st.sampled_from(["a", "b"])))
            rows["group"].append(draw(st.sampled_from(["ada", "bob"])))
            rows["value:label"].append(draw(st.sampled_from(["", "cat", "dog", "two words"])))
            marks = draw(st.sampled_from([("", ""), ("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]))
            rows["value:tags.red"].append(marks[0])
            rows["value:tags.blue"].append(marks[1])
    if options.group is None:
        del rows["group"]
    return options, contract.rows_of(**rows)


# ------------------------------------------------------------------------------------------------------ the contract


@settings(quick, max_examples=40)
@given(case=repositories())
def test_what_is_written_is_read_back(tmp_path, case):
    options, rows = case
    reading = contract.assert_read_back(layout, tmp_path / "copy", options, rows, COLUMNS, "parquet")
    assert reading.column == "picture"
    assert reading.rows.sort_by([("file", "ascending"), ("item", "ascending")]).equals(reading.rows)


EXAMPLE = contract.rows_of(
    image=[f"{NAMES[i // 6]}#{i % 6}" for i in range(18)],
    file=[NAMES[i // 6] for i in range(18)],
    item=[i % 6 for i in range(18)],
    split=["test"] * 6 + ["train"] * 12,
    **{
        "value:label": [["cat", "dog", ""][i % 3] for i in range(18)],
        "value:tags.red": list("011") * 6,
        "value:tags.blue": list("010") * 6,
    },
)


@settings(quick, max_examples=150)
@given(damage=contract.damages())
def test_damaged_copies_are_refused_or_read_without_a_wrong_row(tmp_path, damage):
    contract.assert_survives(layout, tmp_path, OPTIONS, EXAMPLE, COLUMNS, "parquet", damage)


# ------------------------------------------------------------------------------------------------------ labels


def test_classes_are_given_by_name_in_each_files_own_order(tmp_path):
    for split, names in (("train", ["cat", "dog"]), ("test", ["dog", " cat "])):
        features = {"label": datasets.ClassLabel(names=names)}
        file_of(tmp_path, {"label": [0, 1, -1, None]}, name=f"{split}.parquet", features=features)
    assert values(tmp_path, "label") == ["dog", "cat", "", "", "cat", "dog", "", ""]


def test_without_features_numbers_and_texts_are_given_as_they_are(tmp_path):
    content = {
        "number": [0, 7, None],
        "text": [" a b ", "", None],
        "flag": [True, False, None],
        "share": [1.0, 0.25, float("nan")],
        "nothing": [None, None, None],
        "kind": pa.array(["x", "y", None]).dictionary_encode(),
    }
    file_of(tmp_path, content)
    assert values(tmp_path, *content) == [
        ["0", "7", ""],
        ["a b", "", ""],
        ["1", "0", ""],
        ["1", "0.25", ""],
        ["", "", ""],
        ["x", "y", ""],
    ]


def test_lists_of_classes_are_given_class_by_class(tmp_path):
    features = {"tags": datasets.List(datasets.ClassLabel(names=["red", "v.2", "never"]))}
    file_of(tmp_path, {"tags": [[0], [1, 0], [], None]}, features=features)
    assert values(tmp_path, "tags.red", "tags.v.2", "tags.never") == [
        ["1", "1", "0", ""],
        ["0", "1", "0", ""],
        ["0", "0", "0", ""],
    ]
    with pytest.raises(DataError, match="the lists in 'tags' have no 'rad'; did you mean 'red'"):
        values(tmp_path, "tags.rad")


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.large_list(pa.string()), pa.list_(pa.string(), 2)])
def test_lists_of_texts_are_given_text_by_text(tmp_path, kind):
    file_of(tmp_path, {"tags": pa.array([["red", "blue"], None, ["blue", "green"]], kind)})
    assert values(tmp_path, "tags.red", "tags.blue") == [["1", "", "0"], ["1", "", "1"]]
    with pytest.raises(DataError, match=r"no row has 'tags\.rad'"):
        values(tmp_path, "tags.rad")


def test_a_text_may_stand_in_the_lists_of_one_file_only(tmp_path):
    file_of(tmp_path, {"tags": [["red"]]}, name="a.parquet")
    file_of(tmp_path, {"tags": [["blue"]]}, name="b.parquet")
    assert values(tmp_path, "tags.red") == ["1", "0"]


def test_a_column_with_a_dot_in_its_name_is_read_as_it_is(tmp_path):
    file_of(tmp_path, {"a.b": ["0", "0"]})
    assert values(tmp_path, "a.b") == ["0", "0"]


def test_a_file_without_rows_adds_none(tmp_path):
    features = {"label": datasets.ClassLabel(names=["cat"]), "tags": datasets.List(datasets.ClassLabel(names=["red"]))}
    file_of(tmp_path, {"label": [], "tags": []}, name="a.parquet", features=features)
    file_of(tmp_path, {"label": [0], "tags": [[0]]}, name="b.parquet", features=features)
    assert values(tmp_path, "label", "tags.red") == [["cat"], ["1"]]


# ------------------------------------------------------------------------------------------------- names and splits


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("data/train-00000-of-00001.parquet", "train"),
        ("data/train-00000-of-00001-0123456789abcdef.parquet", "train"),
        ("data/train.clean-00000-of-00001.parquet", "train.clean"),
        ("default/validation/0000.parquet", "validation"),
        ("test.parquet", "test"),
        ("deep/er/dev.parquet", "dev"),
    ],
)
def test_the_name_of_a_file_tells_the_split(tmp_path, name, split):
    rows = layout.read(file_of(tmp_path, {"label": [1, 2]}, name=name), OPTIONS, []).rows
    assert rows["split"].to_pylist() == [split] * 2
    assert rows["file"].to_pylist() == [name] * 2
    assert rows["item"].to_pylist() == [0, 1]


def test_images_are_named_by_their_paths_only_if_these_tell_them_apart(tmp_path):
    def names(*paths):
        pictures = [{"bytes": b"", "path": path} for path in paths]
        rows = layout.read(file_of(tmp_path, {"image": pictures}, name="x.parquet"), OPTIONS, []).rows
        return rows["image"].to_pylist()

    assert names("a.jpg", "b/a.jpg") == ["a.jpg", "b/a.jpg"]
    for paths in (("a.jpg", "a.jpg"), ("a.jpg", None), ("a.jpg", ""), ("a.jpg", "../b.jpg"), ("a.jpg", "/b.jpg")):
        assert names(*paths) == ["x.parquet#0", "x.parquet#1"]


def test_images_may_be_bytes_alone(tmp_path):
    file_of(tmp_path, {"image": [jpeg((9, 9, 9))], "label": [3]}, name="x.parquet")
    assert layout.read(tmp_path, OPTIONS, ["label"]).rows["image"].to_pylist() == ["x.parquet#0"]


def test_splits_and_groups_may_stand_in_columns(tmp_path):
    features = {"part": datasets.ClassLabel(names=["fit", "score"]), "who": datasets.Value("int64")}
    file_of(tmp_path, {"part": [1, 0], "who": [12, 7]}, features=features)
    rows = layout.read(tmp_path, layout.Options(split="part", group="who"), []).rows
    assert (rows["split"].to_pylist(), rows["group"].to_pylist()) == (["score", "fit"], ["12", "7"])


def test_patterns_choose_files_and_hidden_folders_are_passed_over(tmp_path):
    for name in ("a/train.parquet", "b/train.parquet", ".cache/train.parquet"):
        file_of(tmp_path, {"label": [1]}, name=name)
    (tmp_path / "folder.parquet").mkdir()
    for patterns, expected in (
        (("**/*.parquet",), ["a/train.parquet", "b/train.parquet"]),
        (("b/*.parquet",), ["b/train.parquet"]),
        (("b/*.parquet", "*/train.parquet"), ["a/train.parquet", "b/train.parquet"]),
    ):
        options = read_options(layout.Options, {"files": list(patterns)})
        assert [file.relative_to(tmp_path).as_posix() for file in layout.label_files(tmp_path, options)] == expected


# ------------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("pattern", ["../*.parquet", "/data/*.parquet", "a/../../*.parquet", "*.csv", ""])
def test_patterns_stay_below_the_copy_and_name_parquet_files(pattern):
    with pytest.raises(ValidationError, match=r"leads out of the copy|must end in \.parquet"):
        layout.Options(files=(pattern,))


def test_wrong_roots_are_told(tmp_path):
    (tmp_path / "README.md").write_text("x")
    with pytest.raises(DataError, match=r"no Parquet files \(looked for \*\*/\*\.parquet; there is README\.md\)"):
        layout.recognise(tmp_path, OPTIONS)


@pytest.mark.parametrize("suffix", ["", "-0123456789abcdef"])
def test_a_missing_part_of_a_split_is_told(tmp_path, suffix):
    for number in (0, 2):
        file_of(tmp_path, {"label": [1]}, name=f"data/train-{number:05d}-of-00004{suffix}.parquet")
    with pytest.raises(DataError, match=r"data: 2 of 4 files of 'train' are missing, such as number 1"):
        layout.recognise(tmp_path, OPTIONS)


def test_files_that_are_linked_from_elsewhere_are_refused(tmp_path):
    file_of(tmp_path / "blobs", {"label": [1]}, name="0.parquet")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy/train.parquet").symlink_to(tmp_path / "blobs/0.parquet")
    with pytest.raises(DataError, match="leads out of") as caught:
        layout.read(tmp_path / "copy", OPTIONS, [])
    assert "--local-dir" in caught.value.hint
    (tmp_path / "copy/train.parquet").unlink()
    (tmp_path / "copy/train.parquet").symlink_to(tmp_path / "copy/lost.parquet")
    with pytest.raises(DataError, match=r"train\.parquet is no file|lost\.parquet is no file"):
        layout.read(tmp_path / "copy", OPTIONS, [])


@pytest.mark.parametrize(
    ("content", "columns", "said"),
    [
        ({"label": [1]}, ["lable"], "there is no column 'lable'; did you mean 'label'"),
        ({"label": [1]}, ["label.cat"], r"there is no column 'label\.cat'"),
        ({"tags": [["red"]]}, ["tags"], "the column 'tags' holds lists; ask for 'tags.LABEL'"),
        (
            {"when": pa.array([1], pa.timestamp("ms"))},
            ["when"],
            r"the column 'when' holds timestamp\[ms\], expected texts",
        ),
        ({"image": ["text"]}, [], "the column 'image' holds string, expected images"),
        ({"image": [{"path": "a"}]}, [], "expected images"),
    ],
)
def test_columns_of_another_kind_are_refused(tmp_path, content, columns, said):
    file_of(tmp_path, content)
    with pytest.raises(DataError, match=said):
        layout.read(tmp_path, OPTIONS, columns)


@pytest.mark.parametrize("number", [2, -2, 10**9])
def test_a_class_without_a_name_is_refused(tmp_path, number):
    file_of(tmp_path, {"label": [0, number]}, features={"label": datasets.ClassLabel(names=["cat", "dog"])})
    with pytest.raises(DataError, match=rf"the column 'label' has class {number} \(value 2\), but there are 2 classes"):
        layout.read(tmp_path, OPTIONS, ["label"])


@pytest.mark.parametrize(
    "note", [b"{", b'{"info": {"features": 3}}', b'{"info": {"features": {"label": {"_type": "Nonsense"}}}}']
)
def test_features_that_cannot_be_read_are_refused(tmp_path, note):
    table = pa.table({"image": [b""], "label": [0]}).replace_schema_metadata({"huggingface": note})
    pq.write_table(table, tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"train\.parquet: its features cannot be read"):
        layout.read(tmp_path, OPTIONS, ["label"])


def test_images_are_not_read_for_labels(tmp_path):
    pictures = [{"bytes": np.random.default_rng(i).bytes(1 << 16), "path": f"{i}.jpg"} for i in range(16)]
    content = {"image": pictures, "label": list(range(16))}
    file = file_of(tmp_path, content, name="x.parquet", compression="none", write_page_checksum=True) / "x.parquet"
    written = file.read_bytes()
    file.write_bytes(written.replace(pictures[3]["bytes"][:64], bytes(64)))
    with pytest.raises(OSError, match="CRC"):
        pq.read_table(file, page_checksum_verification=True)
    rows = layout.read(tmp_path, OPTIONS, ["label"]).rows
    assert rows["image"].to_pylist() == [f"{i}.jpg" for i in range(16)]
    assert rows["value:label"].to_pylist() == [str(i) for i in range(16)]


# ------------------------------------------------------------------------------------------------------ a whole spec

SPECS = {
    "pets": """
        kind: dataset
        name: pets
        title: Pets from the Hub
        domain: animals
        tasks:
          pet_kind: {column: species}
          pet_traits:
            columns: {striped: traits.stripes, long hair: traits.long_hair}
        layout: {name: hub, image: photo, group: owner}
        splits: {official: {train: train, test: test}, carve_validation: 0.3, by: group}
        fetch:
          hub: {repository: somebody/pets, revision: 0123456789abcdef0123456789abcdef01234567}
          terms: Free for all.
        licence: CC0
        home_page: https://example.org/
        citation: none
    """,
    "pet_kind": """
        kind: task
        name: pet_kind
        title: Kinds of pets
        type: multiclass
        labels: [cat, dog, fish]
        metrics: [accuracy]
        primary: accuracy
        chance: 0.333
    """,
    "pet_traits": """
        kind: task
        name: pet_traits
        title: Traits of pets
        type: multilabel
        labels: [long hair, striped]
        metrics: [mean_f1]
        primary: mean_f1
        chance: 0.5
    """,
}
COLOURS = {"dog": (200, 0, 0), "fish": (0, 200, 0), "cat": (0, 0, 200)}


@pytest.fixture
def pets(world, tmp_path, monkeypatch):
    """A repository written by `datasets` itself, and a spec of it; the colour of a picture tells its species."""
    for name, text in SPECS.items():
        world.write(name, text)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    datasets.disable_progress_bars()
    classes = datasets.ClassLabel(names=list(COLOURS))
    traits = datasets.List(datasets.ClassLabel(names=["stripes", "tail", "long_hair"]))
    features = datasets.Features(
        {"photo": datasets.Image(), "species": classes, "traits": traits, "owner": datasets.Value("string")}
    )
    for split, count in (("train", 40), ("test", 5)):
        rows = [
            {
                "photo": {"bytes": jpeg(list(COLOURS.values())[i % 3]), "path": None},
                "species": i % 3,
                "traits": None if i % 5 == 4 else [[0], [1, 2], [2, 0], []][i % 4],
                "owner": f"{split} {i // 2}",
            }
            for i in range(count)
        ]
        half = count // 2
        for number, part in enumerate((rows[:half], rows[half:])):
            file = tmp_path / f"copy/data/{split}-{number:05d}-of-00002.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            datasets.Dataset.from_list(part, features=features).to_parquet(file, batch_size=7)
    catalog = open_catalog([world.specs])
    dataset = catalog.get(DatasetSpec, "pets")
    tasks = {task: catalog.get(TaskSpec, task) for task in dataset.tasks}
    return dataset, tasks, tmp_path / "copy"


def test_a_repository_of_the_hub_is_prepared(pets):
    dataset, tasks, copy = pets
    store = Preparation(dataset, tasks, 16, copy).prepare()
    assert store.manifest.refused == {}
    labels = store.labels
    assert len(labels) == 45
    assert labels.counts()["test"] == 5
    assert labels.counts()["validation"] > 0
    for row, image in enumerate(labels.images):
        species = tasks["pet_kind"].labels[labels.tasks["pet_kind"][row]]
        assert np.abs(store.images[row].reshape(-1, 3).mean(0) - COLOURS[species]).max() < 6
        file, _, item = image.partition("#")
        number = int(item) + int("00001-of" in file) * (20 if "train" in file else 2)
        assert species == list(COLOURS)[number % 3]
        marks = dict(zip(tasks["pet_traits"].labels, labels.tasks["pet_traits"][row].tolist(), strict=True))
        striped, long_hair = [(1, 0), (0, 1), (1, 1), (0, 0)][number % 4] if number % 5 != 4 else (-1, -1)
        assert marks == {"striped": striped, "long hair": long_hair}
    split_of = dict(zip(labels.groups, labels.splits.tolist(), strict=True))
    assert all(split_of[group] == split for group, split in zip(labels.groups, labels.splits.tolist(), strict=True))


def test_a_damaged_image_is_refused_by_name_and_not_the_file(pets, monkeypatch):
    dataset, tasks, copy = pets
    name = "data/train-00000-of-00002.parquet"
    table = pq.read_table(copy / name)
    pictures = table["photo"].to_pylist()
    pictures[3]["bytes"] = pictures[3]["bytes"][:40]
    pictures[4] = None
    place = table.schema.get_field_index("photo")
    changed = table.set_column(place, table.schema.field(place), pa.array(pictures, table.schema.field(place).type))
    pq.write_table(changed, copy / name)
    monkeypatch.setattr("bench.data.prepare.MOST_REFUSED", 0.5)
    store = Preparation(dataset, tasks, 16, copy).prepare()
    assert set(store.manifest.refused) == {f"{name}#3", f"{name}#4"}
    assert len(store.labels) == 43


def test_a_partial_download_is_refused(pets):
    dataset, tasks, copy = pets
    shutil.move(copy / "data/train-00001-of-00002.parquet", copy / "elsewhere.bin")
    with pytest.raises(DataError, match="1 of 2 files of 'train' are missing, such as number 1"):
        Preparation(dataset, tasks, 16, copy).prepare()
