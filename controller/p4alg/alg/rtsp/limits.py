"""The bounds of the RTSP ALG: sizes, numbers and times."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RtspLimits:
    """What one control connection may make the gateway do.

    `message` (headers and body), `line` and `session_id` are in bytes. `headers` and
    `transports` (alternatives in a SETUP) bound one message; `streams`, `pending`
    (requests of one end without an answer) and `notices` bound the connection.

    Times are in seconds. A session whose answer names no timeout has
    `session_timeout` (RFC 2326 section 12.37); one that it names counts as at
    least `shortest_timeout` and at most `longest_timeout`. `grace` is added to it,
    for requests that come late.
    """

    message: int = 16384
    line: int = 4096
    session_id: int = 128
    headers: int = 64
    transports: int = 8
    streams: int = 32
    pending: int = 64
    notices: int = 16
    session_timeout: int = 60
    shortest_timeout: int = 10
    longest_timeout: int = 7200
    grace: float = 30.0
