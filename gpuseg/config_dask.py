"""The section of a configuration that describes the dask cluster."""

import re
from typing import Annotated, Literal

from pydantic import Field, model_validator

from gpuseg.config_parts import PositiveInt, Section

ADDRESS = re.compile(r"((tcp|tls|ucx|ucxx|ws|wss)://)?(\[[0-9a-fA-F:.]+\]|[^\s:/@?#\[\]]+):[0-9]{1,5}")
"""What an address of a scheduler looks like."""


class DaskSection(Section):
    """The workers of `run.executor: dask`: processes of this machine, or those of a cluster that runs already."""

    workers: Literal["auto"] | PositiveInt = Field(
        "auto",
        description="Workers to start, `auto` one a processor or GPU; of a running cluster, how many to wait for.",
    )
    memory_bytes: Annotated[int, Field(ge=2**28, strict=True)] | None = Field(
        None, description="Memory at which a worker of this machine is replaced; null shares out what there is."
    )
    protocol: Literal["auto", "tcp", "ucx"] = Field("auto", description="How GPU workers of this machine talk.")
    address: str | None = Field(None, min_length=1, description="Scheduler of a running cluster.")
    scheduler_file: str | None = Field(
        None, min_length=1, description="File that the scheduler of a running cluster wrote."
    )
    wait_seconds: PositiveInt = Field(300, description="How long a scheduler and workers may take to answer.")

    @property
    def is_own(self) -> bool:
        """Whether the workers are started here; those of a running cluster are not."""
        return self.address is None and self.scheduler_file is None

    @model_validator(mode="after")
    def _an_address(self) -> "DaskSection":
        if self.address is not None and not ADDRESS.fullmatch(self.address):
            # It may hold a password, so the section says so, which shows no value.
            raise ValueError("address: must be a scheduler's, such as tcp://10.0.0.5:8786, without user or password")
        return self

    @model_validator(mode="after")
    def _one_cluster(self) -> "DaskSection":
        if self.address is not None and self.scheduler_file is not None:
            raise ValueError("address and scheduler_file name two clusters; give one")
        if not self.is_own and (self.memory_bytes is not None or self.protocol != "auto"):
            raise ValueError("memory_bytes and protocol are settings of workers that are started here")
        return self
