"""P4Runtime errors: one exception with a canonical code, and its forms on the wire."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from p4softswitch.errors import StateError
from p4softswitch.p4rt.proto import p4r, rpc_code, rpc_status

SPACE = "p4softswitch"
DETAILS_KEY = "grpc-status-details-bin"

OK = rpc_code.OK
UNKNOWN = rpc_code.UNKNOWN
INVALID_ARGUMENT = rpc_code.INVALID_ARGUMENT
NOT_FOUND = rpc_code.NOT_FOUND
ALREADY_EXISTS = rpc_code.ALREADY_EXISTS
PERMISSION_DENIED = rpc_code.PERMISSION_DENIED
RESOURCE_EXHAUSTED = rpc_code.RESOURCE_EXHAUSTED
FAILED_PRECONDITION = rpc_code.FAILED_PRECONDITION
OUT_OF_RANGE = rpc_code.OUT_OF_RANGE
UNIMPLEMENTED = rpc_code.UNIMPLEMENTED
INTERNAL = rpc_code.INTERNAL

_GRPC = {code.value[0]: code for code in grpc.StatusCode}


class RpcError(Exception):
    """A request, or one part of it, is refused with a canonical code."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @classmethod
    def of(cls, error: StateError) -> RpcError:
        """The error of a request that runtime state refused."""
        return cls(rpc_code.Code.Value(error.reason.value), str(error))

    @property
    def grpc_code(self) -> grpc.StatusCode:
        """The code as gRPC has it."""
        return _GRPC[self.code]


def batch_details(errors: Sequence[RpcError | None]) -> bytes:
    """`google.rpc.Status` of a write: one `p4.v1.Error` per update, in order (None: it went
    through)."""
    status = rpc_status.Status(code=UNKNOWN, message="some updates failed")
    for error in errors:
        detail = p4r.Error(canonical_code=OK)
        if error is not None:
            detail = p4r.Error(canonical_code=error.code, message=error.message, space=SPACE)
        status.details.add().Pack(detail)
    return status.SerializeToString()
