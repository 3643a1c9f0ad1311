"""Executors: run packets through a program. Callers use `interface` and `factory` only."""
