"""Archives of every kind for tests, honest and malicious."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping

KINDS = ("zip", "tar", "tgz", "tar.gz")


def archive(kind: str, files: Mapping[str, bytes]) -> bytes:
    """An archive of some files, in order; a name that ends in `/` is a folder."""
    return zip_of(files) if kind == "zip" else tar_of([member(name, data) for name, data in files.items()], kind)


def zip_of(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return made.getvalue()


def member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a tar archive; `fields` of its header are replaced."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    if name.endswith("/"):
        info.type = tarfile.DIRTYPE
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def tar_of(members: list[tuple[tarfile.TarInfo, bytes]], kind: str = "tar", **options: object) -> bytes:
    made = io.BytesIO()
    mode = "w" if kind == "tar" else "w:gz"
    with tarfile.open(fileobj=made, mode=mode, **options) as opened:  # type: ignore[call-overload]
        for info, data in members:
            opened.addfile(info, io.BytesIO(data))
    return made.getvalue()
