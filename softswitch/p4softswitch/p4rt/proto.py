"""The one place that says where the P4Runtime protobuf bindings come from."""

from __future__ import annotations

from finsy.proto import p4d, p4i, p4r, p4r_grpc, rpc_code, rpc_status
from google.protobuf import any_pb2, text_format
from google.protobuf.message import DecodeError, Message

__all__ = (
    "DecodeError",
    "Message",
    "any_pb2",
    "p4d",
    "p4i",
    "p4r",
    "p4r_grpc",
    "rpc_code",
    "rpc_status",
    "text_format",
)
