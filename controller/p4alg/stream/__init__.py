"""Following one TCP control connection: bytes to an ALG, its decisions back to segments. Pure."""
