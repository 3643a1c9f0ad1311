"""A switch that was started without parts of P4Runtime answers as one that never had them."""

from __future__ import annotations

import pytest

from p4softswitch.cli import main
from p4softswitch.p4rt.codes import OK, UNIMPLEMENTED, RpcError
from p4softswitch.p4rt.lacking import Part
from p4softswitch.p4rt.proto import p4r
from tests.softswitch.helpers import SECOND, Bench, update

COUNTED = p4r.TableEntry(counter_data=p4r.CounterData())
ASKED = {
    Part.REGISTERS: p4r.Entity(register_entry=p4r.RegisterEntry()),
    Part.DIGESTS: p4r.Entity(digest_entry=p4r.DigestEntry()),
    Part.METERS: p4r.Entity(meter_entry=p4r.MeterEntry()),
    Part.COUNTERS: p4r.Entity(counter_entry=p4r.CounterEntry()),
    Part.DIRECT_COUNTERS: p4r.Entity(table_entry=COUNTED),
}
WRITTEN = {
    Part.REGISTERS: update("MODIFY", register_entry=p4r.RegisterEntry()),
    Part.DIGESTS: update("INSERT", digest_entry=p4r.DigestEntry()),
    Part.METERS: update("MODIFY", meter_entry=p4r.MeterEntry()),
    Part.COUNTERS: update("MODIFY", counter_entry=p4r.CounterEntry()),
    Part.DIRECT_COUNTERS: update("MODIFY", direct_counter_entry=p4r.DirectCounterEntry()),
}


@pytest.mark.parametrize("part", ASKED)
def test_what_is_lacking_is_not_implemented_and_the_rest_is(part: Part) -> None:
    bench = Bench(lacks={part})
    for other, entity in ASKED.items():
        if other is part:
            with pytest.raises(RpcError) as caught:
                bench.controller.read(entity)
            assert caught.value.code == UNIMPLEMENTED
            assert f"without {part}" in caught.value.message
        else:
            bench.controller.read(entity)
    for other, write in WRITTEN.items():
        (code,) = bench.controller.write(write)
        assert (code == UNIMPLEMENTED) == (other is part), other


@pytest.mark.parametrize("lacks", [set(), {Part.IDLE_TIMEOUTS}])
def test_an_idle_timeout_is_taken_and_forgotten(lacks: set[Part]) -> None:
    bench = Bench(lacks=lacks)
    key = {1: ("exact", {"value": b"\1"}), 2: ("exact", {"value": b"\1"})}
    entry = bench.table_entry("smac", "known", match=key, idle_timeout_ns=SECOND)
    assert bench.controller.write(update("INSERT", table_entry=entry)) == [OK]
    (held,) = bench.controller.read(p4r.Entity(table_entry=bench.table_entry("smac", match=key)))
    assert held.table_entry.idle_timeout_ns == (0 if lacks else SECOND)
    bench.now += 5 * SECOND
    bench.switch.sweep_idle(bench.now)
    assert bool(bench.controller.take("idle_timeout_notification")) == (not lacks)


def test_an_unknown_part_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--without", "registers,magic"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("p4softswitch: --without magic: no such part (known: idle-timeouts, ")
    assert said.count("\n") == 1
