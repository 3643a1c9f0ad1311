"""Compiling and caching, batches, large tables, and the native code under sanitizers."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from p4softswitch.errors import ProgramError
from p4softswitch.executor.compiler import translate
from p4softswitch.program.bmv2_json import load_program
from p4softswitch.program.model import MatchKind
from p4softswitch.state.entry import Exact, Masked, Match, Prefix, Range

from .helpers import action_id, executor, program_text, udp_frame
from .test_matching import make_table

TESTS = Path(__file__).parent.parent
ONE_LINE = (
    "from softswitch.helpers import executor\n"
    "from p4softswitch.errors import SwitchError\n"
    "try:\n"
    "    print(len(executor().process(1, bytes(60), 0)))\n"
    "except SwitchError as exc:\n"
    "    print(exc)\n"
)


def python(text: str, **environment: str) -> str:
    """What a fresh Python prints; `environment` is added to this process's."""
    done = subprocess.run(
        [sys.executable, "-c", text],
        cwd=TESTS,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_programs_are_compiled_once_and_kept_for_this_user_alone(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert python(ONE_LINE, P4ALG_CACHE=str(cache)) == "0"
    kept = {path: path.stat().st_ino for path in cache.iterdir()}
    assert {path.name.split("-")[0] for path in kept} == {"runtime", "program"}
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700
    # With a compiler that cannot compile, but tells the same version, what is kept is enough.
    assert python(ONE_LINE, P4ALG_CACHE=str(cache)) == "0"
    assert {path: path.stat().st_ino for path in cache.iterdir()} == kept


def test_the_cache_keeps_a_bounded_number_of_programs_those_used_last(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert python(ONE_LINE, P4ALG_CACHE=str(cache)) == "0"
    runtime = next(cache.glob("runtime-*"))
    for number in range(100):
        old = cache / f"program-{number:03}.so"
        old.touch()
        os.utime(old, (number, number))
    (cache / "build-killed").mkdir()
    (cache / "build-killed" / "made.so").touch()
    os.utime(cache / "build-killed", (0, 0))
    (cache / "build-running").mkdir()
    # What is used again is new again, and other programs are compiled as they are asked for.
    os.utime(runtime, (50, 50))
    for flags in ("-DA", "-DB"):
        assert python(ONE_LINE, P4ALG_CACHE=str(cache)) == "0"
        assert python(ONE_LINE, P4ALG_CACHE=str(cache), P4ALG_CFLAGS=flags) == "0"
    names = {path.name for path in cache.glob("*.so")}
    assert 60 < len(names) <= 64
    assert runtime.name in names
    assert {f"program-{number:03}.so" for number in range(46, 100)} <= names
    assert [path.name for path in cache.glob("build-*")] == ["build-running"]


def test_a_cache_that_others_may_write_to_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    said = python(ONE_LINE, P4ALG_CACHE=str(tmp_path))
    assert "can be written by others" in said
    assert "\n" not in said
    assert not list(tmp_path.iterdir())


def test_an_object_that_others_may_change_is_compiled_anew(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    python(ONE_LINE, P4ALG_CACHE=str(cache))
    for path in cache.iterdir():
        path.write_bytes(b"not an object")
        path.chmod(0o666)
    assert python(ONE_LINE, P4ALG_CACHE=str(cache)) == "0"


@pytest.mark.parametrize(("compiler", "said"), [("nocc", "CC"), (None, "no cc, gcc or clang")])
def test_without_a_compiler_one_line_says_what_to_do(
    tmp_path: Path, compiler: str | None, said: str
) -> None:
    empty = {"P4ALG_CACHE": str(tmp_path / "cache")}
    empty |= {"CC": compiler} if compiler else {"CC": "", "PATH": str(tmp_path)}
    text = python(ONE_LINE, **empty)
    assert text.startswith("no C compiler: ")
    assert said in text
    assert "apt install gcc" in text
    assert "\n" not in text


def test_what_cannot_be_translated_is_told_with_its_place_in_the_source() -> None:
    text = program_text().replace('"op" : "truncate"', '"op" : "fly_away"')
    with pytest.raises(ProgramError, match=r"'fly_away' .*\(l2switch\.p4:\d+: truncate"):
        translate(load_program(text))


def test_a_batch_is_the_same_as_packet_after_packet() -> None:
    frames = [udp_frame(bytes(n), dport=port) for n in range(20) for port in (53, 7777, 7778)]
    one, many = executor(), executor()
    for ex in (one, many):
        table = ex.state.tables["SwitchIngress.dmac"]
        table.insert((Exact(2),), 0, action_id("SwitchIngress.dmac", "forward"), (2,), 0)
    singly = [out for frame in frames for out in one.process(1, frame, 5)]
    assert many.process_batch(1, frames, 5) == singly
    assert many.stats.packets == len(frames)


def test_cells_at_the_same_index_of_large_arrays_are_fetched_together() -> None:
    text = program_text("stateful")
    assert "__builtin_prefetch" not in translate(load_program(text)).source
    root = json.loads(text)
    for register in root["register_arrays"]:
        register["size"] = {"slot_cell": 5000, "slot_state": 5000}.get(
            register["name"].split(".")[-1], register["size"]
        )
    lines = translate(load_program(json.dumps(root))).source.splitlines()
    fetched = {line.strip() for line in lines if "__builtin_prefetch" in line}
    names = ("REGISTER_StateEgress_slot_cell", "REGISTER_StateEgress_slot_state")
    assert fetched == {f"__builtin_prefetch(&((u64 *)s->object[{name}])[at]);" for name in names}


LARGE = [
    (MatchKind.EXACT, lambda n: (Exact(n % 32), Exact(n // 32 % 16), Exact(n // 512))),
    (MatchKind.TERNARY, lambda n: (Masked(n % 32, 31), Masked(n // 32 % 16, 15), Exact(n // 512))),
]


@pytest.mark.parametrize(("kind", "key"), LARGE)
def test_a_full_table_finds_each_of_its_entries_also_after_half_are_gone(
    kind: MatchKind, key: object
) -> None:
    assert callable(key)
    store = make_table((kind, kind, MatchKind.EXACT), kind, size=1 << 15)
    priority = 1 if store.needs_priority else 0
    keys: list[tuple[Match, ...]] = [key(n) for n in range(1 << 15)]
    for n, matches in enumerate(keys):
        store.insert(matches, priority, 0, (n % 256,), 0)
    for matches in keys[::2]:
        store.delete(matches, priority)
    assert len(store) == 1 << 14
    for n, matches in enumerate(keys):
        values = [m.value for m in matches if isinstance(m, Exact | Masked)]
        found = store.lookup(values)
        assert (None if found is None else found.args) == (None if n % 2 == 0 else (n % 256,))


def test_ten_thousand_ternary_entries_are_searched_by_mask_and_not_one_by_one() -> None:
    kinds = (MatchKind.TERNARY, MatchKind.LPM, MatchKind.RANGE)
    store = make_table(kinds, MatchKind.RANGE, size=10_000)
    for n in range(10_000):
        value = n % 32
        matches = (Masked(value, 31), Prefix(n // 32 % 16, 4), Range(n // 512, n // 512))
        if n // 512 < 20:
            store.insert(matches, n + 1, 0, (n % 256,), 0)
    begin, found = time.process_time(), 0
    for n in range(10_000):
        found += store.lookup((n % 32, n // 32 % 16, n // 512)) is not None
    assert found == 10_000
    assert time.process_time() - begin < 1  # most of it is the way from Python and back


def libraries() -> str | None:
    """The sanitizers' libraries, which must be loaded before Python's own."""
    paths = []
    for name in ("libasan.so", "libubsan.so"):
        done = subprocess.run(
            ["cc", f"-print-file-name={name}"], capture_output=True, text=True, check=False
        )
        path = done.stdout.strip()
        if not Path(path).is_absolute():
            return None
        paths.append(path)
    return ":".join(paths)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_broken_packets_and_random_writes_under_sanitizers(seed: int, tmp_path: Path) -> None:
    preload = libraries()
    if preload is None:
        pytest.skip("needs a compiler with address and undefined-behaviour sanitizers")
    environment = {
        "P4ALG_CACHE": str(tmp_path / "cache"),
        "P4ALG_CFLAGS": "-O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all",
        "LD_PRELOAD": preload,
        # Python itself keeps memory until it ends; its small objects must be seen one by one.
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",
    }
    done = subprocess.run(
        [sys.executable, "-m", "softswitch.native_fuzz", str(seed), "20000"],
        cwd=TESTS,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    for result in json.loads(done.stdout).values():
        assert result["faults"] == 0
        assert min(result["sent"], result["refused"]) > 20
