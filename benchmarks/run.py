"""`make bench`: the gateway on each target present, beside the kernel's NAT, in one run.

Prints figures and their ratios to netfilter. Fails if a floor is missed on the
embedded switch: new flows at half the rate of known ones, pinhole latency p99 below 20 ms. Selected
figures and targets can be asked for, and the same of another checkout beside them.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ["P4ALG_LAB_STATE"] = "/run/p4alg/bench"
os.environ["P4ALG_LAB_PREFIX"] = "p4algbench-"
os.environ.pop("P4ALG_SOCKET", None)

import measure
import operating
from measure import (
    FIGURES,
    INCUMBENTS,
    KERNEL,
    MEMORY,
    OPERATING,
    WORKERS,
    Checkout,
    Figure,
    Row,
    Values,
)
from p4alg.config.errors import UserError
from p4alg.lab import plan

FLOOR_FLOW_SHARE = 0.5
FLOOR_PINHOLE_MS = 20.0
Column = tuple[str, bool]
"""A target, and whether it is the other checkout's."""


def versions(targets: Sequence[str]) -> str:
    """The machine and what was measured on it."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    python = platform.python_version()
    text = f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python {python}"
    if "bmv2" in targets:
        done = subprocess.run(
            ["simple_switch_grpc", "--version"], capture_output=True, text=True, check=False
        )
        text += f", BMv2 {done.stdout.strip()}"
    return text


def columns(results: dict[Column, Values]) -> list[tuple[str, dict[str, str]]]:
    """Title and cells (by the key of their row) of each column.

    A target that was measured twice has a third column, ours by the other's; without
    another checkout there are the ratios to the kernel's NAT instead.
    """
    base = results.get((KERNEL, False))
    compares = any(is_other for _, is_other in results)
    shown: list[tuple[str, dict[str, str]]] = []
    for (target, is_other), values in results.items():
        cells = {key: f"{value:.4g}" for key, value in values.items()}
        if base is not None and target != KERNEL and not compares:
            cells |= {
                key: f"{text} ({_ratio(values, base, key)})"
                for key, text in cells.items()
                if key in base
            }
        shown.append((f"{target}, other" if is_other else target, cells))
        if is_other:
            ours = results[target, False]
            shown.append(
                ("ratio", {key: _ratio(ours, values, key) for key in ours if key in values})
            )
    return shown


def _ratio(values: Values, base: Values, key: str) -> str:
    return f"{values[key] / base[key]:.2g}x" if base[key] else "-"


def report(results: dict[Column, Values], rows: Sequence[Row]) -> None:
    """The table, and what else is to be said."""
    shown = columns(results)
    print(f"{'':<24}{'':<8}" + "".join(f"{title:>18}" for title, _ in shown))
    for row in rows:
        cells = "".join(f"{cells.get(row.key, '-'):>18}" for _, cells in shown)
        print(f"{row.label:<24}{row.unit:<8}{cells}")
    for (target, is_other), values in results.items():
        name = f"{target}, other" if is_other else target
        for tunnel in ("gre", "esp"):
            if tunnel in values:
                print(
                    f"{name}: {values[f'{tunnel}-punted']:.0f} packets in all came to the "
                    f"controller for {tunnel.upper()}, with its control session"
                )
        if "held-bad" in values:
            print(f"{name}: {values['held-bad']:.0f} of 1000 calls held at once failed")


def floors(values: Values) -> list[str]:
    """The floors that were missed, of those that were measured."""
    missed = []
    if values.get("flow-share", 1.0) < FLOOR_FLOW_SHARE:
        missed.append(f"new flows {values['flow-share']:.2f} of known, floor {FLOOR_FLOW_SHARE}")
    if values.get("p99", 0.0) >= FLOOR_PINHOLE_MS:
        missed.append(f"pinhole p99 {values['p99']:.1f} ms, floor {FLOOR_PINHOLE_MS:.0f} ms")
    return missed


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="compare the gateway's targets and netfilter")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of a flood")
    figures = [*(figure.name for figure in FIGURES), MEMORY, OPERATING]
    parser.add_argument(
        "--only",
        type=lambda text: _names(text, figures),
        default=figures,
        metavar="FIGURE,...",
        help=f"measure these only: {', '.join(figures)}",
    )
    targets = [*plan.TARGETS, *WORKERS, *INCUMBENTS]
    parser.add_argument(
        "--targets",
        type=lambda text: _names(text, targets),
        default=targets,
        metavar="TARGET,...",
        help=f"measure on these only: {', '.join(targets)}",
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="DIR",
        help="measure another checkout too, set up by its 'make setup', and print ratios to it",
    )
    return parser.parse_args()


def _names(text: str, known: Sequence[str]) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"no '{name}': choose from {', '.join(known)}")
    return names


def main() -> int:
    """Measure and report; returns the exit status."""
    args = arguments()
    try:
        return compare(args)
    except UserError as error:
        print(f"bench: {error}", file=sys.stderr)
        return error.status


def compare(args: argparse.Namespace) -> int:
    """Measure what is asked for, and report; returns the exit status."""
    ours = Checkout(measure.HERE.parent)
    checkouts = [ours]
    if args.against is not None:
        checkouts.append(Checkout(args.against.resolve()))
    for checkout in checkouts:
        checkout.require()
    targets = list(args.targets)
    if "bmv2" in targets and not shutil.which("simple_switch_grpc"):
        print("bmv2: left out, simple_switch_grpc is not on PATH")
        targets.remove("bmv2")
    figures = [figure for figure in FIGURES if figure.name in args.only]
    results = results_of(targets, checkouts, figures, args.seconds) if figures else {}
    print(versions(targets))
    if results:
        report(results, [row for figure in figures for row in figure.rows])
    if MEMORY in args.only:
        for checkout in checkouts:
            name = "" if checkout is ours else ", other"
            for held in measure.memory(checkout):
                print(
                    f"embedded{name}, {held.flows} plain flows: controller "
                    f"{held.controller:.0f} MB, switch {held.switch:.0f} MB"
                )
    if OPERATING in args.only:
        print(*operating.report(ours), sep="\n")
    missed = floors(results.get(("embedded", False), {}))
    for line in missed:
        print(f"FLOOR MISSED on the embedded switch: {line}")
    return 1 if missed else 0


def results_of(
    targets: Sequence[str],
    checkouts: Sequence[Checkout],
    figures: Sequence[Figure],
    seconds: float,
) -> dict[Column, Values]:
    """The values of each target, of one checkout right after the other."""
    results: dict[Column, Values] = {}
    for target in targets:
        # Incumbents are the same for all of them.
        for number, checkout in enumerate(checkouts[:1] if target in INCUMBENTS else checkouts):
            try:
                results[target, number > 0] = measure.run(target, checkout, figures, seconds)
            except UserError as error:
                if target not in INCUMBENTS:
                    raise
                print(f"{target}: left out, {error}")
    return results


if __name__ == "__main__":
    sys.exit(main())
