"""Errors that the packages of the switch share; knows nothing of gRPC or of packets."""

from __future__ import annotations

from enum import Enum


class SwitchError(Exception):
    """Base of every error this package raises on purpose; the text is one line for a person."""


class ProgramError(SwitchError):
    """The compiled program or its P4Info is malformed, or uses something not supported here."""


class CompilerError(ProgramError):
    """The native part of the switch cannot be compiled here; the text says what to do about it."""


class PortError(SwitchError):
    """A port could not be opened; the text says what to do about it."""


class Reason(Enum):
    """Why runtime state refused a change. The names are those of the canonical gRPC codes."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    UNIMPLEMENTED = "UNIMPLEMENTED"


class StateError(SwitchError):
    """Runtime state refuses a change; nothing was changed."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
