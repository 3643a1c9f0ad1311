"""Lets atheris look for inputs that break an invariant: `python -m tests.fuzz.run TARGET ...`.

Without `--minutes` it runs a fixed number of inputs. New inputs that reach new code go into the
working corpus (`--work`), which begins with the seeds that are kept in `corpus/` and with the
attacks of tests/attack. What breaks is written there as `crash-...`; give such a file to `--again`.
Exit status: 0 if nothing broke, 1 if something did, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

HERE = Path(__file__).resolve().parent
ATTACKS = HERE.parent / "attack" / "corpus"
NAMES = (
    *("ftp", "sip-tcp", "sip-udp", "rtsp", "pptp", "tftp", "ike"),
    *("stream", "frames", "punts", "engine", "all"),
)
_SOME = 3
"""How many seeds of each other target the target ``all`` begins with."""
_PACKAGE = "p4alg"
_INPUT_SECONDS = 20
"""An input that takes longer is a find, too."""


def seeds(name: str) -> Iterator[bytes]:
    """What a target begins with: what is kept for it, and attacks of its protocol."""
    if name == "all":
        for number, other in enumerate(NAMES[:-1]):
            for seed in islice(seeds(other), _SOME):
                yield bytes([number]) + seed
    for path in sorted((HERE / "corpus" / name).glob("*")):
        yield path.read_bytes()
    protocol, _, transport = name.partition("-")
    for path in sorted(ATTACKS.glob(f"{protocol}-*.json")):
        case = json.loads(path.read_text(encoding="ascii"))
        if transport and case["transport"] != transport:
            continue
        said = b"\x1e\x1f".join(
            (b"\1" if who == "server" else b"\2") + text.encode("latin-1")
            for who, text in case["exchange"]
        )
        inside = b"\1" if case["inside"] == "server" else b"\0"
        yield (inside if case["transport"] == "tcp" else b"") + said


def fuzz(name: str, work: Path, limit: Sequence[str]) -> int:
    """Fuzz one target in a process of its own, which atheris needs; its exit status."""
    folder = work / name
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (folder / f"seed-{number}").write_bytes(seed)
    command = [sys.executable, "-m", "tests.fuzz.run", "--child", name]
    options = [
        f"-timeout={_INPUT_SECONDS}",
        "-print_final_stats=1",
        f"-artifact_prefix={work}/{name}-",
        "-max_len=4096",
    ]
    done = subprocess.run(
        [*command, *options, *limit, str(folder)],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    lines = done.stderr.splitlines()
    executed = next((line.split()[-1] for line in lines if "number_of_executed" in line), "?")
    covered = next((line for line in reversed(lines) if " cov: " in line), "")
    reached = covered.partition(" cov: ")[2].split(" ")[0] or "?"
    verdict = "nothing broke" if done.returncode == 0 else "BROKE"
    print(f"{name:<8} {executed:>9} inputs, {reached:>5} branches reached: {verdict}", flush=True)
    if done.returncode != 0:
        print(done.stdout[-2000:] + done.stderr[-6000:])
    return done.returncode


def again(name: str, file: Path) -> int:
    """Give one input to a target, and let what it raises be seen."""
    from tests.fuzz.targets import TARGETS

    TARGETS[name](file.read_bytes())
    print("nothing broke")
    return 0


def _child(name: str, options: Sequence[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=[_PACKAGE]):
        from tests.fuzz.targets import TARGETS
    atheris.Setup([sys.argv[0], *options], TARGETS[name])
    atheris.Fuzz()


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and fuzz."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["--child"]:
        _child(words[1], words[2:])
        return 0
    parser = argparse.ArgumentParser(prog="tests.fuzz.run", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--minutes", type=float, help="in all, shared by the targets")
    parser.add_argument("--runs", type=int, default=300, help="inputs of each (default: 300)")
    parser.add_argument("--work", type=Path, help="the working corpus (default: a new folder)")
    parser.add_argument("--again", type=Path, metavar="FILE", help="one input, to one target")
    options = parser.parse_args(words)
    names = options.targets or list(NAMES[:-1])
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"fuzz: no target '{unknown[0]}' (there are: {', '.join(NAMES)})", file=sys.stderr)
        return 2
    if options.again is not None:
        return again(names[0], options.again)
    if importlib.util.find_spec("atheris") is None:
        print("fuzz: atheris is not installed: run 'make setup'", file=sys.stderr)
        return 1
    work = options.work or Path(tempfile.mkdtemp(prefix="p4alg-fuzz-"))
    limit = [f"-runs={options.runs}"]
    if options.minutes is not None:
        limit = [f"-max_total_time={max(1, int(options.minutes * 60 / len(names)))}"]
    begun = time.monotonic()
    broken = [name for name in names if fuzz(name, work, limit) != 0]
    print(f"{len(broken)} of {len(names)} broke ({time.monotonic() - begun:.0f} s); corpus: {work}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
