"""The P4Runtime device without a network: requests in, answers and stream messages out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4softswitch.p4rt import bytestring
from p4softswitch.p4rt.codes import RpcError
from p4softswitch.p4rt.packetio import packet_in, packet_out
from p4softswitch.p4rt.proto import p4r, rpc_code

from .helpers import SECOND, Bench, Controller, config, udp_frame, update

OK, INVALID, NOT_FOUND, EXISTS, DENIED, EXHAUSTED, PRECONDITION, UNIMPLEMENTED = (
    rpc_code.OK,
    rpc_code.INVALID_ARGUMENT,
    rpc_code.NOT_FOUND,
    rpc_code.ALREADY_EXISTS,
    rpc_code.PERMISSION_DENIED,
    rpc_code.RESOURCE_EXHAUSTED,
    rpc_code.FAILED_PRECONDITION,
    rpc_code.UNIMPLEMENTED,
)
VERIFY, VERIFY_AND_SAVE, VERIFY_AND_COMMIT, COMMIT, RECONCILE = 1, 2, 3, 4, 5


@pytest.fixture
def bench() -> Bench:
    return Bench()


def refused(call: Any, *args: Any, **kwargs: Any) -> int:
    with pytest.raises(RpcError) as info:
        call(*args, **kwargs)
    return info.value.code


# --- arbitration -----------------------------------------------------------------------------


def test_the_highest_election_id_is_primary_and_all_are_told(bench: Bench) -> None:
    one, two = bench.controller, Controller(bench.device, 5)
    assert two.arbitrate() == OK
    assert one.received[-1].arbitration.status.code == EXISTS
    assert one.received[-1].arbitration.election_id.low == 5
    low = Controller(bench.device, 3)
    assert low.arbitrate() == EXISTS
    assert refused(one.write) == DENIED
    assert two.write() == []


def test_without_a_primary_backups_are_told_and_only_a_high_enough_id_takes_over(
    bench: Bench,
) -> None:
    backup, primary = Controller(bench.device, 4), Controller(bench.device, 9)
    backup.arbitrate()
    primary.arbitrate()
    bench.device.stream_closed(primary.stream)
    assert backup.received[-1].arbitration.status.code == NOT_FOUND
    assert refused(backup.write) == DENIED
    backup.election_id = 8
    assert backup.arbitrate() == NOT_FOUND
    backup.election_id = 9
    assert backup.arbitrate() == OK


def test_an_election_id_in_use_and_a_wrong_device_end_the_stream(bench: Bench) -> None:
    assert refused(Controller(bench.device, 1).arbitrate) == INVALID
    assert refused(Controller(bench.device, 2).arbitrate, device_id=2) == NOT_FOUND


def test_a_client_without_election_id_is_a_backup(bench: Bench) -> None:
    client = Controller(bench.device, None)
    assert client.arbitrate() == EXISTS
    assert refused(client.write) == DENIED


def test_a_primary_that_lowers_its_id_is_primary_no_more(bench: Bench) -> None:
    bench.controller.election_id = 0
    assert bench.controller.arbitrate() == NOT_FOUND


def test_every_role_has_a_primary_of_its_own(bench: Bench) -> None:
    other = Controller(bench.device, 1, role="stats")
    assert other.arbitrate() == OK
    assert other.write() == []
    assert bench.controller.write() == []


def test_the_number_of_clients_is_bounded(bench: Bench) -> None:
    clients = [Controller(bench.device, n) for n in range(2, 40)]
    codes = []
    for client in clients:
        try:
            client.arbitrate()
        except RpcError as exc:
            codes.append(exc.code)
    assert set(codes) == {EXHAUSTED}
    assert len(codes) == 38 - 15


# --- pipeline --------------------------------------------------------------------------------


def test_nothing_works_without_a_pipeline() -> None:
    bench = Bench(load=False)
    bench.controller.arbitrate()
    assert refused(bench.controller.write) == PRECONDITION
    assert refused(bench.controller.read) == PRECONDITION
    get = p4r.GetForwardingPipelineConfigRequest(device_id=1)
    assert refused(bench.device.get_pipeline, get) == PRECONDITION
    assert refused(bench.controller.push, COMMIT) == PRECONDITION
    assert bench.receive(1, udp_frame()) == []


def test_get_returns_what_is_asked_for_with_the_cookie() -> None:
    bench = Bench(load=False)
    bench.controller.arbitrate()
    bench.controller.push(cookie=77)
    kinds: dict[Any, tuple[bool, bool]] = {
        0: (True, True),
        1: (False, False),
        2: (True, False),
        3: (False, True),
    }
    for kind, (p4info, program) in kinds.items():
        got = bench.device.get_pipeline(
            p4r.GetForwardingPipelineConfigRequest(device_id=1, response_type=kind)
        ).config
        assert got.cookie.cookie == 77
        assert (got.HasField("p4info"), bool(got.p4_device_config)) == (p4info, program)


def test_verify_changes_nothing_and_save_waits_for_commit(bench: Bench) -> None:
    bench.controller.write(update("INSERT", table_entry=bench.dmac(2, 2)))
    bench.controller.push(VERIFY)
    bench.controller.push(VERIFY_AND_SAVE, cookie=5)
    assert len(bench.receive(1, udp_frame())) == 1
    bench.controller.push(COMMIT, message=p4r.ForwardingPipelineConfig())
    assert bench.receive(1, udp_frame()) == []
    assert refused(bench.controller.push, COMMIT) == PRECONDITION


def test_reconcile_keeps_entries_of_the_same_program_and_refuses_another(bench: Bench) -> None:
    bench.controller.write(update("INSERT", table_entry=bench.dmac(2, 2)))
    bench.controller.push(RECONCILE, cookie=6)
    assert len(bench.receive(1, udp_frame())) == 1
    other = config()
    other.p4info.pkg_info.name = "other"
    assert refused(bench.controller.push, RECONCILE, message=other) == UNIMPLEMENTED


def test_a_bad_program_is_refused_and_the_old_one_goes_on(bench: Bench) -> None:
    bench.controller.write(update("INSERT", table_entry=bench.dmac(2, 2)))
    broken = config()
    broken.p4_device_config = b"{}"
    assert refused(bench.controller.push, message=broken) == INVALID
    foreign = config()
    foreign.p4info.tables[0].preamble.name = "elsewhere"
    assert refused(bench.controller.push, message=foreign) == INVALID
    assert refused(bench.controller.push, 0) == INVALID
    assert len(bench.receive(1, udp_frame())) == 1


# --- writing ---------------------------------------------------------------------------------


def test_updates_of_a_batch_fail_one_by_one(bench: Bench) -> None:
    codes = bench.controller.write(
        update("INSERT", table_entry=bench.dmac(1, 1)),
        update("INSERT", table_entry=bench.dmac(1, 2)),
        update("MODIFY", table_entry=bench.dmac(9, 2)),
        update("DELETE", table_entry=bench.dmac(9, 2)),
        update("INSERT", table_entry=bench.dmac(2, 2)),
    )
    assert codes == [OK, EXISTS, NOT_FOUND, NOT_FOUND, OK]
    assert len(bench.receive(1, udp_frame())) == 1


def test_a_full_table_refuses_single_updates(bench: Bench) -> None:
    updates = [update("INSERT", table_entry=bench.dmac(mac, 1)) for mac in range(70)]
    assert bench.controller.write(*updates) == [OK] * 64 + [EXHAUSTED] * 6


def test_byte_strings_of_any_length_are_taken_and_short_ones_given(bench: Bench) -> None:
    entry = bench.dmac(2, 2)
    entry.match[0].exact.value = b"\0\0\0\0\0\0\0\2"
    entry.action.action.params[0].value = b"\0\0\0\2"
    assert bench.controller.write(update("INSERT", table_entry=entry)) == [OK]
    (got,) = bench.controller.read(p4r.Entity(table_entry=bench.table_entry("dmac")))
    assert got.table_entry.match[0].exact.value == b"\2"
    assert got.table_entry.action.action.params[0].value == b"\2"


def _mutations(bench: Bench) -> dict[str, Any]:
    def changed(**fields: Any) -> Any:
        return bench.table_entry("dmac", "forward", (b"\2",), **fields)

    key = {1: ("exact", {"value": b"\2"})}
    acl = bench.table_entry("acl", "permit", match={3: ("exact", {"value": b"\1"})})
    return {
        "no key": changed(),
        "priority where none belongs": changed(match=key, priority=3),
        "no priority where one is needed": acl,
        "key too wide": changed(match={1: ("exact", {"value": b"\1" * 7})}),
        "empty key": changed(match={1: ("exact", {"value": b""})}),
        "wrong kind of match": changed(match={1: ("ternary", {"value": b"\1", "mask": b"\1"})}),
        "unknown field": changed(match={**key, 9: ("exact", {"value": b"\2"})}),
        "no action": bench.table_entry("dmac", match=key),
        "foreign action": bench.table_entry("dmac", "set_class", (b"\2",), match=key),
        "argument missing": bench.table_entry("dmac", "forward", match=key),
        "argument too wide": bench.table_entry("dmac", "forward", (b"\xff\xff",), match=key),
        "timeout where none is": changed(match=key, idle_timeout_ns=SECOND),
        "bits outside the mask": bench.table_entry(
            "acl",
            "permit",
            match={
                1: ("ternary", {"value": b"\3", "mask": b"\1"}),
                3: ("exact", {"value": b"\1"}),
            },
            priority=1,
        ),
        "bits beyond the prefix": bench.table_entry(
            "routes", "drop", match={1: ("lpm", {"value": b"\1", "prefix_len": 8})}
        ),
        "prefix of no length": bench.table_entry(
            "routes", "drop", match={1: ("lpm", {"value": b"\0", "prefix_len": 0})}
        ),
        "empty range": bench.table_entry(
            "classify", "NoAction", match={1: ("range", {"low": b"\2", "high": b"\1"})}, priority=1
        ),
    }


@pytest.mark.parametrize("name", sorted(_mutations(Bench())))
def test_an_invalid_entry_is_refused_and_leaves_nothing_behind(bench: Bench, name: str) -> None:
    entry = _mutations(bench)[name]
    assert bench.controller.write(update("INSERT", table_entry=entry)) == [INVALID]
    assert bench.switch.executor is not None
    assert all(
        not len(t) or t.table.const_entries for t in bench.switch.executor.state.tables.values()
    )


def test_constant_tables_and_defaults_are_protected(bench: Bench) -> None:
    entry = bench.table_entry(
        "fixed", "NoAction", match={2: ("exact", {"value": b"\1"})}, priority=1
    )
    fixed_default = bench.table_entry("smac", "learn", is_default_action=True)
    assert (
        bench.controller.write(
            update("INSERT", table_entry=entry),
            update("DELETE", table_entry=entry),
            update("MODIFY", table_entry=fixed_default),
        )
        == [DENIED] * 3
    )


def test_the_default_action_can_be_changed_and_restored(bench: Bench) -> None:
    default = bench.table_entry("dmac", "forward", (b"\3",), is_default_action=True)
    assert bench.controller.write(update("INSERT", table_entry=default)) == [INVALID]
    assert bench.controller.write(update("MODIFY", table_entry=default)) == [OK]
    assert bench.receive(1, udp_frame())[0][0] == 3
    wanted = bench.table_entry("dmac", is_default_action=True)
    (got,) = bench.controller.read(p4r.Entity(table_entry=wanted))
    assert got.table_entry.action.action.params[0].value == b"\3"
    assert bench.controller.write(update("MODIFY", table_entry=wanted)) == [OK]
    assert bench.receive(1, udp_frame()) == []


def test_unknown_ids_and_entities_have_their_codes(bench: Bench) -> None:
    assert bench.controller.write(
        update("INSERT", table_entry=p4r.TableEntry(table_id=5)),
        update("MODIFY", counter_entry=p4r.CounterEntry(counter_id=5)),
        update("MODIFY", register_entry=p4r.RegisterEntry()),
        p4r.Update(type=p4r.Update.INSERT),
        p4r.Update(),
    ) == [NOT_FOUND, NOT_FOUND, NOT_FOUND, INVALID, INVALID]


def test_only_continue_on_error_is_offered(bench: Bench) -> None:
    request = p4r.WriteRequest(
        device_id=1,
        election_id=bench.controller.election(),
        atomicity=p4r.WriteRequest.ROLLBACK_ON_ERROR,
    )
    assert refused(bench.device.write, request) == UNIMPLEMENTED


# --- reading ---------------------------------------------------------------------------------


def test_a_wildcard_read_gives_all_tables_and_counters_when_asked(bench: Bench) -> None:
    acl = bench.table_entry(
        "acl", "permit", match={3: ("exact", {"value": b"\1"})}, priority=7, metadata=b"mine"
    )
    bench.controller.write(
        update("INSERT", table_entry=bench.dmac(2, 2)), update("INSERT", table_entry=acl)
    )
    frame = udp_frame()
    bench.receive(1, frame)
    wanted = p4r.Entity(table_entry=p4r.TableEntry(counter_data=p4r.CounterData()))
    got = {e.table_entry.table_id: e.table_entry for e in bench.controller.read(wanted)}
    assert len(got) == 3  # dmac, acl and the constant table
    entry = got[bench.id_of("tables", "acl")]
    assert (entry.priority, entry.metadata) == (7, b"mine")
    assert (entry.counter_data.packet_count, entry.counter_data.byte_count) == (1, len(frame))
    assert not got[bench.id_of("tables", "dmac")].HasField("counter_data")
    assert [m.field_id for m in entry.match] == [3]


def test_a_key_given_is_a_key_meant_exactly(bench: Bench) -> None:
    for mac in (2, 3):
        bench.controller.write(update("INSERT", table_entry=bench.dmac(mac, 2)))
    (got,) = bench.controller.read(p4r.Entity(table_entry=bench.dmac(3, 0)))
    assert got.table_entry.match[0].exact.value == b"\3"
    assert refused(bench.controller.read, p4r.Entity(table_entry=bench.dmac(4, 0))) == NOT_FOUND


def test_all_action_profiles_are_none_and_a_particular_one_is_not_found(bench: Bench) -> None:
    assert bench.controller.read(p4r.Entity(action_profile_group=p4r.ActionProfileGroup())) == []
    one = p4r.Entity(action_profile_member=p4r.ActionProfileMember(action_profile_id=1))
    assert refused(bench.controller.read, one) == NOT_FOUND


def test_large_reads_come_in_bounded_chunks(bench: Bench) -> None:
    counter = p4r.CounterEntry(counter_id=bench.id_of("counters", "port_counter"))
    request = p4r.ReadRequest(device_id=1, entities=[p4r.Entity(counter_entry=counter)] * 3)
    sizes = [len(answer.entities) for answer in bench.device.read(request)]
    assert sum(sizes) == 3 * 512
    assert max(sizes) <= 500


def test_direct_counters_are_read_and_written_through_their_entry(bench: Bench) -> None:
    smac = bench.table_entry(
        "smac",
        "known",
        match={1: ("exact", {"value": b"\1"}), 2: ("exact", {"value": b"\1"})},
    )
    bench.controller.write(update("INSERT", table_entry=smac))
    bench.receive(1, udp_frame())
    direct = p4r.DirectCounterEntry(table_entry=smac)
    (got,) = bench.controller.read(p4r.Entity(direct_counter_entry=direct))
    assert got.direct_counter_entry.data.packet_count == 1
    direct.data.packet_count = 100
    assert bench.controller.write(update("MODIFY", direct_counter_entry=direct)) == [OK]
    (got,) = bench.controller.read(p4r.Entity(direct_counter_entry=direct))
    assert got.direct_counter_entry.data.packet_count == 100
    dmac = bench.dmac(2, 2)
    bench.controller.write(update("INSERT", table_entry=dmac))
    wrong = p4r.DirectCounterEntry(table_entry=dmac)
    assert refused(bench.controller.read, p4r.Entity(direct_counter_entry=wrong)) == INVALID


def test_indirect_counters_and_meters_by_cell(bench: Bench) -> None:
    bench.receive(1, udp_frame())
    counter = p4r.CounterEntry(
        counter_id=bench.id_of("counters", "port_counter"), index=p4r.Index(index=1)
    )
    (got,) = bench.controller.read(p4r.Entity(counter_entry=counter))
    assert got.counter_entry.data.packet_count == 1
    meter = p4r.MeterEntry(
        meter_id=bench.id_of("meters", "port_meter"),
        index=p4r.Index(index=1),
        config=p4r.MeterConfig(cir=1, cburst=2, pir=3, pburst=4),
    )
    assert bench.controller.write(update("MODIFY", meter_entry=meter)) == [OK]
    (got,) = bench.controller.read(p4r.Entity(meter_entry=meter))
    assert got.meter_entry == meter
    meter.index.index = 512
    assert bench.controller.write(update("MODIFY", meter_entry=meter)) == [rpc_code.OUT_OF_RANGE]
    assert refused(bench.controller.read, p4r.Entity(meter_entry=meter)) == rpc_code.OUT_OF_RANGE


def test_a_direct_meter_colours_packets(bench: Bench) -> None:
    entry = bench.table_entry(
        "classify",
        "NoAction",
        match={1: ("range", {"low": b"\1", "high": b"\x7f\xff"})},
        priority=1,
    )
    entry.meter_config.CopyFrom(p4r.MeterConfig(cir=1, cburst=100, pir=1, pburst=100))
    assert bench.controller.write(update("INSERT", table_entry=entry)) == [OK]
    direct = p4r.DirectMeterEntry(table_entry=entry)
    (got,) = bench.controller.read(p4r.Entity(direct_meter_entry=direct))
    assert got.direct_meter_entry.config.pburst == 100
    bad = p4r.DirectMeterEntry(table_entry=entry, config=p4r.MeterConfig(cir=5, pir=1))
    assert bench.controller.write(update("MODIFY", direct_meter_entry=bad)) == [INVALID]


def test_groups_sessions_and_digests_read_as_written(bench: Bench) -> None:
    group = p4r.PacketReplicationEngineEntry()
    group.multicast_group_entry.multicast_group_id = 3
    group.multicast_group_entry.replicas.add(egress_port=2, instance=1)
    clone = p4r.PacketReplicationEngineEntry()
    clone.clone_session_entry.session_id = 9
    clone.clone_session_entry.replicas.add(egress_port=510, instance=1)
    clone.clone_session_entry.packet_length_bytes = 128
    digest = p4r.DigestEntry(digest_id=bench.p4info.digests[0].preamble.id)
    digest.config.max_list_size = 4
    assert (
        bench.controller.write(
            update("INSERT", packet_replication_engine_entry=group),
            update("INSERT", packet_replication_engine_entry=clone),
            update("INSERT", digest_entry=digest),
        )
        == [OK] * 3
    )
    for entity in (
        p4r.Entity(packet_replication_engine_entry=group),
        p4r.Entity(packet_replication_engine_entry=clone),
        p4r.Entity(digest_entry=digest),
    ):
        assert bench.controller.read(entity) == [entity]
    assert bench.controller.write(
        update("INSERT", digest_entry=digest),
        update("DELETE", digest_entry=digest),
        update("DELETE", digest_entry=digest),
        update("DELETE", packet_replication_engine_entry=group),
        update("MODIFY", packet_replication_engine_entry=group),
    ) == [EXISTS, OK, NOT_FOUND, OK, NOT_FOUND]


# --- streams ---------------------------------------------------------------------------------


def _punt(bench: Bench) -> None:
    clone = p4r.PacketReplicationEngineEntry()
    clone.clone_session_entry.session_id = 7
    clone.clone_session_entry.replicas.add(egress_port=510, instance=1)
    acl = bench.table_entry(
        "acl", "punt", (b"\x05",), match={3: ("exact", {"value": b"\1"})}, priority=1
    )
    codes = bench.controller.write(
        update("INSERT", packet_replication_engine_entry=clone), update("INSERT", table_entry=acl)
    )
    assert codes == [OK, OK]


def test_packet_ins_carry_their_metadata(bench: Bench) -> None:
    _punt(bench)
    frame = udp_frame(zero_checksum=True)
    bench.receive(3, frame)
    (packet,) = bench.controller.take("packet")
    assert packet.payload == frame
    assert {m.metadata_id: m.value for m in packet.metadata} == {1: b"\3", 2: b"\5"}


def test_a_packet_out_is_sent_and_a_bad_one_answered(bench: Bench) -> None:
    metadata = [
        p4r.PacketMetadata(metadata_id=1, value=b"\2"),
        p4r.PacketMetadata(metadata_id=2, value=b"\0"),
    ]
    bench.controller.send(packet=p4r.PacketOut(payload=udp_frame(), metadata=metadata))
    assert bench.sent == [(2, udp_frame())]
    for bad in (
        p4r.PacketMetadata(metadata_id=9, value=b"\2"),
        p4r.PacketMetadata(metadata_id=1, value=b"\xff\xff"),
    ):
        bench.controller.send(packet=p4r.PacketOut(payload=b"x", metadata=[bad]))
        (error,) = bench.controller.take("error")
        assert error.canonical_code == INVALID
        assert error.packet_out.packet_out.payload == b"x"
    backup = Controller(bench.device, 0)
    backup.arbitrate()
    backup.send(packet=p4r.PacketOut(payload=b"x"))
    assert backup.take("error")[0].canonical_code == DENIED


def test_a_controller_that_stops_reading_loses_messages_and_nothing_else(bench: Bench) -> None:
    _punt(bench)
    bench.controller.write(update("INSERT", table_entry=bench.dmac(2, 2)))
    bench.controller.received.clear()
    bench.controller.room = 3
    for _ in range(10):
        assert len(bench.receive(1, udp_frame())) == 1
    assert len(bench.controller.received) == 3
    assert bench.device.counts["packet_ins_dropped"] == 7


def test_the_pipeline_stays_when_the_controller_leaves(bench: Bench) -> None:
    _punt(bench)
    bench.controller.write(update("INSERT", table_entry=bench.dmac(2, 2)))
    bench.device.stream_closed(bench.controller.stream)
    assert len(bench.receive(1, udp_frame())) == 1
    assert bench.device.counts["packet_ins_without_primary"] == 1


def test_a_digest_is_sent_once_until_it_is_acknowledged(bench: Bench) -> None:
    digest = p4r.DigestEntry(digest_id=bench.p4info.digests[0].preamble.id)
    digest.config.ack_timeout_ns = 10 * SECOND
    bench.controller.write(update("INSERT", digest_entry=digest))
    bench.receive(3, udp_frame(smac=0x1234))
    bench.receive(3, udp_frame(smac=0x1234))
    (got,) = bench.controller.take("digest")
    members = got.data[0].struct.members
    assert [m.bitstring for m in members] == [b"\x12\x34", b"\3"]
    ack = p4r.DigestListAck(digest_id=got.digest_id, list_id=got.list_id)
    bench.controller.send(digest_ack=ack)
    bench.receive(3, udp_frame(smac=0x1234))
    assert len(bench.controller.take("digest")) == 1


def test_idle_entries_are_reported_with_their_metadata(bench: Bench) -> None:
    smac = bench.table_entry(
        "smac",
        "known",
        match={1: ("exact", {"value": b"\1"}), 2: ("exact", {"value": b"\1"})},
        idle_timeout_ns=5 * SECOND,
        metadata=b"m",
    )
    assert bench.controller.write(update("INSERT", table_entry=smac)) == [OK]
    bench.now += 4 * SECOND
    bench.receive(1, udp_frame())
    bench.now += 4 * SECOND
    bench.switch.sweep_idle(bench.now)
    assert bench.controller.take("idle_timeout_notification") == []
    wanted = p4r.TableEntry(table_id=smac.table_id)
    wanted.time_since_last_hit.elapsed_ns = 0
    (got,) = bench.controller.read(p4r.Entity(table_entry=wanted))
    assert got.table_entry.time_since_last_hit.elapsed_ns == 4 * SECOND
    bench.now += SECOND
    bench.switch.sweep_idle(bench.now)
    (note,) = bench.controller.take("idle_timeout_notification")
    assert note.table_entry[0].metadata == b"m"
    assert note.table_entry[0].match == smac.match
    assert note.table_entry[0].idle_timeout_ns == 5 * SECOND


def test_capabilities_name_the_version(bench: Bench) -> None:
    assert bench.device.capabilities().p4runtime_api_version.startswith("1.")


# --- bytes -----------------------------------------------------------------------------------


@given(st.integers(0, 2**128 - 1))
def test_byte_strings_are_canonical_and_read_back(value: int) -> None:
    data = bytestring.encode(value)
    assert data == b"\0" or data[0] != 0
    assert bytestring.decode(b"\0\0" + data, 128, "x") == value


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
    st.data(),
    st.binary(max_size=40),
)
def test_packet_metadata_survives_the_wire(
    widths: list[int], data: st.DataObject, payload: bytes
) -> None:
    layout = tuple(enumerate(widths, 1))
    message = p4r.PacketOut(payload=payload)
    for number, width in layout:
        value = data.draw(st.integers(0, (1 << width) - 1))
        message.metadata.add(metadata_id=number, value=bytestring.encode(value))
    back = packet_in(packet_out(message, layout), layout)
    assert back is not None
    assert back.payload == payload
    assert list(back.metadata) == list(message.metadata)


def test_a_packet_in_shorter_than_its_header_is_none() -> None:
    assert packet_in(b"\0", ((1, 9),)) is None
