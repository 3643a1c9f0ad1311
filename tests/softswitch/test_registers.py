"""Registers over P4Runtime, for any client: one cell, all cells, and what is refused."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import grpc
import pytest

from p4softswitch.p4rt import bytestring
from p4softswitch.p4rt.cells import HINT, TIME
from p4softswitch.p4rt.cells import answer as all_cells
from p4softswitch.p4rt.codes import RpcError
from p4softswitch.p4rt.device import CHUNK_ENTITIES
from p4softswitch.p4rt.proto import p4r, rpc_code
from p4softswitch.server import Server

from .helpers import Bench, config, update
from .stateful_compare import PEEK, SESSION, answer, request
from .test_service import Client, with_server

WIDE, BITS = 80, 1
MANY = 1 << 18


@pytest.fixture
def bench() -> Bench:
    return Bench(message=config(name="stateful"))


def cell(bench: Bench, name: str, index: int | None = None, data: bytes | None = None) -> Any:
    entry = p4r.RegisterEntry(register_id=bench.id_of("registers", name))
    if index is not None:
        entry.index.index = index
    if data is not None:
        entry.data.bitstring = data
    return entry


def read(bench: Bench, entry: Any) -> dict[int, bytes]:
    found = bench.controller.read(p4r.Entity(register_entry=entry))
    cells = [entity.register_entry for entity in found]
    assert {c.register_id for c in cells} <= {entry.register_id}
    return {c.index.index: c.data.bitstring for c in cells}


def refused(bench: Bench, entry: Any) -> tuple[int, str]:
    with pytest.raises(RpcError) as info:
        read(bench, entry)
    return info.value.code, info.value.message


def test_what_packets_write_is_read_in_the_shortest_form(bench: Bench) -> None:
    wide = 0x0102030405060708090A
    bench.receive(1, request(SESSION, index=3, number=9, wide=wide, bits=1, tag=0x77))
    assert read(bench, cell(bench, "session_cell", 3)) == {3: wide.to_bytes(10, "big")}
    state = 9 << 40 | 1 << 32 | 0x77
    assert read(bench, cell(bench, "session_state", 3)) == {3: state.to_bytes(6, "big")}
    assert read(bench, cell(bench, "session_cell", 4)) == {4: b"\0"}


def test_what_is_written_is_what_packets_read(bench: Bench) -> None:
    wide = (1 << WIDE) - 1
    assert bench.controller.write(
        update("MODIFY", register_entry=cell(bench, "session_cell", 15, wide.to_bytes(10, "big"))),
        update("MODIFY", register_entry=cell(bench, "bits", 15, b"\1")),
        update("MODIFY", register_entry=cell(bench, "number", 15, b"\0\0\0\5")),
    ) == [0, 0, 0]
    ((_, back),) = bench.receive(1, request(PEEK, index=15))
    got = answer(back)
    assert (got["wide"], got["bits"], got["number"]) == (wide, 1, 5)
    ((_, back),) = bench.receive(1, request(PEEK, index=14))
    assert answer(back)["wide"] == 0


def test_without_an_index_all_cells_are_meant(bench: Bench) -> None:
    assert read(bench, cell(bench, "number")) == dict.fromkeys(range(16), b"\0")
    entry = cell(bench, "number", None, b"\1\2")
    assert bench.controller.write(update("MODIFY", register_entry=entry)) == [0]
    assert read(bench, cell(bench, "number")) == dict.fromkeys(range(16), b"\1\2")
    assert read(bench, cell(bench, "bits")) == dict.fromkeys(range(16), b"\0")


def test_without_an_id_all_registers_are_meant(bench: Bench) -> None:
    found = bench.controller.read(p4r.Entity(register_entry=p4r.RegisterEntry()))
    sizes = {r.preamble.id: r.size for r in bench.p4info.registers}
    got = [e.register_entry.register_id for e in found]
    assert {number: got.count(number) for number in sizes} == sizes


@pytest.mark.parametrize(
    ("index", "code"),
    [
        (16, rpc_code.OUT_OF_RANGE),
        (1 << 40, rpc_code.OUT_OF_RANGE),
        (-1, rpc_code.INVALID_ARGUMENT),
    ],
)
def test_a_cell_that_does_not_exist_is_refused(bench: Bench, index: int, code: int) -> None:
    status, text = refused(bench, cell(bench, "number", index))
    assert status == code
    assert f"index {index}" in text or f"no cell {index}" in text
    assert "\n" not in text
    write = update("MODIFY", register_entry=cell(bench, "number", index, b"\1"))
    assert bench.controller.write(write) == [code]


def test_an_unknown_register_is_not_found(bench: Bench) -> None:
    unknown = p4r.RegisterEntry(register_id=5)
    assert refused(bench, unknown) == (rpc_code.NOT_FOUND, "there is no register with id 0x5")
    assert bench.controller.write(update("MODIFY", register_entry=unknown)) == [rpc_code.NOT_FOUND]


@pytest.mark.parametrize("data", [None, b"", b"\2", b"\1\0"])
def test_a_value_that_is_no_bitstring_of_the_width_is_refused_and_changes_nothing(
    bench: Bench, data: bytes | None
) -> None:
    for index in (1, None):
        write = update("MODIFY", register_entry=cell(bench, "bits", index, data))
        assert bench.controller.write(write) == [rpc_code.INVALID_ARGUMENT]
    entry = cell(bench, "bits", 1)
    entry.data.bool = True
    write = update("MODIFY", register_entry=entry)
    assert bench.controller.write(write) == [rpc_code.INVALID_ARGUMENT]
    assert set(read(bench, cell(bench, "bits")).values()) == {b"\0"}


@pytest.mark.parametrize("kind", ["INSERT", "DELETE"])
def test_cells_are_neither_inserted_nor_deleted(bench: Bench, kind: str) -> None:
    write = update(kind, register_entry=cell(bench, "number", 1, b"\1"))
    assert bench.controller.write(write) == [rpc_code.INVALID_ARGUMENT]
    assert read(bench, cell(bench, "number", 1)) == {1: b"\0"}


def test_cells_that_are_no_bit_strings_are_left_out(bench: Bench) -> None:
    message = config(name="stateful")
    (signed,) = (r for r in message.p4info.registers if r.preamble.alias == "number")
    signed.type_spec.bitstring.int.bitwidth = 16
    other = Bench(message=message)
    assert refused(other, cell(other, "number"))[0] == rpc_code.UNIMPLEMENTED
    write = update("MODIFY", register_entry=cell(other, "number", 1, b"\1"))
    assert other.controller.write(write) == [rpc_code.UNIMPLEMENTED]
    found = other.controller.read(p4r.Entity(register_entry=p4r.RegisterEntry()))
    assert other.id_of("registers", "number") not in {e.register_entry.register_id for e in found}


@pytest.mark.parametrize("change", ["size", "width"])
def test_a_p4info_with_other_registers_than_the_program_is_refused(change: str) -> None:
    message = config(name="stateful")
    if change == "size":
        message.p4info.registers[0].size += 1
    else:
        message.p4info.registers[0].type_spec.bitstring.bit.bitwidth += 1
    with pytest.raises(RpcError, match="differs in P4Info and program"):
        Bench(message=message)


def large() -> Any:
    """The test program with many cells in one register."""
    message = config(name="stateful")
    program = json.loads(message.p4_device_config)
    (array,) = (r for r in program["register_arrays"] if r["name"].endswith("session_cell"))
    array["size"] = MANY
    message.p4_device_config = json.dumps(program).encode()
    (info,) = (r for r in message.p4info.registers if r.preamble.alias == "session_cell")
    info.size = MANY
    return message


def test_many_cells_are_read_in_small_messages_while_packets_pass() -> None:
    message = large()
    gaps: list[float] = []

    async def packets(server: Server, loop: asyncio.AbstractEventLoop) -> None:
        """Packets as from an interface, and how long each had to wait for its turn."""
        frame, last = request(PEEK), loop.time()
        while True:
            await asyncio.sleep(0)
            gaps.append(loop.time() - last)
            last = loop.time()
            server.switch.receive(1, frame, server.clock())

    async def body(server: Server, client: Client) -> None:
        await client.arbitrate()
        await client.push(message)
        (number,) = (
            r.preamble.id for r in message.p4info.registers if r.preamble.alias == "session_cell"
        )
        wanted = p4r.ReadRequest(device_id=1)
        wanted.entities.add().register_entry.register_id = number
        passing = asyncio.create_task(packets(server, asyncio.get_running_loop()))
        cells = 0
        async for part in client.stub.Read(wanted):
            assert part.ByteSize() < 1 << 16
            cells += len(part.entities)
        passing.cancel()
        assert cells == MANY

    with_server(body)
    # A packet gets its turn after every message, so that there were at least as many.
    assert len(gaps) > MANY / CHUNK_ENTITIES
    gaps.sort()
    assert gaps[len(gaps) * 99 // 100] < 0.05


async def hinted(client: Client, number: int, hint: str) -> tuple[dict[int, int], int]:
    """The cells of a register that a hint asks for, and the time that comes with the answer."""
    wanted = p4r.ReadRequest(device_id=1)
    wanted.entities.add().register_entry.register_id = number
    call = client.stub.Read(wanted, metadata=((HINT, hint),))
    found: dict[int, int] = {}
    async for part in call:
        assert part.ByteSize() < 1 << 18
        for entity in part.entities:
            entry = entity.register_entry
            assert entry.register_id == number
            assert entry.index.index not in found
            found[entry.index.index] = int.from_bytes(entry.data.bitstring, "big")
    return found, int(dict(await call.initial_metadata())[TIME])


def test_a_hint_leaves_out_the_cells_that_nobody_needs() -> None:
    message = large()
    rng = random.Random(3)
    held = {index: rng.getrandbits(WIDE) | 1 for index in rng.sample(range(MANY), 9000)}
    held |= {0: 1 << 79, MANY - 1: 0x77 << 64, 5: 0x77}

    async def body(server: Server, client: Client) -> None:
        await client.arbitrate()
        await client.push(message)
        numbers = {r.preamble.alias: r.preamble.id for r in message.p4info.registers}
        number = numbers["session_cell"]
        executor = server.switch.executor
        assert executor is not None
        for index, value in held.items():
            executor.state.registers["StateEgress.session_cell"].write(index, value)
        assert await hinted(client, number, "held") == (held, 0)
        server.switch.receive(1, request(PEEK), server.clock())
        high, _ = await hinted(client, number, f"{0x77 << 64:x}/{0xFF << 64:x}")
        low, time = await hinted(client, number, "77/ff")
        assert high == {i: v for i, v in held.items() if v >> 64 & 0xFF == 0x77}
        assert low == {i: v for i, v in held.items() if v & 0xFF == 0x77}
        assert MANY - 1 in high
        assert 5 in low
        assert 0 < time < 20_000_000
        both, later = await hinted(client, number, f"77/ff,{0x77 << 64:x}/{0xFF << 64:x}")
        assert both == high | low
        assert time <= later
        # Cells that hold 0 are never sent, not even where a key fits them.
        assert (await hinted(client, number, "0/0"))[0] == held
        assert (await hinted(client, numbers["bits"], "held"))[0] == {}

    with_server(body)


@pytest.mark.parametrize(
    "hint",
    [
        "",
        "Held",
        "1",
        "1/",
        "/1",
        "x/1",
        "1/1,",
        "1/1, 2/2",
        f"0/{'f' * 21}",
        ",".join(["1/1"] * 65),
    ],
)
def test_a_hint_that_means_nothing_is_refused_in_one_line(hint: str) -> None:
    async def body(server: Server, client: Client) -> None:
        await client.arbitrate()
        message = config(name="stateful")
        await client.push(message)
        (number,) = (
            r.preamble.id for r in message.p4info.registers if r.preamble.alias == "session_cell"
        )
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await hinted(client, number, hint)
        assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "\n" not in (failed.value.details() or "\n")

    with_server(body)


def test_a_refused_cell_is_a_grpc_status_of_one_line() -> None:
    async def body(server: Server, client: Client) -> None:
        await client.arbitrate()
        await client.push(config(name="stateful"))
        bench = Bench(message=config(name="stateful"))
        wanted = p4r.ReadRequest(device_id=1)
        wanted.entities.add().register_entry.CopyFrom(cell(bench, "number", 16))
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            async for _ in client.stub.Read(wanted):
                pass
        assert failed.value.code() is grpc.StatusCode.OUT_OF_RANGE
        assert failed.value.details() == (
            "register StateEgress.number has no cell 16, its last one is 15"
        )

    with_server(body)


@pytest.mark.parametrize("first", [0, 120, 16300, 2_097_100, 300_000_000])
@pytest.mark.parametrize("width", [1, 48, 80, 192, 512])
def test_an_array_is_written_down_as_protobuf_does_it(first: int, width: int) -> None:
    rng = random.Random(first + width)
    values = [rng.choice((0, rng.getrandbits(width))) for _ in range(200)]
    made = p4r.ReadResponse()
    for index, value in enumerate(values, first):
        part = made.entities.add().register_entry
        part.register_id, part.index.index = 369098753, index
        part.data.bitstring = bytestring.encode(value)
    found = all_cells(369098753, enumerate(values, first))
    assert found.SerializeToString() == made.SerializeToString()


def test_other_entities_of_a_request_come_before_and_behind_an_array(bench: Bench) -> None:
    def asked(name: str) -> Any:
        return p4r.Entity(register_entry=cell(bench, name, 1))

    whole = p4r.Entity(register_entry=cell(bench, "bits"))
    found = bench.controller.read(asked("number"), whole, asked("last"))
    ids = [entity.register_entry.register_id for entity in found]
    order = [bench.id_of("registers", name) for name in ("number", *["bits"] * 16, "last")]
    assert ids == order
