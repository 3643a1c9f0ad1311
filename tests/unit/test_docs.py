"""The documents say what is true: ids are defined, and what is named exists.

`docs/behaviours.md` describes the syntax of ids that this module looks for.
"""

import ast
import functools
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (
    "controller",
    "softswitch",
    "ptf-tests",
    "tests",
    "p4src",
    "docs",
    "peers",
    "demo",
    "benchmarks",
)
SUFFIXES = {".md", ".p4", ".py", ".xml", ".yaml"}
NOT_SHOWN = {"no test of its own", "not there yet"}

NUMBERED = r"N(?:4787|5382|5508|6888|7857)"
ID = re.compile(rf"[FGKPRST]\d{{1,2}}|{NUMBERED}-\d{{1,2}}|rule \d{{1,2}}")
PROSE = re.compile(
    rf"""(?<![\w*\\])(?:
        (?P<word>[FGKPRST]\d{{1,2}})(?![\w-])
      | (?P<numbered>{NUMBERED}-\d{{1,2}})(?!\w)
      | (?:RFC[ ])?(?P<rfc>4787|5382|5508|6888)[ ]REQ-(?P<req>\d{{1,2}})(?!\d)
      | (?P<rule>[Rr]ule[ ]\d{{1,2}})(?!\w)
    )""",
    re.VERBOSE,
)
IN_NAME = re.compile(
    r"(?:and_)?(?:(?P<word>[FGKPRST]\d{1,2})|N(?P<rfc>\d{4})_(?P<req>\d{1,2})|rule_(?P<rule>\d{1,2}))_"
)
AND_NUMBER = re.compile(r"and_(?P<req>\d{1,2})_")


def ids_in_prose(text: str) -> Iterator[str]:
    """The ids that a text names. P4 by itself is the language."""
    for match in PROSE.finditer(text):
        if match["word"] and match["word"] != "P4":
            yield match["word"]
        elif match["numbered"]:
            yield match["numbered"]
        elif match["rfc"]:
            yield f"N{match['rfc']}-{match['req']}"
        elif match["rule"]:
            yield match["rule"].lower()


def ids_in_name(name: str) -> Iterator[str]:
    """The ids that the name of a test claims: those it begins with."""
    rest, rfc = name.removeprefix("test_"), ""
    while match := IN_NAME.match(rest) or (rfc and AND_NUMBER.match(rest)):
        found: dict[str, str] = {
            **dict.fromkeys(("word", "req", "rule"), ""),
            "rfc": rfc,
            **match.groupdict(""),
        }
        rfc = found["rfc"] if found["req"] else ""
        if found["word"]:
            yield found["word"]
        elif found["rule"]:
            yield f"rule {found['rule']}"
        else:
            yield f"N{rfc}-{found['req']}"
        rest = rest[match.end() :]


def files() -> Iterator[Path]:
    """What may name an id: sources, tests and documents, but nothing generated."""
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in SUFFIXES and path != Path(__file__) and "artifacts" not in path.parts:
                yield path
    yield from sorted(ROOT.glob("*.md"))


def documents() -> Iterator[Path]:
    """Everything that is written to be read."""
    yield from ROOT.glob("*.md")
    yield from (ROOT / "docs").glob("*.md")


@functools.cache
def names_in(path: Path) -> tuple[str, ...]:
    """The tests of a file: functions `test_...`, and the classes that PTF runs."""
    tree = ast.parse(path.read_text())
    functions = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    found = [name for name in functions if name.startswith("test_")]
    if path.parent.name == "ptf-tests":
        classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        found = [name for name in classes if not name.startswith("_")]
    return tuple(found)


def rows() -> Iterator[tuple[str, str]]:
    """Every definition of an id: the id, and the cell that says where it is shown."""
    for document in sorted((ROOT / "docs").glob("behaviours*.md")):
        for line in document.read_text().splitlines():
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if line.startswith("| ") and ID.fullmatch(cells[0]):
                assert len(cells) == 3, f"{document.name}: {cells[0]}: a row has three cells"
                assert cells[1].endswith("."), f"{document.name}: {cells[0]}: a plain sentence"
                yield cells[0], cells[2]


def references() -> Iterator[tuple[str, str]]:
    """Every `FILE::NAME` of the documents of behaviours, with where it stands."""
    for document in sorted((ROOT / "docs").glob("behaviours*.md")):
        for number, line in enumerate(document.read_text().splitlines(), 1):
            if line.startswith("| "):
                for reference in re.findall(r"`([^`]+::[^`]+)`", line):
                    yield f"{document.name}:{number}", reference


def test_every_id_that_is_used_is_defined() -> None:
    defined = {name for name, _ in rows()}
    unknown = []
    for path in files():
        text = path.read_text()
        used = set(ids_in_prose(text))
        for name in re.findall(r"\bdef (test_\w+)", text):
            used.update(ids_in_name(name))
        unknown += [f"{path.relative_to(ROOT)}: {name}" for name in sorted(used - defined)]
    assert not unknown, "define in docs/behaviours.md: " + ", ".join(unknown)


def test_no_id_is_defined_twice() -> None:
    seen = [name for name, _ in rows()]
    assert not {name for name in seen if seen.count(name) > 1}


def test_every_id_says_where_it_is_shown_or_that_it_is_not() -> None:
    for name, shown in rows():
        if shown not in NOT_SHOWN:
            assert re.fullmatch(r"`[^`]+`(, `[^`]+`)*", shown), f"{name}: {shown!r}"


def files_of(reference: str) -> list[Path]:
    """The files of the first part of a reference: a file, or with `/*` all below a folder."""
    base = ROOT if reference.startswith("ptf-tests/") else ROOT / "tests"
    if reference.endswith("/*"):
        return sorted((base / reference.removesuffix("/*")).rglob("test_*.py"))
    return [base / reference] if (base / reference).is_file() else []


def test_every_test_that_a_behaviour_names_exists() -> None:
    missing = []
    for where, reference in references():
        file, _, pattern = reference.partition("::")
        names = [name for path in files_of(file) for name in names_in(path)]
        if not any(fnmatchcase(name, pattern) for name in names):
            missing.append(f"{where}: nothing in {file} is named {pattern}")
    assert not missing, "\n".join(missing)


def test_no_behaviour_is_missing_that_a_test_claims_by_its_name() -> None:
    """A behaviour that is not there yet has no test that claims to show it."""
    shown = dict(rows())
    for path in (ROOT / "tests").rglob("test_*.py"):
        for name in names_in(path):
            for claimed in ids_in_name(name):
                assert shown.get(claimed) not in NOT_SHOWN, f"{path.name}::{name}"


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("nothing is read (G7).", ["G7"]),
        ("S6 and S7: whole calls", ["S6", "S7"]),
        ("a P4 program, hex 0xF1, \\xf4 and F1x, 64*T1, K-1", []),
        ("design rule 2; Rule 8: adopt", ["rule 2", "rule 8"]),
        ("RFC 6888 REQ-11, RFC 5382 REQ-5, 5508 REQ-2", ["N6888-11", "N5382-5", "N5508-2"]),
        ("N4787-1 and N7857-9, but not RFC 3261 REQ-1", ["N4787-1", "N7857-9"]),
    ],
)
def test_ids_are_found_in_prose(text: str, ids: list[str]) -> None:
    assert list(ids_in_prose(text)) == ids


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("test_F4_227_without_PASV_is_refused", ["F4"]),
        ("test_F1_F3_PORT_opens_a_pinhole", ["F1", "F3"]),
        ("test_P4_GRE_ends_with_its_call", ["P4"]),
        ("test_N4787_3_and_4_range_and_parity", ["N4787-3", "N4787-4"]),
        ("test_N4787_5_and_N5508_2_timers", ["N4787-5", "N5508-2"]),
        ("test_rule_8_stopping", ["rule 8"]),
        ("test_a_G7_later_in_the_name", []),
    ],
)
def test_ids_are_found_in_names(name: str, ids: list[str]) -> None:
    assert list(ids_in_name(name)) == ids


@pytest.mark.parametrize("document", sorted(p.name for p in (ROOT / "docs").glob("*.md")))
def test_documents_link_to_what_exists(document: str) -> None:
    path = ROOT / "docs" / document
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
        assert (path.parent / target).exists(), f"{document}: {target}"


@pytest.mark.parametrize("document", sorted(str(p.relative_to(ROOT)) for p in documents()))
def test_source_files_that_a_document_names_exist(document: str) -> None:
    """As a path from the checkout, `controller/p4alg` or `softswitch/p4softswitch`.

    A path from / is one of a machine where p4alg is installed.
    """
    bases = (ROOT, ROOT / "controller" / "p4alg", ROOT / "softswitch" / "p4softswitch")
    for name in re.findall(
        r"`((?!/)[\w./-]+/[\w.-]+\.(?:p4|py|toml|yaml))`", (ROOT / document).read_text()
    ):
        assert any((base / name).is_file() for base in bases), f"{document}: {name}"


def test_the_readme_lists_every_document() -> None:
    readme = (ROOT / "README.md").read_text()
    for path in (ROOT / "docs").glob("*.md"):
        assert f"](docs/{path.name})" in readme, path.name
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", readme):
        assert (ROOT / target).exists(), target
