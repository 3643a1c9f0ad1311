"""The SIP ALG: registrations, calls and their media through NAT (RFC 3261, 3264, 4566)."""
