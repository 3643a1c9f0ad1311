"""The PPTP ALG: call ids, and the GRE of agreed calls (RFC 2637)."""
