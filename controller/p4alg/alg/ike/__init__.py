"""The IKE ALG, and ESP told apart by SPI (RFC 2409, 7296, 4303)."""
