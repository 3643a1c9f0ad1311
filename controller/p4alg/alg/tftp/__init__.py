"""The TFTP ALG: the answer that comes from another port (RFC 1350, 2347-2349)."""
