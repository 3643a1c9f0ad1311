"""The dashboard and the rules for alerts ask for metrics, labels and counters that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.process_collector import ProcessCollector

from p4alg.daemon.metrics import Latency, Snapshot, families

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "examples" / "monitoring"
DASHBOARD = FOLDER / "dashboard.json"
ALERTS = FOLDER / "alerts.yaml"

OF_PROMETHEUS = {"up": set[str]()}
"""What Prometheus itself adds: this metric, and the labels of all."""
LABELS_OF_ALL = {"job", "instance", "le"}
METRIC = re.compile(r"\b((?:p4alg|process)_\w+|up)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=~|=)"([^"]*)"')
PROMTOOL = shutil.which("promtool")


class _Told:
    """A controller that has counted something of each kind."""

    def collect(self) -> Iterator[object]:
        """Its metrics."""
        counters = {"alg.ftp.a": 1, "nat.a": 1, "switch.punts.a": 1, "switch.drops.a": 1, "a": 1}
        algs = [{"name": "ftp", "enabled": True, "sessions": 1}]
        return families(Snapshot("1", "p4alg", counters, algs))


@cache
def exported() -> dict[str, set[str]]:
    """The labels of every sample that the controller exports, by its name."""
    registry = CollectorRegistry()
    Latency(registry)
    ProcessCollector(registry=registry)
    registry.register(_Told())  # type: ignore[arg-type]
    found: dict[str, set[str]] = dict(OF_PROMETHEUS)
    for line in generate_latest(registry).decode().splitlines():
        if not line.startswith("#"):
            name, _, rest = line.partition("{")
            labels = set(re.findall(r'(\w+)="', rest)) if rest else set()
            found.setdefault(name.split()[0], set()).update(labels)
    return found


def expressions() -> list[tuple[str, str]]:
    """Every expression of the two files, behind where it stands."""
    dashboard = json.loads(DASHBOARD.read_text())
    alerts = yaml.safe_load(ALERTS.read_text())
    return [
        *(
            (f"panel '{panel['title']}'", target["expr"])
            for panel in dashboard["panels"]
            for target in panel["targets"]
        ),
        *((f"alert {r['alert']}", r["expr"]) for g in alerts["groups"] for r in g["rules"]),
        *(
            (f"variable {one['name']}", one["query"])
            for one in dashboard["templating"]["list"]
            if one["type"] == "query"
        ),
    ]


def wrong(expression: str) -> list[str]:
    """What an expression asks for that is not exported."""
    found = METRIC.findall(expression)
    if not found:
        return ["no metric"]
    problems = []
    for name, matchers in found:
        if name not in exported():
            problems.append(f"no metric {name}")
            continue
        known = exported()[name] | LABELS_OF_ALL
        problems += [
            f"{name} has no label {label}"
            for label, _, _ in MATCHER.findall(matchers)
            if label not in known
        ]
    return problems


@pytest.mark.parametrize(
    ("where", "expression"), expressions(), ids=[where for where, _ in expressions()]
)
def test_what_is_asked_for_is_exported(where: str, expression: str) -> None:
    assert not wrong(expression), f"{where}: {wrong(expression)}"


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ("rate(p4alg_natt_total[5m])", "no metric p4alg_natt_total"),
        ("p4alg_nat", "no metric p4alg_nat"),
        ('p4alg_nat_total{name="x"}', "p4alg_nat_total has no label name"),
        ("vector(1)", "no metric"),
    ],
)
def test_what_is_not_exported_is_found(expression: str, problem: str) -> None:
    assert wrong(expression) == [problem]


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    text = DASHBOARD.read_text()
    # A histogram is read by its buckets; the other samples of it belong to it.
    derived = re.compile(r"_(created|count|sum)$")
    ours = {name for name in exported() if name.startswith("p4alg_") and not derived.search(name)}
    assert not {name for name in ours if name not in text}


def test_panels_have_a_place_of_their_own() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24, panel["title"]
        taken |= cells


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool (Debian package prometheus)")
def test_promtool_accepts_rules_and_expressions(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    # Grafana fills in what begins with $ before it asks.
    rules = [
        {"record": f"a:b:c{n}", "expr": text.replace("$__rate_interval", "5m")}
        for n, (where, text) in enumerate(expressions())
        if not where.startswith("variable")
    ]
    asked = tmp_path / "asked.yaml"
    asked.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}))
    done = subprocess.run(
        [PROMTOOL, "check", "rules", str(ALERTS), str(asked)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
