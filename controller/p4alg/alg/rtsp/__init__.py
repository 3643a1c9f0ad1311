"""The RTSP ALG (RFC 2326)."""
