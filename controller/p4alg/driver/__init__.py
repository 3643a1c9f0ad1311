"""The switch driver: the only part that speaks P4Runtime (finsy)."""
