"""Links that leave the documentation, as the site shows them: the file's path. Knows nothing else of the site."""

import re
from pathlib import PurePosixPath
from typing import Any

_OUT = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+[^)#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Called for every page: a link out of `docs/` becomes its text and the path; the site has the pages alone."""
    folder = PurePosixPath(page.file.src_uri).parent

    def shown(link: re.Match[str]) -> str:
        text, target = link[1], link[2]
        depth = len(folder.parts)
        if target.count("../") <= depth:
            return link[0]  # from a folder of the documentation to its root
        path = target.replace("../", "")
        return f"`{path}`" if text.strip("`") in (path, PurePosixPath(path).name) else f"{text} (`{path}`)"

    return _OUT.sub(shown, markdown)
