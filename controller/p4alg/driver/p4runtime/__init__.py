"""The target that is a P4Runtime switch: the only part that knows finsy and P4Runtime."""
