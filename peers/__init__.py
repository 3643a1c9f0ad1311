"""Real daemons and clients, run in the hosts of a lab by tests, demo and benchmarks.

This package is no part of p4alg and is not installed with it. An editable
installation, as `make setup` makes it, puts it on Python's path.
"""
