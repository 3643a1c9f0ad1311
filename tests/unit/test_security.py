"""docs/security.md: every promise names tests and attacks that exist, and no attack is missing."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import pytest

from attacks.run import ATTACKS
from tests.unit.test_docs import ROOT, files_of, names_in

TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")


def promises() -> list[list[str]]:
    """The rows of the table of promises: topic, promise, tests, attack."""
    lines = [line for line in TEXT.splitlines() if re.match(r"\| \d+ \|", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("row", promises(), ids=lambda row: row[1][:40])
def test_a_promise_is_a_sentence_with_tests_that_exist(row: list[str]) -> None:
    assert len(row) == 4
    _, promise, shown, _ = row
    assert promise.endswith(".")
    references = re.findall(r"`([^`]+::[^`]+)`", shown)
    assert references
    for reference in references:
        file, _, pattern = reference.partition("::")
        names = [name for path in files_of(file) for name in names_in(path)]
        assert any(fnmatchcase(name, pattern) for name in names), reference


def test_every_attack_belongs_to_a_promise_of_its_topic() -> None:
    promised = {(int(topic), attack) for topic, _, _, attack in promises() if attack}
    assert promised == {(attack.topic, attack.name) for attack in ATTACKS}
