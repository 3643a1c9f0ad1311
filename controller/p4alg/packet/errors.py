"""The error of every parser in this package."""


class PacketError(ValueError):
    """Bytes that are not what they should be: truncated, or a field contradicts another."""
