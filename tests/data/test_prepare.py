"""From image files to a store: decoding, refusals, interruptions, and preparing twice at once."""

from __future__ import annotations

import errno
import io
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.data import decode as decoding
from bench.data import prepare as module
from bench.data.prepare import Preparation
from bench.data.store import IMAGES, LABELS, MANIFEST, open_store
from bench.errors import DataError, Interrupted
from bench.specs.dataset import Crop

from .samples import OFFICIAL, TASKS, assert_same_labels, dataset, picture

SIZE = 16


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def fitted(pixels, size=SIZE):
    """The largest centred square of uint8 [h, w, 3], resized by PIL."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    box = ((width - side) / 2, (height - side) / 2, (width + side) / 2, (height + side) / 2)
    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC, box=box))


def stored(copy, name="x.png", size=SIZE, **columns):
    """The stored picture of one image of a copy, which is filled up so that no split is empty."""
    copy.fill(8)
    store = copy.preparation(size, **columns).prepare()
    assert store.manifest.refused == {}
    return store.images[store.labels.images.tolist().index(f"images/{name}")]


def left_behind(preparation):
    """What stands beside the place of a store."""
    return sorted(file.name.removeprefix(preparation.folder.name) for file in preparation.folder.parent.iterdir())


# -------------------------------------------------------------------------------------------------- decoding


@pytest.mark.parametrize(
    "shape", [(24, 20), (20, 24), (16, 16), (17, 40), (101, 33), (8, 8), (1, 1), (1, 50), (300, 3)]
)
def test_the_centre_is_kept_and_the_shorter_side_is_resized(copy, shape):
    pixels = picture(3, *shape)
    copy.add("x.png", pixels)
    np.testing.assert_array_equal(stored(copy), fitted(pixels))


def test_a_band_stays_in_the_middle(copy):
    """Geometry without PIL: the outer thirds of a wide picture are cut off."""
    pixels = np.zeros((30, 90, 3), np.uint8)
    pixels[:, 30:60] = 255
    copy.add("x.png", pixels)
    found = stored(copy)
    assert (found[:, 1:-1] == 255).all()
    assert found.min() > 200  # the first and last column see a little of what is cut off


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1", "CMYK", "RGB"])
def test_every_mode_becomes_rgb(copy, mode):
    image = Image.fromarray(picture(4)).convert(mode)
    kind = "TIFF" if mode == "CMYK" else "PNG"
    copy.add("x.png", encoded(image, kind))
    np.testing.assert_array_equal(stored(copy), fitted(np.asarray(image.convert("RGB"))))


def test_a_palette_with_transparency(copy):
    """PIL warns of these unless alpha is made first; warnings are errors here."""
    image = Image.fromarray(picture(5)).quantize(16)
    copy.add("x.png", encoded(image, "PNG", transparency=bytes([0] * 8 + [255] * 8)))
    np.testing.assert_array_equal(stored(copy), fitted(np.asarray(image.convert("RGB"))))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_photographs_as_jpeg(copy, mode):
    """Smooth, as photographs are; JPEG is decoded at a fraction of its size where that is enough."""
    ramp = np.linspace(0, 255, 160)
    pixels = np.stack([np.tile(ramp, (128, 1)), np.tile(ramp[::-1], (128, 1)), np.full((128, 160), 90)], 2)
    image = Image.fromarray(pixels.astype(np.uint8)).convert(mode)
    copy.add("x.jpg", encoded(image, "JPEG", quality=95))
    expected = fitted(np.asarray(image.convert("RGB"))).astype(float)
    assert np.abs(stored(copy, "x.jpg") - expected).max() < 8


@pytest.mark.parametrize("shape", [(64, 96), (20, 32), (500, 375), (1500, 1100), (333, 200)])
def test_jpegs_of_any_size_show_the_middle_without_aliasing(copy, shape):
    """Against the mean over the area that each pixel shows; stripes finer than that become grey."""
    height, width = shape
    rows, columns = np.mgrid[:height, :width]
    smooth = 128 + 100 * np.sin(columns / width * 7) * np.cos(rows / height * 5)
    stripes = 40 * (columns % 2) if min(shape) > 8 * SIZE else 0
    pixels = np.clip(np.stack([smooth + stripes] * 3, 2), 0, 255).astype(np.uint8)
    copy.add("x.jpg", encoded(Image.fromarray(pixels), "JPEG", quality=98, subsampling=0))
    found = stored(copy, "x.jpg").astype(float)
    side = min(shape)
    top, left = (height - side) / 2, (width - side) / 2
    fine = Image.fromarray(pixels).resize(
        (SIZE * 8,) * 2, Image.Resampling.BOX, box=(left, top, left + side, top + side)
    )
    expected = np.asarray(fine, float).reshape(SIZE, 8, SIZE, 8, 3).mean((1, 3))
    assert np.abs(found - expected).mean() < 4
    assert np.abs(found - expected).max() < 14


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [
        (1, lambda p: p),
        (2, lambda p: p[:, ::-1]),
        (3, lambda p: p[::-1, ::-1]),
        (4, lambda p: p[::-1]),
        (5, lambda p: p.transpose(1, 0, 2)),
        (6, lambda p: np.rot90(p, -1)),
        (7, lambda p: p[::-1, ::-1].transpose(1, 0, 2)),
        (8, lambda p: np.rot90(p)),
    ],
)
def test_cameras_that_were_turned(copy, orientation, turned):
    """What EXIF says of the camera's position is undone."""
    pixels = picture(6, 20, 32)
    exif = Image.Exif()
    exif[0x0112] = orientation
    copy.add("x.png", encoded(Image.fromarray(pixels), "PNG", exif=exif))
    np.testing.assert_array_equal(stored(copy), fitted(np.ascontiguousarray(turned(pixels))))


def test_rows_and_images_stay_together(copy):
    copy.fill(30)
    store = copy.preparation().prepare()
    for row, name in enumerate(store.labels.images.tolist()):
        number = int(Path(name).stem)
        np.testing.assert_array_equal(store.images[row], fitted(picture(number)))
        assert store.labels.tasks["kinds"][row] == number % 2
    assert store.manifest.counts == {"train": 16, "validation": 7, "test": 7}
    assert not store.manifest.standin


# -------------------------------------------------------------------------------------------------- refusals


def sixteen_bits():
    return encoded(Image.fromarray(np.full((9, 9), 40_000, np.uint16)), "PNG")


BROKEN = {
    "missing": (None, "missing"),
    "empty": (b"", "unreadable: UnidentifiedImageError"),
    "text": (b"not an image", "unreadable: UnidentifiedImageError"),
    "truncated png": (encoded(Image.fromarray(picture(0, 90, 90)), "PNG")[:4000], "unreadable: OSError"),
    "truncated jpeg": (encoded(Image.fromarray(picture(0, 90, 90)), "JPEG")[:3000], "unreadable: OSError"),
    "sixteen bits": (sixteen_bits(), "unreadable: pixels of mode I;16"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_an_image_that_cannot_be_used_is_refused_by_name(copy, case):
    content, reason = BROKEN[case]
    copy.fill(20).add("bad.png", content, split="test")
    copy.fill(20, start=20)
    store = copy.preparation().prepare()
    assert store.manifest.refused == {"images/bad.png": reason}
    assert "images/bad.png" not in store.labels.images.tolist()
    assert store.manifest.counts == {"train": 20, "validation": 10, "test": 10}
    for row, name in enumerate(store.labels.images.tolist()):
        np.testing.assert_array_equal(store.images[row], fitted(picture(int(Path(name).stem))))


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("link.png", "outside the copy"),
        ("folder/secret.png", "outside the copy"),
        ("{outside}/secret.png", "missing"),  # an absolute path is taken under the folder of images
        ("loop.png", "unreadable: OSError"),
        ("", "unreadable: not a file"),
    ],
)
def test_files_outside_the_copy_are_never_read(copy, tmp_path, path, reason):
    Image.fromarray(picture(0)).save(tmp_path / "secret.png")
    images = copy.root / "images"
    (images / "link.png").symlink_to(tmp_path / "secret.png")
    (images / "folder").symlink_to(tmp_path)
    (images / "loop.png").symlink_to(images / "loop.png")
    path = path.format(outside=tmp_path)
    copy.fill(40).add(path)
    assert copy.preparation().prepare().manifest.refused == {f"images/{path}".replace("//", "/"): reason}


def test_a_path_may_leave_the_folder_of_images_for_another_place_in_the_copy(copy):
    Image.fromarray(picture(0)).save(copy.root / "beside.png")
    copy.add("../beside.png")
    copy.add("../../away.png")
    copy.fill(8)
    store = copy.preparation().prepare()
    row = store.labels.images.tolist().index("beside.png")
    np.testing.assert_array_equal(store.images[row], fitted(picture(0)))
    assert store.manifest.reading.skipped_names == {"path leads out of the copy": ("images/../../away.png",)}


def test_too_many_refusals_stop_everything(copy):
    copy.fill(18)
    copy.add("gone.png")
    preparation = copy.preparation()
    with pytest.raises(DataError, match=r"1 of 19 images in .* images/gone\.png \(missing\)") as caught:
        preparation.prepare()
    assert "complete the copy" in caught.value.hint
    assert not preparation.folder.exists()
    assert not preparation.ready
    assert left_behind(preparation) == [".lock", ".partial"]
    with pytest.raises(DataError, match="is not prepared at 16 pixels"):
        preparation.open()


def test_a_copy_that_was_completed_is_read_again_where_it_was_not(copy):
    """What was refused is tried again, and what was read before is not read twice."""
    copy.fill(18)
    copy.add("late.png", split="test")
    preparation = copy.preparation()
    with pytest.raises(DataError, match="1 of 19 images"):
        preparation.prepare()
    copy.put("late.png", picture(99))
    for row in copy.rows[:18]:
        copy.put(row["file"], b"spoilt since")
    store = preparation.prepare()
    assert store.manifest.refused == {}
    np.testing.assert_array_equal(store.images[-1], fitted(picture(99)))
    np.testing.assert_array_equal(store.images[0], fitted(picture(0)))


def expecting(**expected):
    return {"any": {"source": "a book, table 1"} | expected}


def test_other_counts_than_expected_are_refused_before_anything_is_decoded(copy):
    preparation = copy.fill(40).preparation(
        expected=expecting(images={"test": 11}, labels={"kinds": {"train": {"cat": 20, "dog": 3}}}, groups=4)
    )
    with pytest.raises(DataError) as caught:
        preparation.prepare()
    assert "(variant 'table') is not as expected: 10 test images instead of 11; " in caught.value.message
    assert "kinds: 10 train images of 'cat' instead of 20; kinds: 10 train images of 'dog' instead of 3; " in (
        caught.value.message
    )
    assert "0 groups (subjects, products or films) instead of 4; " in caught.value.message
    assert caught.value.message.endswith("the expected figures are from a book, table 1")
    assert "`extends: pets` and an `expected` of its own for 'table'" in caught.value.hint
    assert left_behind(preparation) == [".lock"]
    with pytest.raises(DataError, match="40 images instead of 39; kinds: 20 images of 'cat' instead of 19"):
        wrong = expecting(images={"all": 39}, labels={"kinds": {"all": {"cat": 19, "dog": 20}}})
        copy.preparation(expected=wrong).prepare()
    right = expecting(images={"train": 20, "test": 10, "all": 40}, labels={"kinds": {"train": {"cat": 10}}}, groups=0)
    assert copy.preparation(expected=right).prepare().manifest.counts == {"train": 20, "validation": 10, "test": 10}


def test_counts_are_those_of_the_official_splits_and_of_all_annotated_images(copy):
    """Before validation is carved and parts are left out: the figures that papers print."""
    copy.fill(40)
    copy.rows[0]["kind"] = "bird"
    splits = {"official": {"train": "train", "val": "train", "test": "test"}, "carve_validation": 0.3}
    tasks = {"kinds": {"column": "kind", "exclude": ["bird"]}}
    expected = expecting(images={"train": 29, "validation": 0, "test": 10})
    splits["train_part"] = {"of": 2, "index": 0}
    store = copy.preparation(splits=splits, tasks=tasks, expected=expected).prepare()
    assert store.manifest.counts["test"] == 10
    assert sum(store.manifest.counts.values()) < 39
    left_out = store.manifest.reading.left_out
    assert left_out["excluded by their code"] == 1
    assert left_out["in another part of training"] == 39 - len(store.labels)
    assert (store.manifest.reading.read, store.manifest.reading.variant) == (40, "table")


def test_expectations_of_the_variant_come_before_those_of_any(copy):
    expected = expecting(images={"test": 99}) | {"table": {"images": {"test": 2}, "source": "x"}}
    copy.fill(8).preparation(expected=expected).prepare()


def test_a_group_in_two_splits_is_refused_where_splits_are_said_to_be_disjoint(copy):
    for i, split in enumerate(["train", "val", "test", "train", "test"]):
        copy.add(f"{i}.png", picture(i), split=split, owner="abcab"[i])
    layout = {"name": "csv", "split": "split", "group": "owner"}
    with pytest.raises(DataError, match="1 groups stand in more than one split, such as 'b'"):
        copy.preparation(layout=layout, expected=expecting(disjoint_groups=True)).prepare()
    copy.rows[-1]["owner"] = "c"
    copy.preparation(layout=layout, expected=expecting(disjoint_groups=True)).prepare()


def test_images_of_another_size_than_expected_are_refused(copy):
    preparation = copy.fill(8).preparation(expected=expecting(pixels=[30, 24]))
    with pytest.raises(DataError, match=r"images of 20 x 24 pixels \(8 of 8\), expected 30 x 24"):
        preparation.prepare()
    assert not preparation.ready
    copy.preparation(expected=expecting(pixels=[20, 24])).prepare()


def test_an_empty_split_is_refused(copy):
    copy.add("a.png", picture(0))
    copy.add("b.png", picture(1), split="test")
    preparation = copy.preparation()
    with pytest.raises(DataError, match="no image is left in the validation split"):
        preparation.prepare()
    assert not preparation.folder.exists()


def test_a_failing_disk_is_not_taken_for_a_bad_image(copy, monkeypatch):
    def fail(*_, **__):
        raise OSError(errno.EIO, "Input/output error")

    preparation = copy.fill(8).preparation()
    with monkeypatch.context() as patch:
        patch.setattr(decoding.Image, "open", fail)
        with pytest.raises(OSError, match="Input/output error"):
            preparation.prepare()
    assert preparation.prepare().manifest.refused == {}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda copy: copy.root.rename(copy.root.with_name("moved")), "is not there"),
        (lambda copy: (copy.root / "labels.csv").unlink(), r"labels\.csv is missing"),
        (lambda copy: (copy.root / "labels.csv").write_text("file,kind,split\n"), "lists no images"),
    ],
    ids=["no copy", "no table", "no rows"],
)
def test_a_copy_that_is_not_there_is_said(copy, spoil, said):
    preparation = copy.fill(8).preparation()
    spoil(copy)
    with pytest.raises(DataError, match=said):
        preparation.prepare()


def test_a_data_set_without_a_layout_cannot_be_read(copy):
    standin = {"name": "faces", "relatedness": "r", "images": {"train": 1, "validation": 1, "test": 1}}
    preparation = Preparation(dataset(layout=None, splits=None, standin=standin), TASKS, SIZE, copy.root)
    with pytest.raises(DataError, match="declares no layout"):
        preparation.prepare()


def test_without_copy_and_stand_in_there_is_nothing():
    with pytest.raises(DataError, match="no copy of data set 'pets' and no stand-in") as caught:
        Preparation(dataset(), TASKS, SIZE, None).prepare()
    assert "bench data add pets PATH" in caught.value.hint


# -------------------------------------------------------------------------------------------------- places


def test_a_second_preparation_does_nothing(copy):
    preparation = copy.fill(8).preparation()
    first = preparation.prepare()
    calls = []
    for row in copy.rows:
        copy.put(row["file"], b"spoilt since")
    again = preparation.prepare(lambda done, total: calls.append(done))
    assert calls == []
    np.testing.assert_array_equal(again.images, first.images)


def test_stores_of_other_sizes_splits_and_codes_stand_elsewhere(copy):
    copy.fill(8).write()
    folders = [
        copy.preparation().folder,
        copy.preparation(8).folder,
        copy.preparation(splits=OFFICIAL | {"carve_validation": 0.5}).folder,
        copy.preparation(tasks={"kinds": {"column": "kind", "missing": ["?"]}}).folder,
        copy.preparation(name="others").folder,
    ]
    assert len(set(folders)) == 5
    assert copy.preparation(title="Another title").folder == folders[0]
    # What is expected is asserted when a store is made, so that other expectations make another.
    assert copy.preparation(expected=expecting(images={"train": 4})).folder not in folders
    assert copy.preparation().folder.name.startswith("pets-16px-")


def test_a_changed_table_of_labels_is_read_again(copy):
    first = copy.fill(8).preparation().prepare()
    copy.rows[0]["kind"] = "dog" if copy.rows[0]["kind"] == "cat" else "cat"
    again = copy.preparation().prepare()
    assert again.folder != first.folder
    assert again.manifest.fingerprint != first.manifest.fingerprint
    assert (again.labels.tasks["kinds"] != first.labels.tasks["kinds"]).sum() == 1


def test_progress_counts_every_image(copy):
    calls = []
    copy.fill(600)
    copy.preparation(8).prepare(lambda done, total: calls.append((done, total)))
    assert calls == [(256, 600), (512, 600), (600, 600)]


# -------------------------------------------------------------------------------------------------- interruptions


def interrupt_after(images):
    def progress(done, _):
        if done >= images:
            raise Interrupted("stop")

    return progress


@pytest.mark.parametrize("after", [256, 512, 600])
def test_an_interrupted_preparation_goes_on_and_ends_the_same(copy, monkeypatch, tmp_path, after):
    """What was done is not decoded again: its files are spoilt meanwhile. One image is missing all along."""
    copy.fill(100).add("gone.png", split="train")
    copy.fill(499, start=100)
    preparation = copy.preparation(8)
    with monkeypatch.context() as patch:
        patch.setenv("BENCH_CACHE", str(tmp_path / "uninterrupted"))
        expected = preparation.prepare()
    with pytest.raises(Interrupted):
        preparation.prepare(interrupt_after(after))
    assert not preparation.folder.exists()
    for row in copy.rows[:after]:
        if row["file"] != "gone.png":
            copy.put(row["file"], b"spoilt since")
    store = preparation.prepare()
    for name in (IMAGES, LABELS):
        assert (store.folder / name).read_bytes() == (expected.folder / name).read_bytes()
    assert store.manifest.fingerprint == expected.manifest.fingerprint
    assert store.manifest.refused == {"images/gone.png": "missing"}
    assert left_behind(preparation) == ["", ".lock"]


@pytest.mark.parametrize("journal", [b"", b"{", b"\xff", b'{"done": 256}'])
def test_a_damaged_journal_means_to_begin_anew(copy, journal):
    preparation = copy.fill(300).preparation(8)
    with pytest.raises(Interrupted):
        preparation.prepare(interrupt_after(256))
    partial = preparation.folder.with_name(preparation.folder.name + ".partial")
    (partial / "journal.json").write_bytes(journal)
    store = preparation.prepare()
    np.testing.assert_array_equal(store.images[0], fitted(picture(0), 8))


def test_a_table_that_changed_meanwhile_means_to_begin_anew(copy):
    preparation = copy.fill(300).preparation(8)
    with pytest.raises(Interrupted):
        preparation.prepare(interrupt_after(256))
    copy.rows.reverse()
    copy.write()
    store = preparation.prepare()
    for row, name in enumerate(store.labels.images[:20].tolist()):
        np.testing.assert_array_equal(store.images[row], fitted(picture(int(Path(name).stem)), 8))


@pytest.mark.parametrize("moment", ["_keep_rows", "write_store"])
def test_a_kill_at_the_very_end_loses_nothing_but_time(copy, monkeypatch, moment):
    copy.fill(30).add("gone.png")
    preparation = copy.fill(10, start=30).preparation()
    whole = getattr(module, moment)

    def killed(*arguments, **options):
        if moment == "_keep_rows":
            whole(*arguments, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(module, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            preparation.prepare()
    assert not preparation.folder.exists()
    store = preparation.prepare()
    for row, name in enumerate(store.labels.images.tolist()):
        np.testing.assert_array_equal(store.images[row], fitted(picture(int(Path(name).stem))))


# -------------------------------------------------------------------------------------------------- at once


def test_threads_that_prepare_at_once_get_one_store(copy):
    preparation = copy.fill(40).preparation()
    decoded = []
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: preparation.prepare(lambda done, total: decoded.append(done)), range(4)))
    assert decoded == [40]
    assert {store.manifest.fingerprint for store in stores} == {stores[0].manifest.fingerprint}
    assert left_behind(preparation) == ["", ".lock"]


def test_processes_that_prepare_at_once_get_one_store(copy):
    preparation = copy.fill(300).preparation(8)
    program = f"""
        from pathlib import Path
        from bench.data.prepare import Preparation
        from bench.specs.dataset import DatasetSpec
        from bench.specs.task import TaskSpec

        dataset = DatasetSpec.model_validate_json('''{preparation.dataset.model_dump_json()}''')
        task = TaskSpec.model_validate_json('''{TASKS["kinds"].model_dump_json()}''')
        made = []
        preparation = Preparation(dataset, {{"kinds": task}}, 8, Path({str(copy.root)!r}))
        store = preparation.prepare(lambda done, total: made.extend([done] * (total > 1)))  # 1: it waits
        print(store.manifest.fingerprint, len(made))
    """
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(program)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate() for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    fingerprints, made = zip(*(out.split() for out, _ in said), strict=True)
    assert len(set(fingerprints)) == 1
    assert sorted(made) == ["0", "2"]  # two chunks, decoded by one of the two
    (store,) = (file for file in preparation.folder.parent.iterdir() if (file / MANIFEST).is_file())
    assert len(open_store(store).labels) == 300
    assert_same_labels(open_store(store).labels, preparation.prepare().labels)


# ----------------------------------------------------------------------------------------------- what attacks found


def test_images_of_another_size_are_refused_however_often_one_asks(copy):
    """What was decoded before an interruption counts too."""
    preparation = copy.fill(8).preparation(expected=expecting(pixels=[30, 24]))
    for _ in range(3):
        with pytest.raises(DataError, match=r"images of 20 x 24 pixels \(8 of 8\), expected 30 x 24"):
            preparation.prepare()


def test_tiny_images_are_told_after_an_interruption_too(copy):
    copy.add("small.png", picture(0, 9, 40))
    preparation = copy.fill(30).preparation()

    def stop(*_):
        raise Interrupted("stop")

    with pytest.raises(Interrupted):
        preparation.prepare(stop)
    assert preparation.prepare().manifest.reading.tiny == {"images/small.png": "40 x 9"}


def test_a_split_that_lost_its_images_is_refused(copy):
    copy.fill(200)
    for i in range(6):
        copy.add(f"gone{i}.png", split="test")
    with pytest.raises(DataError, match=r"6 of 56 test images in .* images/gone0\.png \(missing\)"):
        copy.preparation().prepare()


@pytest.mark.parametrize("spoil", [Path.unlink, lambda file: file.write_bytes(file.read_bytes()[:2000])])
def test_work_that_lost_its_images_begins_anew(copy, spoil):
    copy.add("gone.png")
    preparation = copy.fill(18).preparation()
    with pytest.raises(DataError, match="1 of 19 images"):
        preparation.prepare()
    spoil(preparation.folder.with_name(preparation.folder.name + ".partial") / IMAGES)
    copy.put("gone.png", picture(5))
    store = preparation.prepare()
    for row, name in enumerate(store.labels.images):
        seed = 5 if "gone" in name else int(Path(name).stem)
        np.testing.assert_array_equal(store.images[row], fitted(picture(seed)))


@pytest.mark.parametrize("content", ["[]", "null", "3", '"x"'])
def test_a_journal_of_another_kind_means_to_begin_anew(copy, content):
    copy.add("gone.png")
    preparation = copy.fill(18).preparation()
    with pytest.raises(DataError, match="1 of 19 images"):
        preparation.prepare()
    (preparation.folder.with_name(preparation.folder.name + ".partial") / module.JOURNAL).write_text(content)
    copy.put("gone.png", picture(5))
    assert len(preparation.prepare().labels) == 19


def test_an_empty_split_is_told_before_anything_is_decoded(copy):
    copy.add("a.png", picture(0))
    calls = []
    with pytest.raises(DataError, match="no image is left in the validation and the test split"):
        copy.preparation().prepare(lambda *done: calls.append(done))
    assert calls == []


def test_what_stands_in_a_store_decides_where_it_stands(copy):
    """Crops, the order of labels, and the copy itself make other stores."""
    copy.fill(8).write()
    first = copy.preparation()
    turned = TASKS["kinds"].model_copy(update={"labels": ("dog", "cat")})
    crop = Crop(by="box", absent="whole")
    others = [
        Preparation(first.dataset.model_copy(update={"crop": crop}), TASKS, SIZE, copy.root),
        Preparation(first.dataset, TASKS | {"kinds": turned}, SIZE, copy.root),
        Preparation(first.dataset, TASKS, SIZE, Path(f"{copy.root}/../{copy.root.name}")),
    ]
    assert len({first.folder, *(other.folder for other in others)}) == 4


def test_one_file_is_one_image_however_it_is_spelt(copy):
    copy.fill(8)
    copy.add("./0000.png", split="test")
    with pytest.raises(DataError, match=r"the image images/0000\.png has more than one row"):
        copy.preparation().prepare()


def test_rows_without_a_group_are_no_group(copy):
    for i, split in enumerate(["train", "val", "test", "train", "test", "train"]):
        copy.add(f"{i}.png", picture(i), split=split, owner=["a", "", "", "", "b", "a"][i])
    layout = {"name": "csv", "split": "split", "group": "owner"}
    copy.preparation(layout=layout, expected=expecting(disjoint_groups=True, groups=2)).prepare()
    with pytest.raises(DataError, match=r"has no group, and `least_per_group` counts groups"):
        copy.preparation(layout=layout, splits=OFFICIAL | {"least_per_group": 2}).prepare()
