"""Follows control sessions: gives an ALG what the ends send, and sends on what it decides. Pure."""
