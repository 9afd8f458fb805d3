"""Wait until a cluster can be used: API server, node, DNS."""

import socket
import struct
import time
from collections.abc import Callable
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from localcluster.errors import Refused

POLL_SECONDS = 0.1


def wait_until(
    what: str, holds: Callable[[], bool], seconds: float, hint: Callable[[], str]
) -> None:
    """Wait until a condition holds.

    Raises:
        Refused: it did not within the time; the message ends with the hint, asked for then.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise Refused(f"{what} after {seconds:.0f} s", hint())
        time.sleep(POLL_SECONDS)


def node_ready(found: dict[str, Any], since: float) -> bool:
    """Say whether a Node object is Ready, by a heartbeat not older than a time (in seconds).

    Heartbeats are cut to whole seconds.
    """
    for condition in found.get("status", {}).get("conditions", []):
        if condition["type"] == "Ready":
            beat = datetime.fromisoformat(condition["lastHeartbeatTime"]).timestamp()
            return condition["status"] == "True" and beat >= int(since)
    return False


def lookup(name: str, server: IPv4Address) -> IPv4Address | None:
    """Ask a name server for the address of a name; None if it does not answer with one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as channel:
        channel.settimeout(0.5)
        try:
            channel.sendto(query(name), (str(server), 53))
            return answer(channel.recv(512))
        except OSError:
            return None


def query(name: str) -> bytes:
    """Return a DNS query for the A record of a name (RFC 1035, section 4.1)."""
    header = struct.pack("!6H", 1, 0x0100, 1, 0, 0, 0)
    labels = [bytes([len(label)]) + label.encode() for label in name.split(".")]
    return header + b"".join(labels) + b"\0" + struct.pack("!2H", 1, 1)


def answer(message: bytes) -> IPv4Address | None:
    """Return the address in the last record of a DNS answer without additional records."""
    _, flags, _, answers, authorities, _ = struct.unpack("!6H", message[:12])
    if flags & 0xF or not answers or authorities:
        return None
    return IPv4Address(message[-4:])


def tail(path: Path, lines: int = 5) -> str:
    """Return the last lines of a log, for an error message."""
    if not path.exists():
        return "(empty)"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
