"""From files to pixels: crops, films, Parquet files, many processes, and files that are not what they seem."""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import zlib

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from bench.data import decode as module
from bench.data.decode import CHUNK, LEAST_FOR_PROCESSES, TEMPLATE, Sources, Target, decode
from bench.data.labels import Names
from bench.errors import InfrastructureError
from bench.specs.dataset import Crop

from .samples import picture

SIZE = 16


def decoded(root, names, *, rows=None, size=SIZE, **sources):
    """Pixels of all rows, what was refused by name, and everything else that was told."""
    for key in ("files", "items", "places"):
        if sources.get(key) is not None:
            sources[key] = (
                Names(sources[key])
                if key == "files"
                else np.asarray(sources[key], np.int32 if key == "items" else np.float32)
            )
    file = root.parent / "pixels.npy"
    np.save(file, np.zeros((len(names), size, size, 3), np.uint8))
    target = Target(file, np.load(file, mmap_mode="r").offset, size)
    found = Sources(root, Names(names), **sources)
    pieces = list(decode(found, range(len(names)) if rows is None else rows, target))
    refused = {names[row]: why for piece in pieces for row, why in piece.refused.items()}
    return np.load(file), refused, pieces


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    return folder


# -------------------------------------------------------------------------------------------------- crops


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    box=st.tuples(st.integers(-10, 50), st.integers(-10, 40), st.integers(6, 60), st.integers(6, 60)),
    margin=st.sampled_from([0.0, 0.25, 1.0]),
    kind=st.sampled_from(["png", "jpg"]),
)
def test_a_box_is_made_square_and_widened_and_black_lies_around_the_image(root, box, margin, kind):
    pixels = np.full((60, 80, 3), 200, np.uint8)
    Image.fromarray(pixels).save(root / f"x.{kind}", quality=95)
    x, y, width, height = box
    side = max(width, height) * (1 + 2 * margin)
    left, top = x + width / 2 - side / 2, y + height / 2 - side / 2
    found, refused, _ = decoded(root, [f"x.{kind}"], crop=Crop(by="box", margin=margin), places=[box])
    if left + side <= 0.5 or top + side <= 0.5 or left >= 79.5 or top >= 59.5:
        assert refused == {f"x.{kind}": "its box lies outside the image"}
        return
    assert refused == {}
    # Where a pixel's centre comes from, by geometry alone; pixels within one step of the border may be either.
    step = side / SIZE
    for row, column in np.ndindex(SIZE, SIZE):
        place = np.array([left + (column + 0.5) * step, top + (row + 0.5) * step])
        inside = np.minimum(place, np.array([80, 60]) - place).min()
        if inside > 2.5 * step + 1:
            assert abs(int(found[0, row, column, 0]) - 200) < 12
        elif inside < -2.5 * step - 1:
            assert found[0, row, column, 0] < 12


@pytest.mark.parametrize("kind", ["png", "jpg"])
@pytest.mark.parametrize(("angle", "scale"), [(0, 1), (0.4, 1), (-1.2, 3), (3.1, 6)])
def test_five_points_are_brought_to_their_places(root, kind, angle, scale):
    """Discs at the points of a turned and scaled face appear at the template's places."""
    size, offset = 96, 40 * scale + 30j * scale
    template = TEMPLATE[:, 0] + 1j * TEMPLATE[:, 1]
    points = (template - 0.5 - 0.5j) * 60 * scale * np.exp(1j * angle) + 50 * scale + offset
    image = Image.new("RGB", (180 * scale, 160 * scale), (30, 30, 30))
    pen = ImageDraw.Draw(image)
    for point in points:
        pen.ellipse(
            [point.real - 3 * scale, point.imag - 3 * scale, point.real + 3 * scale, point.imag + 3 * scale], "white"
        )
    image.save(root / f"x.{kind}", quality=95)
    place = np.stack([points.real, points.imag], 1).reshape(-1)
    found, refused, _ = decoded(root, [f"x.{kind}"], size=size, crop=Crop(by="points"), places=[place])
    assert refused == {}
    bright = found[0, :, :, 0].astype(float)
    for x, y in TEMPLATE * size:
        rows, columns = np.ogrid[:size, :size]
        near = (rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2 < 9**2
        weight = np.where(near & (bright > 120), bright, 0)
        assert weight.sum() > 0
        centre = ((weight * (columns + 0.5)).sum() / weight.sum(), (weight * (rows + 0.5)).sum() / weight.sum())
        np.testing.assert_allclose(centre, (x, y), atol=1.0)


def test_a_margin_shows_more_around_a_face(root):
    image = Image.new("RGB", (200, 200))
    ImageDraw.Draw(image).rectangle([50, 50, 149, 149], "white")
    image.save(root / "x.png")
    place = (TEMPLATE * 100 + 50).reshape(-1)
    close, _, _ = decoded(root, ["x.png"], size=40, crop=Crop(by="points"), places=[place])
    wide, _, _ = decoded(root, ["x.png"], size=40, crop=Crop(by="points", margin=0.5), places=[place])
    assert (close[0] > 128).mean() > 0.97
    assert abs((wide[0] > 128).mean() - 0.25) < 0.03


NAN = float("nan")


@pytest.mark.parametrize("by", ["box", "points"])
def test_an_image_without_a_place_is_refused_or_used_whole(root, by):
    Image.fromarray(picture(1, 30, 40)).save(root / "x.png")
    places = [[NAN] * (4 if by == "box" else 10)]
    _, refused, _ = decoded(root, ["x.png"], crop=Crop(by=by), places=places)
    assert refused == {"x.png": f"no {by}"}
    whole, _, _ = decoded(root, ["x.png"])
    for given_places in (places, None):
        found, refused, _ = decoded(root, ["x.png"], crop=Crop(by=by, absent="whole"), places=given_places)
        assert refused == {}
        np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize("box", [(0, 0, -3, 10), (0, 0, 0, 0), (5, 5, 1e9, 10), (500, 5, 10, 10), (5, 5, 0.5, 0.5)])
def test_boxes_that_make_no_sense_are_refused(root, box):
    Image.fromarray(picture(1, 30, 40)).save(root / "x.png")
    found, refused, _ = decoded(root, ["x.png"], crop=Crop(by="box"), places=[box])
    assert refused.keys() == {"x.png"}
    assert not found.any()


# -------------------------------------------------------------------------------------------------- films


def write_film(file, frames, *, codec="mpeg4"):
    """A film whose frame t has the grey level 8 * t."""
    with av.open(str(file), "w") as container:
        stream = container.add_stream(codec, rate=20)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for t in range(frames):
            pixels = np.full((48, 64, 3), 8 * t, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize("kind", ["avi", "mp4", "mkv"])
def test_frames_of_films_stand_where_their_numbers_say(root, kind):
    write_film(root / f"a.{kind}", 30)
    write_film(root / f"b.{kind}", 12)
    items = [*range(0, 30, 3), *range(12), 5]
    files = [f"a.{kind}"] * 10 + [f"b.{kind}"] * 13
    names = [f"{file}#{i}" for i, file in enumerate(files)]
    found, refused, pieces = decoded(root, names, files=files, items=items)
    assert refused == {}
    assert [len(piece.rows) for piece in pieces] == [10, 13]  # a film is decoded once
    np.testing.assert_allclose(found.mean((1, 2, 3)), [8 * item for item in items], atol=4)


def test_frames_in_any_order_and_beyond_the_end(root):
    write_film(root / "a.avi", 10)
    items = [9, 2, 10, 2, 400]
    names = [f"n{i}" for i in range(5)]
    found, refused, _ = decoded(root, names, files=["a.avi"] * 5, items=items)
    assert refused == {"n2": "missing: the film has 10 frames", "n4": "missing: the film has 10 frames"}
    np.testing.assert_allclose(found[[0, 1, 3]].mean((1, 2, 3)), [72, 16, 16], atol=4)


def test_broken_and_missing_films_are_refused_by_name(root, tmp_path):
    write_film(root / "whole.avi", 10)
    content = (root / "whole.avi").read_bytes()
    (root / "cut.avi").write_bytes(content[: len(content) // 2])
    (root / "text.avi").write_bytes(b"no film at all, only text")
    (root / "empty.mp4").write_bytes(b"")
    (root / "list.avi").write_text(f"#EXTM3U\n#EXTINF:1,\nfile://{tmp_path}/secret.avi\n")
    write_film(tmp_path / "secret.avi", 10)
    (root / "link.avi").symlink_to(tmp_path / "secret.avi")
    files = ["text.avi", "empty.mp4", "list.avi", "link.avi", "gone.avi", "cut.avi"]
    found, refused, _ = decoded(root, files, files=files, items=[0, 0, 0, 0, 0, 9])
    assert refused["link.avi"] == "outside the copy"
    assert refused["gone.avi"] == "missing"
    assert all(refused[name].startswith("unreadable") for name in ("text.avi", "empty.mp4", "list.avi"))
    assert refused["cut.avi"].startswith(("unreadable", "missing: the film has"))
    assert not found.any()


# -------------------------------------------------------------------------------------------------- Parquet


def encoded(image, kind="PNG"):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize("nested", [True, False])
def test_rows_of_parquet_files(root, nested):
    pictures = [picture(i) for i in range(10)]
    cells = [encoded(p) for p in pictures]
    cells[4], cells[7] = b"spoilt", None
    column = [{"bytes": cell, "path": "x"} for cell in cells] if nested else cells
    pq.write_table(pa.table({"photo": column, "other": list(range(10))}), root / "a.parquet", row_group_size=3)
    items = [9, 0, 4, 7, 3, 12]
    names = [f"n{i}" for i in range(6)]
    found, refused, _ = decoded(root, names, files=["a.parquet"] * 6, items=items, column="photo")
    assert refused == {
        "n2": "unreadable: UnidentifiedImageError",
        "n3": "missing: the row holds no image",
        "n5": "missing: the file has 10 rows",
    }
    for place in (0, 1, 4):
        Image.fromarray(pictures[items[place]]).save(root / "x.png")
        whole, _, _ = decoded(root, ["x.png"])
        np.testing.assert_array_equal(found[place], whole[0])


def test_broken_parquet_files_are_refused(root):
    (root / "a.parquet").write_bytes(b"PAR1 no more")
    pq.write_table(pa.table({"label": [1, 2]}), root / "b.parquet")
    files = ["a.parquet", "b.parquet", "c.parquet"]
    _, refused, _ = decoded(root, files, files=files, items=[0, 0, 0])
    assert refused["a.parquet"].startswith("unreadable") and refused["b.parquet"].startswith("unreadable")
    assert refused["c.parquet"] == "missing"


# -------------------------------------------------------------------------------------------------- processes


def test_many_processes_give_the_same_pixels_and_tell_the_same(root, monkeypatch):
    count = LEAST_FOR_PROCESSES + 90
    for i in range(40):
        Image.fromarray(picture(i, 20 + i, 30)).save(root / f"{i}.jpg", quality=90)
    Image.fromarray(picture(9, 9, 9)).save(root / "3.jpg")
    (root / "7.jpg").write_bytes(b"spoilt")
    for i in range(40, count):
        os.link(root / f"{i % 40}.jpg", root / f"{i}.jpg")
    names = [f"{i}.jpg" for i in range(count)]
    monkeypatch.setattr(module, "cores", lambda: 2)
    found, refused, pieces = decoded(root, names)
    assert [row for piece in pieces for row in piece.rows] == list(range(count))
    assert max(len(piece.rows) for piece in pieces) == CHUNK
    assert refused == {name: "unreadable: UnidentifiedImageError" for name in names if int(name[:-4]) % 40 == 7}
    assert sorted(row for piece in pieces for row in piece.tiny) == [i for i in range(count) if i % 40 == 3]
    monkeypatch.setattr(module, "cores", lambda: 1)
    alone, refused_alone, pieces_alone = decoded(root, names)
    np.testing.assert_array_equal(found, alone)
    assert refused_alone == refused
    assert sum((piece.sizes for piece in pieces), start=type(pieces[0].sizes)()) == sum(
        (piece.sizes for piece in pieces_alone), start=type(pieces[0].sizes)()
    )
    for row in (0, 3, 39):
        np.testing.assert_array_equal(found[row], found[row + 40])


def _workers():
    """Process ids of joblib's workers that this process has started."""
    found = subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "loky"], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of joblib, about the dead workers
def test_a_killed_process_is_told_as_what_it_is(root, monkeypatch):
    count = 60 * CHUNK
    Image.fromarray(picture(0, 200, 200)).save(root / "x.png")
    monkeypatch.setattr(module, "cores", lambda: 2)
    np.save(root.parent / "pixels.npy", np.zeros((count, SIZE, SIZE, 3), np.uint8))
    sources = Sources(root, Names(["x.png"] * count))
    pieces = decode(sources, range(count), Target(root.parent / "pixels.npy", 128, SIZE))
    next(pieces)
    assert _workers()
    for worker in _workers():
        os.kill(worker, signal.SIGKILL)
    with pytest.raises(InfrastructureError, match="a process that decodes images was killed"):
        list(pieces)


def test_rows_may_be_decoded_in_any_order(root):
    for i in range(6):
        Image.fromarray(picture(i)).save(root / f"{i}.png")
    names = [f"{i}.png" for i in range(6)]
    whole, _, _ = decoded(root, names)
    some, _, _ = decoded(root, names, rows=[4, 1, 2])
    np.testing.assert_array_equal(some[[4, 1, 2]], whole[[4, 1, 2]])
    assert not some[[0, 3, 5]].any()


def test_a_full_disk_is_an_error_of_the_disk(root):
    Image.fromarray(picture(0)).save(root / "x.png")
    sources = Sources(root, Names(["x.png"]))
    with pytest.raises(OSError, match="No space left on device"):
        list(decode(sources, [0], Target(root.parent / "full", 0, SIZE)))


@pytest.fixture(autouse=True)
def full_disk(tmp_path):
    (tmp_path / "full").symlink_to("/dev/full")


# -------------------------------------------------------------------------------------------------- bad files


def claiming(width, height):
    """A PNG file of 60 bytes that says it is of any size."""

    def part(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", zlib.compress(b"")) + part(b"IEND", b"")


def test_small_files_that_claim_to_be_huge_are_refused(root):
    (root / "bomb.png").write_bytes(claiming(60_000, 60_000))
    jpeg = bytearray(encoded(picture(0), "JPEG"))
    place = jpeg.index(b"\xff\xc0") + 5
    jpeg[place : place + 4] = struct.pack(">HH", 65_000, 65_000)
    (root / "bomb.jpg").write_bytes(jpeg)
    _, refused, _ = decoded(root, ["bomb.png", "bomb.jpg"])
    assert refused.keys() == {"bomb.png", "bomb.jpg"}
    assert all(why.startswith("unreadable") for why in refused.values())


def test_pipes_folders_and_devices_are_not_read(root):
    os.mkfifo(root / "pipe.jpg")
    (root / "folder.jpg").mkdir()
    (root / "device.jpg").symlink_to("/dev/zero")
    _, refused, _ = decoded(root, ["pipe.jpg", "folder.jpg", "device.jpg"])
    assert refused == {
        "pipe.jpg": "unreadable: not a file",
        "folder.jpg": "unreadable: not a file",
        "device.jpg": "outside the copy",
    }


def test_links_within_the_copy_are_followed(root):
    (root / "real").mkdir()
    Image.fromarray(picture(0)).save(root / "real" / "x.png")
    (root / "link.png").symlink_to("real/x.png")
    (root / "folder").symlink_to("real")
    found, refused, _ = decoded(root, ["link.png", "folder/x.png", "real/x.png"])
    assert refused == {}
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_array_equal(found[1], found[2])


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["JPEG", "PNG", "GIF", "BMP"]),
    cut=st.floats(0, 1),
    spoilt=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
)
def test_damaged_images_are_decoded_or_refused(root, kind, cut, spoilt):
    content = bytearray(encoded(picture(3, 40, 50), kind))
    for place, value in spoilt:
        content[int(place * (len(content) - 1))] = value
    (root / "x.img").write_bytes(content[: int(cut * len(content)) + 1])
    found, refused, _ = decoded(root, ["x.img"])
    assert found.any() or refused.keys() == {"x.img"}


# -------------------------------------------------------------------------------------------------- exactly in place


@pytest.mark.parametrize("shape", [(425, 1425), (1001, 1801), (99, 3000), (41, 2000), (178, 218)])
@pytest.mark.parametrize("size", [16, 32])
@pytest.mark.parametrize("by", ["box", "points"])
def test_crops_of_scaled_jpegs_lie_where_those_of_other_files_do(root, shape, size, by):
    """JPEG files are decoded at eighths of their size, and sizes rounded up: what is shown must not move."""
    width, height = shape
    ramp = np.zeros((height, width, 3), np.uint8)
    ramp[..., 0] = np.linspace(0, 255, width)[None]
    ramp[..., 1] = np.linspace(0, 255, height)[:, None]
    image = Image.fromarray(ramp)
    image.save(root / "x.png")
    image.save(root / "x.jpg", quality=98, subsampling=0)
    side = min(width, height) * 0.9
    left, top = width * 0.97 - side, height * 0.97 - side
    place = [left, top, side, side] if by == "box" else (TEMPLATE * side + [left, top]).reshape(-1)
    found, refused, _ = decoded(root, ["x.png", "x.jpg"], size=size, crop=Crop(by=by), places=[place, place])
    assert refused == {}
    steps = np.array([255 / width, 255 / height]) * side / size  # grey levels of one pixel of the result
    apart = np.abs(found[0, ..., :2].astype(float) - found[1, ..., :2]).mean((0, 1))
    assert (apart <= 0.35 * steps + 2).all()


@pytest.mark.parametrize("kind", ["jpg", "png"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_those_of_the_stored_image_and_what_they_show_is_turned(root, kind, orientation):
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[:20, :10] = (255, 0, 0)
    pixels[:20, 10:20] = (0, 0, 255)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(
        root / f"x.{kind}", exif=exif, **({"quality": 98, "subsampling": 0} if kind == "jpg" else {})
    )
    found, refused, _ = decoded(root, [f"x.{kind}"], crop=Crop(by="box"), places=[(0, 0, 20, 20)])
    assert refused == {}
    turned = {1: 0, 2: 0, 3: 0, 4: 0, 5: 1, 6: 1, 7: 1, 8: 1}[orientation]
    shown = found[0].astype(int)
    halves = (shown[:8], shown[8:]) if turned else (shown[:, :8], shown[:, 8:])
    reds = [half[..., 0].mean() - half[..., 2].mean() for half in halves]
    first_is_red = orientation in (1, 4, 5, 6)
    assert (reds[0] > 100) == first_is_red and (reds[1] < -100) == first_is_red
    assert abs(reds[0]) > 100 and abs(reds[1]) > 100


def test_nothing_to_decode_is_no_error(root):
    write_film(root / "a.avi", 3)
    _, refused, pieces = decoded(root, ["a"], rows=[], files=["a.avi"], items=[0])
    assert (refused, pieces) == ({}, [])
