"""From files as they are shipped to uint8 pixels of one size: photographs, frames of films, rows of Parquet files.

JPEG files, nearly all that there is, are decoded by libjpeg-turbo (simplejpeg) at the smallest of its scales that is
still large enough, and whole ones brought to size by OpenCV, which is several times faster at it than Pillow;
everything else is Pillow's, films are PyAV's. Large copies are decoded by one process a core; each
writes its pixels itself, so that no image passes through another process and memory does not grow with the copy.
"""

from __future__ import annotations

import errno
import io
import math
import os
import signal
import stat
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from multiprocessing import parent_process
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pyarrow.parquet as pq
import simplejpeg
from joblib import Parallel, delayed
from joblib.externals.loky.process_executor import TerminatedWorkerError
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError
from pyarrow import ArrowException

from bench.data.labels import Names
from bench.errors import InfrastructureError, is_infrastructure
from bench.specs.dataset import Crop

CHUNK = 256
"""Images that are decoded, written and noted as done together; a film is one such piece as a whole."""
LEAST_FOR_PROCESSES = 4 * CHUNK
"""Below this many images threads are used: processes take longer to start than they save."""
MOST_PIXELS = 2 * 89_478_485
"""Larger images are refused, as Pillow does: a small file can claim to be terabytes."""
MOST_FOR_CUBIC = 1.5
"""Shrinking by more than this, cubic curves would jump over pixels."""
TINY = 16
"""Images whose shorter side has fewer pixels are told of."""
MOST_BYTES = 1 << 28
"""Larger image files are refused."""
FILMS = {".avi": "avi", ".mp4": "mov", ".mov": "mov", ".m4v": "mov", ".mkv": "matroska", ".webm": "matroska"}
"""Endings of films and the FFmpeg format they are read as; left to itself, FFmpeg follows playlists out of the copy."""
PARQUET = ".parquet"

TEMPLATE = np.array([(0.33, 0.42), (0.67, 0.42), (0.5, 0.6), (0.37, 0.78), (0.63, 0.78)])
"""Where the five points of a face are brought to, as parts of the side: eyes, tip of the nose, corners of the mouth."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""How an image is turned upright, by its EXIF orientation."""
_WIDE = ("I", "F")  # modes of 16 and 32 bits a pixel, which PIL does not scale to 8 bits but cuts off at 255
_UNREADABLE = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,  # an exception where warnings are errors
    OSError,
    SyntaxError,
    ValueError,
)


class _Refused(Exception):
    """Why an image cannot be used."""


@dataclass(frozen=True)
class Sources:
    """Where the pixels of n images are.

    `names`: the images; `files`: the file of each under `root`, where that is another; `items`: int32 [n], which frame
    or row of it, -1 where the file is one image. `crop` says what is taken of each image, by `places`: float32 [n, 4]
    boxes (x, y, width, height) or [n, 10] points (x, y of five), in pixels of the whole image; NaN where there is none.
    `column` holds the encoded images of Parquet files.
    """

    root: Path
    names: Names
    files: Names | None = None
    items: NDArray[np.int32] | None = None
    crop: Crop | None = None
    places: NDArray[np.float32] | None = None
    column: str = "image"

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True)
class Target:
    """An .npy file of uint8 [n, size, size, 3] that stands complete on disk, and where its first image begins."""

    file: Path
    offset: int
    size: int


@dataclass
class Decoded:
    """What became of some rows: those refused with the reason, and how large the images were before (width, height);
    `tiny` are those whose shorter side was less than `TINY` pixels."""

    rows: list[int]
    refused: dict[int, str] = field(default_factory=dict)
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    tiny: dict[int, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Piece:
    """Some rows, with all that a worker needs of them."""

    rows: list[int]
    files: list[str]
    items: list[int] | None
    places: NDArray[np.float32] | None


def decode(sources: Sources, rows: Sequence[int], target: Target) -> Generator[Decoded]:
    """Decode some rows into the target, piece by piece in the order given.

    Raises `OSError` where the disk is at fault and `InfrastructureError` where a worker process was killed.
    """
    pieces = list(_pieces(sources, rows))
    if not pieces:
        return
    workers = cores()
    work = _Work(sources.root, sources.crop, sources.column, target)
    if workers == 1 or len(pieces) == 1 or (sources.items is None and len(rows) < LEAST_FOR_PROCESSES):
        with ThreadPoolExecutor(workers) as pool:
            for piece in pieces:
                yield work.done(piece, pool)
        return
    results = Parallel(
        n_jobs=min(workers, len(pieces)), return_as="generator", pre_dispatch="2*n_jobs", batch_size=1, max_nbytes=None
    )(delayed(work.done)(piece) for piece in pieces)
    try:
        with warnings.catch_warnings():  # joblib warns of tasks that nobody waits for any more
            warnings.simplefilter("ignore", UserWarning)
            yield from results
    except TerminatedWorkerError as error:
        raise InfrastructureError(
            "a process that decodes images was killed", hint="memory may have run out; start again to go on"
        ) from error


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pieces(sources: Sources, rows: Sequence[int]) -> Iterator[_Piece]:
    """Rows in pieces of one kind: of films and Parquet files those of one file, as far as they stand together.

    A film stays whole, as its frames are decoded from the first on; of a Parquet file many rows are taken at a time, so
    that few of its row groups are read twice.
    """
    files = sources.files or sources.names
    start = 0
    while start < len(rows):
        kind = _kind(files[rows[start]])
        most = {"image": CHUNK, "film": len(rows), "parquet": 16 * CHUNK}[kind]
        chosen: list[int] = []
        names: list[str] = []
        while len(chosen) < most and start + len(chosen) < len(rows):
            ahead = list(rows[start + len(chosen) : start + len(chosen) + min(CHUNK, most - len(chosen))])
            found = files[np.array(ahead)].tolist()
            first = names[0] if names else found[0]
            fits = [_kind(name) == "image" if kind == "image" else name == first for name in found]
            length = fits.index(False) if False in fits else len(fits)
            chosen, names = chosen + ahead[:length], names + found[:length]
            if length < len(found):
                break
        yield _Piece(
            chosen,
            names,
            None if sources.items is None else sources.items[chosen].tolist(),
            None if sources.places is None else sources.places[chosen],
        )
        start += len(chosen)


def _kind(file: str) -> str:
    ending = os.path.splitext(file)[1].lower()  # noqa: PTH122 - called for every image
    return "film" if ending in FILMS else "parquet" if ending == PARQUET else "image"


@dataclass(frozen=True)
class _Work:
    """What a worker does with a piece; small enough to be sent to it."""

    root: Path
    crop: Crop | None
    column: str
    target: Target

    def done(self, piece: _Piece, pool: ThreadPoolExecutor | None = None) -> Decoded:
        if pool is None and threading.current_thread() is threading.main_thread() and parent_process() is not None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the first one decides
        cv2.setNumThreads(1)  # the pieces are what runs side by side
        kind = _kind(piece.files[0])
        result = Decoded(piece.rows)
        writer = _Writer(self.target)
        try:
            if kind == "image":
                each = pool.map if pool is not None else map
                found_images = each(lambda i: self._image(piece, i), range(len(piece.rows)))
                for row, found in zip(piece.rows, found_images, strict=True):
                    self._take(found, row, result, writer)
            else:
                found_items = self._film(piece) if kind == "film" else self._parquet(piece)
                for i, found in found_items:
                    self._take(found, piece.rows[i], result, writer)
            writer.flush()
        finally:
            writer.close()
        return result

    def _take(self, found: _Picture | str, row: int, result: Decoded, writer: _Writer) -> None:
        if isinstance(found, str):
            result.refused[row] = found
        else:
            result.sizes[found.whole] += 1
            if min(found.whole) < TINY:
                result.tiny[row] = found.whole
            writer.write(row, found.pixels)

    def _image(self, piece: _Piece, i: int) -> _Picture | str:
        return self._attempt(lambda: self._encoded(_read(self.root, piece.files[i]), self._view(piece, i)))

    def _attempt(self, action: Callable[[], _Picture]) -> _Picture | str:
        """What the action gives, or why the image is refused; a failing disk is no fault of the image."""
        try:
            return action()
        except _Refused as error:
            return str(error)
        except FileNotFoundError:
            return "missing"
        except _UNREADABLE as error:
            if is_infrastructure(error):
                raise
            return f"unreadable: {type(error).__name__}"

    def _view(self, piece: _Piece, i: int) -> View:
        return View(self.target.size, self.crop, None if piece.places is None else piece.places[i])

    def _encoded(self, data: bytes, view: View) -> _Picture:
        return _from_jpeg(data, view) or _from_any(data, view)

    def _film(self, piece: _Piece) -> Iterator[tuple[int, _Picture | str]]:
        """The wanted frames of one film, decoded from the first on: seeking is not exact in many films."""
        import av

        assert piece.items is not None
        wanted = sorted(range(len(piece.rows)), key=piece.items.__getitem__)
        left = iter(wanted)
        i = next(left, None)
        number, reason = -1, ""
        try:
            kind = FILMS[Path(piece.files[0]).suffix.lower()]
            with _opened(self.root, piece.files[0]) as stream, av.open(stream, mode="r", format=kind) as container:
                film = container.streams.video[0]
                film.thread_type = "AUTO"
                for number, frame in enumerate(container.decode(film)):
                    while i is not None and piece.items[i] == number:
                        image = Image.fromarray(frame.to_ndarray(format="rgb24"))
                        view = self._view(piece, i)
                        yield i, self._attempt(partial(view.of, image, image.size))
                        i = next(left, None)
                    if i is None:
                        return
        except _Refused as error:
            reason = str(error)
        except FileNotFoundError:
            reason = "missing"
        except (av.FFmpegError, OSError, ValueError, IndexError) as error:
            if is_infrastructure(error):
                raise
            reason = f"unreadable: {type(error).__name__} after {number + 1} frames"
        while i is not None:
            yield i, reason or f"missing: the film has {number + 1} frames"
            i = next(left, None)

    def _parquet(self, piece: _Piece) -> Iterator[tuple[int, _Picture | str]]:
        """Encoded images of one Parquet file; only the row groups that hold them are read."""
        assert piece.items is not None
        try:
            with _opened(self.root, piece.files[0]) as stream, pq.ParquetFile(stream) as file:
                if self.column not in file.schema_arrow.names:
                    raise _Refused(f"unreadable: no column '{self.column}'")
                yield from self._rows_of(file, piece, piece.items)
        except (_Refused, FileNotFoundError, ArrowException, OSError) as error:
            if is_infrastructure(error):
                raise
            reason = {_Refused: str(error), FileNotFoundError: "missing"}.get(type(error), f"unreadable: {error}")[:200]
            for i in range(len(piece.rows)):
                yield i, reason

    def _rows_of(self, file: pq.ParquetFile, piece: _Piece, items: list[int]) -> Iterator[tuple[int, _Picture | str]]:
        first = 0
        done: set[int] = set()
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            chosen = [i for i, item in enumerate(items) if first <= item < first + count]
            if chosen:
                column = file.read_row_group(group, columns=[self.column])[self.column]
                for i in chosen:
                    cell = column[items[i] - first].as_py()
                    data = cell.get("bytes") if isinstance(cell, dict) else cell
                    view = self._view(piece, i)
                    done.add(i)
                    if isinstance(data, bytes):
                        yield i, self._attempt(partial(self._encoded, data, view))
                    else:
                        yield i, "missing: the row holds no image"
            first += count
        for i in set(range(len(items))) - done:
            yield i, f"missing: the file has {first} rows"


class _Writer:
    """Writes pixels at their rows; neighbouring rows go out together. A full disk is an `OSError`."""

    def __init__(self, target: Target) -> None:
        self._offset, self._bytes = target.offset, target.size * target.size * 3
        self._file = os.open(target.file, os.O_WRONLY)
        self._first = 0
        self._waiting: list[NDArray[np.uint8]] = []

    def write(self, row: int, pixels: NDArray[np.uint8]) -> None:
        if self._waiting and (row != self._first + len(self._waiting) or len(self._waiting) >= CHUNK):
            self.flush()
        if not self._waiting:
            self._first = row
        self._waiting.append(pixels)

    def flush(self) -> None:
        if not self._waiting:
            return
        data = np.stack(self._waiting).reshape(-1).data
        place = self._offset + self._first * self._bytes
        self._waiting = []
        while data:
            written = os.pwrite(self._file, data, place)
            if written == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            place, data = place + written, data[written:]

    def close(self) -> None:
        os.close(self._file)


class _Picture(NamedTuple):
    pixels: NDArray[np.uint8]
    whole: tuple[int, int]


@dataclass(frozen=True)
class View:
    """Which part of an image is shown in a square of `size` pixels a side: by `crop` and the image's box or points."""

    size: int
    crop: Crop | None = None
    place: NDArray[np.float32] | None = None

    def least(self, whole: tuple[int, int]) -> tuple[int, int]:
        """The smallest width and height at which the image may be decoded without loss to what is shown."""
        if self.crop is None:
            return self.size, self.size
        side = abs(self._square()[1]) if self._given else min(whole)
        scale = min(self.size / max(side, 1e-9), 1.0)
        return max(math.ceil(whole[0] * scale), 1), max(math.ceil(whole[1] * scale), 1)

    def of(self, image: Image.Image, whole: tuple[int, int]) -> _Picture:
        """What is shown of an RGB image whose size before it was scaled was `whole`."""
        if self.crop is None:
            return _Picture(self._centre(image), whole)
        if not self._given:
            if self.crop.absent == "refuse":
                raise _Refused(f"no {'box' if self.crop.by == 'box' else 'points'}")
            return _Picture(self._centre(image), whole)
        size = (self.size, self.size)
        scale = _scale_of(image.size, whole)
        corner, along = self._square()
        if abs(along) < 2 or abs(along) > 8 * max(whole):
            raise _Refused(f"a face {abs(along):.0f} pixels wide in an image of {whole[0]} x {whole[1]}")
        if self.crop.by == "box":
            left, top, side = corner.real * scale, corner.imag * scale, along.real * scale
            x, y = math.floor(left), math.floor(top)
            right, bottom = math.ceil(left + side), math.ceil(top + side)
            if right <= 0 or bottom <= 0 or x >= image.width or y >= image.height:
                raise _Refused("its box lies outside the image")
            part = image.crop((x, y, right, bottom))  # black where there is no image
            inner = (left - x, top - y, left - x + side, top - y + side)
            return _Picture(np.asarray(part.resize(size, Image.Resampling.BICUBIC, box=inner)), whole)
        step = along * scale / self.size  # complex: one pixel to the right in the result
        factor = max(int(abs(step)), 1)
        if factor > 1:
            image = image.reduce(factor)  # bicubic looks at 4 pixels a side; more would be jumped over
        step, origin = step / factor, corner * scale / factor
        data = (step.real, -step.imag, origin.real, step.imag, step.real, origin.imag)
        shown = image.transform(size, Image.Transform.AFFINE, data, Image.Resampling.BICUBIC)
        return _Picture(np.asarray(shown), whole)

    @property
    def _given(self) -> bool:
        if self.crop is None or self.place is None or not np.isfinite(self.place).all():
            return False
        return self.crop.by == "points" or bool((self.place[2:] > 0).all())

    def _centre(self, image: Image.Image) -> NDArray[np.uint8]:
        """The largest square in the middle."""
        side = min(image.size)
        left, top = (image.width - side) / 2, (image.height - side) / 2
        box = (left, top, left + side, top + side)
        return np.asarray(image.resize((self.size, self.size), Image.Resampling.BICUBIC, box=box))

    def _square(self) -> tuple[complex, complex]:
        """Upper left corner of the square that is shown, and its upper side, as complex numbers x + iy."""
        assert self.crop is not None and self.place is not None
        margin = 1 + 2 * self.crop.margin
        if self.crop.by == "box":
            x, y, width, height = (float(value) for value in self.place)
            side = max(width, height) * margin
            return complex(x + width / 2 - side / 2, y + height / 2 - side / 2), complex(side)
        # Least squares for the similarity that takes the template to the points: z = a t + b, over complex numbers.
        template = (TEMPLATE - 0.5) / margin + 0.5
        t = template[:, 0] + 1j * template[:, 1]
        z = self.place[0::2].astype(np.float64) + 1j * self.place[1::2].astype(np.float64)
        centred = t - t.mean()
        a = complex((np.conj(centred) * (z - z.mean())).sum() / (np.abs(centred) ** 2).sum())
        return complex(z.mean() - a * t.mean()), a


def _scale_of(size: tuple[int, int], whole: tuple[int, int]) -> float:
    """By what an image was scaled when it was decoded: JPEG allows eighths, and rounds sizes up."""
    for eighths in range(8, 0, -1):
        if size == (-(-whole[0] * eighths // 8), -(-whole[1] * eighths // 8)):
            return eighths / 8
    return size[0] / whole[0]


def _from_jpeg(data: bytes, view: View) -> _Picture | None:
    """By libjpeg-turbo; None where that is not for it: no JPEG, turned by its EXIF part, four colours, or broken."""
    if data[:3] != b"\xff\xd8\xff":
        return None
    try:
        if b"Exif\x00\x00" in data[:65_536] and _is_turned(data):
            return None
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        if space not in ("YCbCr", "Gray", "RGB") or height * width > MOST_PIXELS:
            return None
        least = view.least((width, height))
        pixels = simplejpeg.decode_jpeg(data, "RGB", min_width=least[0], min_height=least[1])
    except (*_UNREADABLE,):
        return None  # Pillow decides whether it can be used, and names the fault
    if view.crop is None:
        return _Picture(_middle(pixels, view.size), (width, height))
    return view.of(Image.fromarray(pixels), (width, height))


def _middle(pixels: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The largest square in the middle (to half a pixel), brought to size; by means over areas where much is lost."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    way = cv2.INTER_AREA if side > MOST_FOR_CUBIC * size else cv2.INTER_CUBIC
    square = pixels[top : top + side, left : left + side]
    return np.asarray(cv2.resize(square, (size, size), interpolation=way), np.uint8)


def _is_turned(data: bytes) -> bool:
    with Image.open(io.BytesIO(data)) as image:
        return bool(image.getexif().get(ExifTags.Base.Orientation, 1) != 1)


def _from_any(data: bytes, view: View) -> _Picture:
    with Image.open(io.BytesIO(data)) as image:
        if image.mode.startswith(_WIDE):
            raise _Refused(f"unreadable: pixels of mode {image.mode}")
        if image.width * image.height > MOST_PIXELS:
            raise _Refused(f"unreadable: {image.width} x {image.height} pixels")
        stored, turn = image.size, _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
        if view.crop is None:
            image.draft("RGB", (view.size, view.size))
        # PIL warns of a palette with alpha unless alpha is made first
        plain = (image.convert("RGBA") if "transparency" in image.info else image).convert("RGB")
        shown = view.of(plain, stored)
    if turn is None or (view.crop is not None and view.crop.by == "points"):  # points bring a face upright
        return shown
    return _Picture(np.asarray(Image.fromarray(shown.pixels).transpose(turn)), shown.whole)


def _read(root: Path, name: str) -> bytes:
    number, size = _open(root, name)
    try:
        if size > MOST_BYTES:
            raise _Refused(f"unreadable: {size} bytes")
        parts = [os.read(number, size + 1)]
        while parts[-1] and sum(map(len, parts)) < size:
            parts.append(os.read(number, size + 1))
        return parts[0] if len(parts) == 1 else b"".join(parts)
    finally:
        os.close(number)


def _opened(root: Path, name: str) -> io.BufferedReader:
    return os.fdopen(_open(root, name)[0], "rb")


def _open(root: Path, name: str) -> tuple[int, int]:
    """Descriptor and size of a regular file of the copy. Links are followed only where they stay inside."""
    path = os.path.join(root, name)  # noqa: PTH118 - called for every image
    if not _contained(root, os.path.dirname(path)):  # noqa: PTH120
        raise _Refused("outside the copy")
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        number = os.open(path, flags | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        resolved = os.path.realpath(path)
        if not _is_below(resolved, os.path.realpath(root)):
            raise _Refused("outside the copy") from error
        number = os.open(resolved, flags | os.O_NOFOLLOW)
    status = os.fstat(number)
    if not stat.S_ISREG(status.st_mode):
        os.close(number)
        raise _Refused("unreadable: not a file")
    return number, status.st_size


@lru_cache(maxsize=4096)
def _contained(root: Path, folder: str) -> bool:
    return _is_below(os.path.realpath(folder), os.path.realpath(root))


def _is_below(path: str, root: str) -> bool:
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)
