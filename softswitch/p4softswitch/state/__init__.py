"""Runtime state of a loaded program: tables, counters, meters, registers, replication, digests.

Nothing here reads a clock, opens a socket or knows P4Runtime messages: time is an argument in
nanoseconds, and a refused change raises `StateError`.
"""
