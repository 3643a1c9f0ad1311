"""An ALG that cannot be imported."""

raise RuntimeError("made for another version")
