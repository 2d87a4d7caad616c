"""A client that sends a request and vanishes once the backend is at work. Knows sockets; knows no API."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx

from .conftest import KEY, Server


def leave(gateway: Server, path: str, body: dict[str, Any], stream: bool, at_work: Callable[[], bool]) -> None:
    """Send, wait until `at_work`, and close. Fails where the backend never begins."""
    content = json.dumps(body).encode()
    address = httpx.URL(gateway.url)
    with socket.create_connection((address.host, address.port or 80)) as client:
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
        client.sendall(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
        if stream:
            first = client.recv(4096)
            assert b"200 OK" in first, first
        end = time.monotonic() + 20
        while not at_work():
            assert time.monotonic() < end, "the backend did not begin"
            time.sleep(0.02)
