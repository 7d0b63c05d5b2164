"""A web server on this machine that serves a folder, and counts what it is asked."""

from __future__ import annotations

import http.server
import re
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote


class Site(http.server.BaseHTTPRequestHandler):
    """Files of `server.folder`, ranges of them, and index pages, unless `answer` does it."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append((self.command, self.path))
        time.sleep(self.server.delay)
        if self.server.answer is None or not self.server.answer(self):
            self.serve()

    do_HEAD = do_GET  # noqa: N815 (the name that http.server looks for)

    def serve(self) -> None:
        path = self.server.folder / unquote(self.path).strip("/")
        if path.is_dir():
            links = (f'<a href="{quote(p.name)}{"/" * p.is_dir()}">' for p in path.iterdir())
            self.send("".join(links).encode(), kind="text/html")
        elif not path.is_file():
            self.send(b"", 404)
        elif wanted := re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", "")):
            content, (first, last) = path.read_bytes(), map(int, wanted.groups())
            if first >= len(content):
                self.send(b"", 416)
            else:
                part = content[first : last + 1]
                end = f"{first}-{first + len(part) - 1}/{len(content)}"
                self.send(part, 206, headers={"Content-Range": f"bytes {end}"})
        else:
            self.send(path.read_bytes(), headers={"Accept-Ranges": "bytes"})

    def send(self, body, status=200, kind="image/jpeg", length=None, headers=None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def pour(self, block: bytes, n_blocks: int) -> int:
        """Write a block again and again, while the client reads; return how much it took."""
        n_bytes = 0
        try:
            for _ in range(n_blocks):
                n_bytes += self.wfile.write(block)
        except OSError:
            pass  # it hung up
        self.close_connection = True
        return n_bytes

    def log_message(self, *args) -> None:
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    request_queue_size = 128  # connections that arrive at once
    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Site)
        self.folder, self.delay, self.answer = folder, 0.0, None
        self.requests: list[tuple[str, str]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address) -> None:
        pass  # clients that hang up are what some tests are about


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Serve a folder while the block runs."""
    with Server(folder) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
