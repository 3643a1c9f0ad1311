"""Attacks on a running gateway, with real packets: `make attack`, or `python -m attacks.run`.

Each attack is one function that says what it saw. `table` runs them and tells what got through.
"""
