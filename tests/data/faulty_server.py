"""A real HTTP server on this machine that serves files, and makes the mistakes that servers and networks make."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[BaseHTTPRequestHandler, "Served"], None]


@dataclass
class Served:
    """A file at an address. The next answers come from `answers`, in turn; then the server behaves."""

    content: bytes = b""
    etag: str = '"first"'
    date: str = ""
    answers: list[Answer] = field(default_factory=list)
    always: Answer | None = None
    headers: dict[str, str] = field(default_factory=dict)
    requests: list[dict[str, str]] = field(default_factory=list)
    sent: int = 0

    @property
    def ranges(self) -> list[str | None]:
        """What part each request asked for."""
        return [request.get("Range") for request in self.requests]


class Site:
    """Files by path; `url` of a file is what a spec names."""

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"
        self.files: dict[str, Served] = {}

    def serve(self, name: str, content: bytes = b"", **options: Any) -> Served:
        self.files[f"/{name}"] = served = Served(content, **options)
        return served

    def url(self, name: str) -> str:
        return f"{self.root}/{name}"


@contextmanager
def running() -> Iterator[Site]:
    """A site that is up within the block."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            served = site.files.get(self.path.partition("?")[0])
            if served is None:
                return status(404)(self, Served())
            served.requests.append({"method": self.command, **self.headers})
            answer = served.answers.pop(0) if served.answers else served.always or well
            try:
                answer(self, served)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    site = Site(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# ---- answers ----


def reply(handler: BaseHTTPRequestHandler, served: Served, code: int, body: bytes, **headers: object) -> None:
    """One answer, after which the connection is closed; `Content_Length=...` overrides the true length."""
    handler.send_response(code)
    stated = {"Content_Length": len(body), "ETag": served.etag, "Last_Modified": served.date, "Connection": "close"}
    for name, value in (stated | served.headers | headers).items():
        if value not in ("", None):
            handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.close_connection = True
    if handler.command != "HEAD":
        served.sent += len(body)  # before the client has them, and asks
        handler.wfile.write(body)


def _asked(handler: BaseHTTPRequestHandler) -> int:
    return int(handler.headers.get("Range", "bytes=0-")[6:-1])


def _rest(handler: BaseHTTPRequestHandler, served: Served) -> tuple[int, bytes, dict[str, object]]:
    start = _asked(handler)
    if not start:
        return 200, served.content, {}
    if start >= len(served.content):
        return 416, b"", {"Content_Range": f"bytes */{len(served.content)}"}
    total = len(served.content)
    return 206, served.content[start:], {"Content_Range": f"bytes {start}-{total - 1}/{total}"}


def well(handler: BaseHTTPRequestHandler, served: Served) -> None:
    """As it should be: the rest, if the content is still the one that was asked for."""
    if handler.headers.get("If-Range") not in (None, served.etag, served.date):
        return ignoring_range(handler, served)
    code, body, headers = _rest(handler, served)
    return reply(handler, served, code, body, **headers)


def ignoring_range(handler: BaseHTTPRequestHandler, served: Served) -> None:
    """The whole, whatever was asked for."""
    reply(handler, served, 200, served.content)


def ignoring_if_range(handler: BaseHTTPRequestHandler, served: Served) -> None:
    """The rest of what is there by now, whatever it was before."""
    code, body, headers = _rest(handler, served)
    reply(handler, served, code, body, **headers)


def breaking(after: int) -> Answer:
    """The connection is gone after so many bytes of the whole."""

    def answer(handler: BaseHTTPRequestHandler, served: Served) -> None:
        code, body, headers = _rest(handler, served)
        reply(
            handler, served, code, body[: max(after - _asked(handler), 0)], **({"Content_Length": len(body)} | headers)
        )

    return answer


def stating(length: int) -> Answer:
    """Another length than it sends."""
    return lambda handler, served: reply(handler, served, 200, served.content, Content_Length=length)


def status(code: int, **headers: object) -> Answer:
    """An error instead of the file."""
    return lambda handler, served: reply(handler, served, code, b"<html>no</html>", **headers)


def redirecting(place: str) -> Answer:
    return lambda handler, served: reply(handler, served, 302, b"", Location=place)


def endless(handler: BaseHTTPRequestHandler, served: Served) -> None:
    """Bytes without a stated length, until nobody takes them any more (or 64 MiB)."""
    reply(handler, served, 200, b"", Content_Length=None)
    for _ in range(1024):
        handler.wfile.write(bytes(1 << 16))
        served.sent += 1 << 16


def without_length(handler: BaseHTTPRequestHandler, served: Served) -> None:
    """The file in chunks."""
    reply(handler, served, 200, b"", Content_Length=None, Transfer_Encoding="chunked")
    for block in (served.content, b""):
        handler.wfile.write(b"%x\r\n%s\r\n" % (len(block), block))


def silent(release: threading.Event) -> Answer:
    """Half of the file, then nothing until `release`."""

    def answer(handler: BaseHTTPRequestHandler, served: Served) -> None:
        half = len(served.content) // 2
        reply(handler, served, 200, served.content[:half], Content_Length=len(served.content))
        handler.wfile.flush()
        release.wait(30)

    return answer
