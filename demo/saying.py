"""What the demo tells the person who watches."""

from __future__ import annotations


def say(text: str) -> None:
    """A line."""
    print(text, flush=True)


def step(text: str) -> None:
    """Something that takes a while begins."""
    print(f"{text} ... ", end="", flush=True)


def done() -> None:
    """It ended."""
    print("done", flush=True)


def verdict(label: str, held: bool, good: str, said: str) -> bool:
    """How a check went: `good` if it held, else what was `said`. Gives `held`."""
    say(f"    {label:<20} {good if held else f'FAILED: {said}'}")
    return held
