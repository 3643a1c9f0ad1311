"""The committed artifacts are those of the committed P4 sources."""

import importlib.util
import re
import shutil
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("p4build", ROOT / "p4src" / "build.py")
assert spec is not None
assert spec.loader is not None
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)


def test_manifest_describes_sources_and_artifacts():
    assert build.problems() == []


def test_changed_source_is_noticed(monkeypatch):
    monkeypatch.setattr(build, "source_files", lambda: [ROOT / "p4src" / "shared" / "sizes.p4"])
    assert any("sources_sha256" in problem for problem in build.problems())


@pytest.mark.p4c
@pytest.mark.skipif(shutil.which("p4c-bm2-ss") is None, reason="p4c-bm2-ss is not on PATH")
def test_recompiling_gives_the_committed_artifacts(tmp_path):
    if build.compiler_version() != build.json.loads(build.MANIFEST.read_text())["compiler"]:
        pytest.skip("another p4c version than the manifest's is on PATH")
    build.compile_into(tmp_path)
    for name in (build.JSON, build.P4INFO):
        assert (tmp_path / name).read_bytes() == (build.ARTIFACTS / name).read_bytes(), name


def test_every_table_has_a_direct_counter_and_every_object_an_explicit_id():
    for path in (ROOT / "p4src" / "v1model").glob("*.p4"):
        text = path.read_text()
        assert len(re.findall(r"\btable \w+ \{", text)) == len(re.findall(r"\bcounters = ", text))
        for match in re.finditer(r"^( *)(action|table) (\w+)", text, re.M):
            before = text[: match.start()].rstrip().splitlines()[-1]
            assert "@id(" in before, f"{path.name}: {match[3]} has no @id"
