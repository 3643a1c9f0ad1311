"""The committed artifacts and Python constants are those of the committed P4 sources."""

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from p4alg import p4constants, protocols
from p4alg.driver.gauges import DROPS, PUNTS, meters
from tests.unit.engine.harness import settings

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "p4src"))
import python_constants  # type: ignore[import-not-found]  # noqa: E402

spec = importlib.util.spec_from_file_location("p4build", ROOT / "p4src" / "build.py")
assert spec is not None
assert spec.loader is not None
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)


def check(**environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "p4src" / "build.py"), "--check"]
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=env)


def test_check_needs_no_compiler(tmp_path: Path) -> None:
    done = check(PATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")


def test_python_constants_are_those_of_the_sources() -> None:
    assert python_constants.problems() == []


def test_changed_constants_are_noticed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    changed = tmp_path / "p4constants.py"
    changed.write_text(python_constants.generate().replace("CPU_PORT = 510", "CPU_PORT = 255"))
    monkeypatch.setattr(python_constants, "MODULE", changed)
    assert python_constants.problems() == ["p4constants.py is not that of the sources"]
    changed.unlink()
    assert python_constants.problems() == ["p4constants.py is not that of the sources"]


def test_every_constant_of_the_sources_has_a_rule() -> None:
    numbers = python_constants.read("const bit<8> NEW_THING = 1;  // what it is\n")
    with pytest.raises(python_constants.SourceError, match="NEW_THING: name a rule"):
        python_constants.render(numbers)


def test_a_constant_that_cannot_be_read_is_told_with_its_line() -> None:
    with pytest.raises(python_constants.SourceError, match="line 2 is not a number"):
        python_constants.read("#define GUARD\n#define SIZE_A (1 << 4)\n")


def test_numbers_groups_and_comments_are_carried_over() -> None:
    text = python_constants.render(
        python_constants.read(
            "#define SIZE_A 0x10  // of a\nconst punt_t PUNT_SOME = 3;\n"
            "const bit<8> OUT_FLAG = 2;  // why\nconst bit<8> PROTO_X = 9;\n"
        )
    )
    assert "\nSIZE_A = 0x10  # of a\n" in text
    assert "    SOME = 3\n" in text
    assert "    NONE = 0\n    FLAG = 2  # why\n" in text
    assert "PROTO" not in text
    ast.parse(text)


def test_ip_protocols_are_those_of_the_program() -> None:
    text = (ROOT / "p4src" / "shared" / "constants.p4").read_text()
    found = {n.name: int(n.value, 0) for n in python_constants.read(text)}
    for name in ("ICMP", "TCP", "UDP", "GRE", "ESP"):
        assert found[f"PROTO_{name}"] == getattr(protocols, name)


def test_every_punt_and_drop_has_its_place_and_its_word() -> None:
    assert max(p4constants.Punt) < p4constants.PUNT_CLASSES
    assert max(p4constants.Drop) < p4constants.DROP_REASONS
    assert set(PUNTS) == set(p4constants.Punt) - {p4constants.Punt.NONE}
    of_sides = {m.index for m in meters([settings()]) if m.array == "punt_meter"}
    classes = p4constants.PUNT_CLASSES
    assert of_sides == {side * classes + punt for side in (0, 1) for punt in PUNTS}
    assert DROPS[p4constants.Drop.NOT_FOR_US] == "not-for-us"
    assert set(DROPS) == set(p4constants.Drop) - {p4constants.Drop.NONE}


@pytest.mark.parametrize("name", build.VARIANTS)
def test_manifest_describes_sources_and_artifacts(name: str) -> None:
    assert build.problems(build.ARTIFACTS.parent / name) == []


def test_changed_source_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "source_files", lambda _: [ROOT / "p4src" / "shared" / "sizes.p4"])
    assert any("sources_sha256" in problem for problem in build.problems())


@pytest.mark.p4c
@pytest.mark.skipif(shutil.which("p4c-bm2-ss") is None, reason="p4c-bm2-ss is not on PATH")
@pytest.mark.parametrize("name", build.VARIANTS)
def test_recompiling_gives_the_committed_artifacts(tmp_path: Path, name: str) -> None:
    committed = build.ARTIFACTS.parent / name
    manifest = build.json.loads((committed / build.MANIFEST).read_text())
    if build.compiler_version() != manifest["compiler"]:
        pytest.skip("another p4c version than the manifest's is on PATH")
    build.compile_into(tmp_path, build.VARIANTS[name])
    for one in (build.JSON, build.P4INFO):
        assert (tmp_path / one).read_bytes() == (committed / one).read_bytes(), one


def test_every_table_has_a_direct_counter_and_every_object_an_explicit_id() -> None:
    for path in (ROOT / "p4src" / "v1model").glob("*.p4"):
        text = path.read_text()
        assert len(re.findall(r"\btable \w+ \{", text)) == len(re.findall(r"\bcounters = ", text))
        for match in re.finditer(r"^( *)(action|table) (\w+)", text, re.M):
            before = text[: match.start()].rstrip().splitlines()[-1]
            assert "@id(" in before, f"{path.name}: {match[3]} has no @id"
