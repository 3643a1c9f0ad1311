"""What requests and answers of the HTTP API look like. The OpenAPI document is made of these."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

MAX_TEXT = 60_000
"""The longest text of a configuration: a request to a controller has 64 KiB."""
MAX_ROW = 100_000
"""The last row that can be asked for. Who looks for one further down selects."""

Name = Annotated[str, StringConstraints(max_length=64)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Credentials(_Strict):
    """Who wants to log in."""

    name: Annotated[str, StringConstraints(max_length=64)]
    password: Annotated[str, StringConstraints(max_length=256)]


class Me(BaseModel):
    """Who is logged in."""

    name: str
    role: Literal["admin", "read-only"]
    csrf: str = Field(description="To be sent as X-CSRF-Token with every request that changes.")


class Failure(BaseModel):
    """Why a request was not carried out."""

    error: str = Field(description="One line that says what to do.")


class DeviceState(BaseModel):
    """A gateway, by its controller."""

    name: str
    socket: str
    error: str = Field(description="Why it does not answer; empty if it does.")
    organisations: list[str] = []
    algs_on: int = 0
    algs: int = 0


class AlgState(BaseModel):
    """What can be changed of an ALG."""

    enabled: bool
    services: list[Name] = Field(max_length=256, description="Names of services, in order.")


class AlgChange(_Strict):
    """What an ALG is to be."""

    enabled: bool
    services: list[Name] = Field(max_length=256)
    seen: AlgState | None = Field(
        None, description="What it was when the change was decided. If it is not that, 409."
    )


class Alg(AlgState):
    """An ALG of an organisation."""

    name: str
    organisation: str
    description: str
    ports: list[str]
    sessions: int = Field(description="Control sessions.")
    counters: dict[str, Any]


class Service(BaseModel):
    """A service that an ALG can be bound to."""

    name: str
    organisation: str
    ports: list[str]
    alg: str = Field(description="The ALG that it is bound to; empty if none is.")


class Wanted(_Strict):
    """Which rows of a view are wanted, as the options of `p4alg show`."""

    address: Word | None = None
    inside: Word | None = None
    outside: Word | None = None
    remote: Word | None = None
    port: Word | None = None
    proto: Word | None = None
    alg: Word | None = None
    state: Word | None = None
    kind: Word | None = None
    level: Word | None = None
    sort: Word | None = Field(None, description="A key of the rows; with - in front: descending.")
    organisation: Word | None = None
    offset: Annotated[int, Field(ge=0, le=MAX_ROW)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100

    def selection(self) -> dict[str, str]:
        """What selects and sorts, as a request to a controller has it."""
        return self.model_dump(exclude={"organisation", "offset", "limit"}, exclude_none=True)


class Page(BaseModel):
    """Rows of a view."""

    total: int = Field(description="How many rows fit.")
    offset: int
    rows: list[dict[str, Any]]
    note: str = Field(description="What is missing in it, and why; else empty.")


class ConfigRequest(BaseModel):
    """What a configuration request needs beside its action."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    path: Word | None = None
    value: Any = None
    organisation: Word | None = None
    text: Annotated[str, StringConstraints(max_length=MAX_TEXT)] | None = None
    why: Annotated[str, StringConstraints(max_length=500)] | None = None
    base: int | None = None
    revision: int | None = None
    at_restart: bool | None = Field(
        None, description="Keep what needs a restart of the controller for its next start."
    )
    force: bool | None = Field(None, description="Discard what is somebody else's too.")
    to: int | None = None
    from_: int | None = Field(None, alias="from")


class Call(BaseModel):
    """A request as controllers take it: a command, and what it needs."""

    model_config = ConfigDict(extra="allow")

    command: Word

    @model_validator(mode="after")
    def _is_whole(self) -> Call:
        if self.command == "config" and "action" not in (self.model_extra or {}):
            raise ValueError("config needs an action")
        return self
