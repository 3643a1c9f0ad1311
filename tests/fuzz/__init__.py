"""Coverage-guided fuzzing (atheris), random faults, and what must hold whatever comes.

`targets` are functions of bytes that raise when an invariant breaks; `run` lets atheris look for
such bytes (`make fuzz MINUTES=..`); `test_fuzz` runs the corpus and a fixed number of new inputs.
`faults` lets writes, digests, the switch and the clock go wrong.
"""
