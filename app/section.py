"""What every section of the configuration is. Knows pydantic; knows no section."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Section(BaseModel):
    """Frozen, and strict about names: a typo is an error, not a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True)
