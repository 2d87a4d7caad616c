"""What an operator may say about the console. Knows the schema; does no I/O."""

from pydantic import Field

from app.section import Section


class Console(Section):
    """The page for people at `/console`. Its files need no key; all that they show is asked for with one."""

    enabled: bool = Field(True, description="Serve the console. Without it its paths are unknown ones.")
