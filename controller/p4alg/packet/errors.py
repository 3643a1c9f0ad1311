"""The error of every parser in this package."""


class PacketError(ValueError):
    """A packet that cannot be read: it is truncated, or its fields contradict each other."""
