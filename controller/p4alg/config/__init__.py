"""Files an operator writes: read with positions, refused with file, line and reason."""
