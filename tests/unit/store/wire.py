"""A TCP proxy that breaks connections after so many bytes of answers."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Wire:
    """Passes bytes to `target`; each of the next `cuts` answers ends after `after` bytes."""

    target: tuple[str, int]
    listener: socket.socket
    cuts: int = 0
    after: int = 100_000
    cut: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.target)
                for work in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pass, args=work, daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, answer: bool) -> None:
        passed = 0
        with suppress(OSError), source, sink:
            while content := source.recv(65536):
                sink.sendall(content)
                passed += len(content)
                if answer and passed > self.after and self._may_cut():
                    for side in (source, sink):
                        side.shutdown(socket.SHUT_RDWR)
                    return

    def _may_cut(self) -> bool:
        with self.lock:
            if self.cut < self.cuts:
                self.cut += 1
                return True
            return False


@contextmanager
def wire_to(endpoint: str, cuts: int) -> Iterator[Wire]:
    """Run a proxy before the service at `endpoint`."""
    parts = urlsplit(endpoint)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire((str(parts.hostname), int(parts.port or 0)), listener, cuts)
        thread = threading.Thread(target=wire.serve, daemon=True)
        thread.start()
        try:
            yield wire
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)
