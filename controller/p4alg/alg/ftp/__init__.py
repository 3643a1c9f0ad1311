"""The FTP ALG: data connections announced by PORT, EPRT, 227 and 229 (RFC 959, 2428, 4217)."""
