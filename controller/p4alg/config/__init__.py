"""Reads the files that operators write. An error names the file, the line and the reason."""
