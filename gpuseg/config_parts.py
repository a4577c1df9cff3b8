"""What all sections of a configuration share."""

import zoneinfo
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gpuseg.config_messages import nearest

PositiveInt = Annotated[int, Field(ge=1, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, strict=True)]
Weight = Annotated[float, Field(gt=0, le=64.0, strict=True)]


class Section(BaseModel):
    """A part of a configuration; a key that it does not define is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class MemorySection(Section):
    """How the GPU's memory is had; without a GPU nothing is done with it."""

    pool: Literal["none", "pool", "async"] = Field(
        "async", description="`async` is the driver's pool, `pool` RMM's own, `none` allocates one piece at a time."
    )
    pool_bytes: Annotated[int, Field(ge=2**20, strict=True)] | None = Field(
        None, description="First size of the pool, at least 1 MiB; null leaves it to RMM."
    )
    spill: bool = Field(
        default=True, strict=True, description="Whether cuDF moves columns to host memory when the device is full."
    )

    @model_validator(mode="after")
    def _a_pool_to_size(self) -> "MemorySection":
        if self.pool == "none" and self.pool_bytes is not None:
            raise ValueError("pool_bytes needs a pool: set pool to async or pool")
        return self


def known_zone(name: str) -> str:
    """The name of a time zone, if there is such a zone."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"unknown time zone{nearest(name, zoneinfo.available_timezones())}") from None
    return name
