"""The program: BMv2 JSON and P4Info read into an immutable model. Holds no runtime state."""
