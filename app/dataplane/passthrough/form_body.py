"""The `model` of a multipart form: read, and replaced by another name. Knows RFC 7578's frame, and no other field.

A form carries a file, so it is cut at its boundaries and never decoded.
"""

import re

from app.errors import BadRequest

_BOUNDARY = re.compile(rb"""boundary=(?:"([^"]{1,200})"|([^\s;"]{1,200}))""", re.IGNORECASE)
_IS_MODEL = re.compile(
    rb'^content-disposition:[^\r\n]*;\s*name=(?:"model"|model)\s*(?:;|\r?$)', re.IGNORECASE | re.MULTILINE
)


class FormBody:
    """A multipart form. Raises BadRequest where it has no boundary, or a `model` that is no text."""

    def __init__(self, body: bytes, content_type: bytes) -> None:
        self.raw = body
        found = _BOUNDARY.search(content_type)
        if found is None:
            raise BadRequest("The content type names no multipart boundary.")
        self._start, self._end = _model_span(body, b"--" + (found[1] or found[2]))
        value = body[self._start : self._end]
        try:
            self.model: str | None = value.decode() if self._end else None
        except UnicodeDecodeError:
            raise BadRequest("`model` must be a text.", param="model") from None

    def naming(self, model: str) -> bytes:
        """The form with another model's name; the rest byte for byte."""
        return self.raw[: self._start] + model.encode() + self.raw[self._end :]


def _model_span(body: bytes, delimiter: bytes) -> tuple[int, int]:
    """Where the value of the part named `model` begins and ends; (0, 0) where there is none."""
    at = body.find(delimiter)
    while at >= 0:
        head = at + len(delimiter)
        if body[head : head + 2] == b"--":
            break
        blank = body.find(b"\r\n\r\n", head)
        following = body.find(b"\r\n" + delimiter, head)
        if blank < 0 or following < 0:
            break
        if blank < following and blank - head < 4096 and _IS_MODEL.search(body[head:blank].strip()):
            return blank + 4, following
        at = following + 2
    return 0, 0
