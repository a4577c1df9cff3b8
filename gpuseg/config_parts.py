"""What all sections of a configuration share."""

import zoneinfo
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from gpuseg.config_messages import nearest

PositiveInt = Annotated[int, Field(ge=1, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]


class Section(BaseModel):
    """A part of a configuration; a key that it does not define is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def known_zone(name: str) -> str:
    """The name of a time zone, if there is such a zone."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"unknown time zone{nearest(name, zoneinfo.available_timezones())}") from None
    return name
