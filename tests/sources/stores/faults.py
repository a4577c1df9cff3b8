"""A proxy on loopback before an S3 server: it counts what is asked for, and spoils answers where a test says so."""

import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    """One request: method, path with query, the range asked for, and how many bytes of body were sent back."""

    method: str
    path: str
    range: str
    n_bytes: int = 0
    status: int = 0


def _nothing(request: Request) -> tuple[str, int] | None:
    return None


@dataclass
class Proxy:
    """What goes by. `spoil` is called with every request and may give ("status", 503) or ("cut", bytes of body)."""

    url: str
    requests: list[Request] = field(default_factory=list)
    spoil: Callable[[Request], tuple[str, int] | None] = _nothing
    news: threading.Condition = field(default_factory=threading.Condition)

    def reset(self) -> None:
        self.requests.clear()
        self.spoil = _nothing

    def of(self, method: str) -> list[Request]:
        return [request for request in self.requests if request.method == method]

    def add(self, request: Request) -> None:
        with self.news:
            self.requests.append(request)
            self.news.notify_all()

    def wait_for(self, span: str) -> None:
        """Wait until a range is asked for; fails where it is not within 10 seconds."""
        with self.news:
            assert self.news.wait_for(lambda: any(request.range == span for request in self.requests), timeout=10)


def bytes_of(requests: list[Request]) -> int:
    return sum(request.n_bytes for request in requests)


_CODES = {403: "AccessDenied", 503: "SlowDown", 500: "InternalError"}


@contextmanager
def proxy_of(port: int) -> Iterator[Proxy]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def _pass_on(self) -> None:
            request = Request(self.command, self.path, self.headers.get("Range", ""))
            proxy.add(request)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fault = proxy.spoil(request)
            if fault is not None and fault[0] == "status":
                text = f"<Error><Code>{_CODES[fault[1]]}</Code><Message>no</Message></Error>".encode()
                self._answer(request, fault[1], {"Content-Type": "application/xml"}, text)
                return
            behind = http.client.HTTPConnection("127.0.0.1", port)
            behind.request(self.command, self.path, body, dict(self.headers))
            answer = behind.getresponse()
            content = answer.read()
            headers = {k: v for k, v in answer.getheaders() if k.lower() not in ("content-length", "connection")}
            length = answer.getheader("Content-Length", "0")
            behind.close()
            if fault is not None and len(content) > fault[1]:
                self._answer(request, answer.status, headers, content[: fault[1]], length)
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            self._answer(request, answer.status, headers, content, length)

        def _answer(
            self, request: Request, status: int, headers: dict[str, str], content: bytes, length: str | None = None
        ) -> None:
            request.status, request.n_bytes = status, len(content)
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", length if length is not None else str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)
                self.wfile.flush()

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy = Proxy(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
