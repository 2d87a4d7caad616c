"""The console's files with the headers that they are served with. Knows bytes, types and policy; knows no route.

All files are read once. A path is looked up among the names that are there, so no spelling of it reaches a file system.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

PAGE = "/console"
TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
# Nothing from elsewhere, nothing inline, no string ever becomes markup or code, no other page may frame this one.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cache-control": "no-cache",  # asked for again each time, and answered with 304 where nothing has changed
}


@dataclass(frozen=True, slots=True)
class File:
    """One file: its bytes, its media type, and a tag that changes with the bytes."""

    body: bytes
    media_type: str
    etag: str

    def headers(self) -> dict[str, str]:
        """What it is served with."""
        return {**HEADERS, "etag": self.etag}


@cache
def console_files() -> Mapping[str, File]:
    """Every file by its exact path, the page itself at `/console`. The package's own, so the same for all gateways."""
    found = {}
    for entry in files("app.console").joinpath("static").iterdir():
        media_type = TYPES.get(entry.name.rpartition(".")[2])
        if media_type is None:
            continue
        body = entry.read_bytes()
        path = PAGE if entry.name == "index.html" else f"{PAGE}/{entry.name}"
        found[path] = File(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:24]}"')
    return found
