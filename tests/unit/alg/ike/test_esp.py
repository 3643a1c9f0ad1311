import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4alg.alg.ike.esp import Decision, Drop, EspLimits, EspTracker, Learn, Sa, Wait, read_spi

A, B, C = 0x0A00000B, 0x0A00000C, 0x0A00000D
OUTSIDE, REMOTE, OTHER = 0xCB007102, 0xC6336401, 0xC6336402


class Line:
    """Several inside hosts that speak IKE with remotes, all known by one outside address."""

    def __init__(self, *hosts: int, limits: EspLimits | None = None) -> None:
        self.tracker = EspTracker(limits)
        for host in hosts:
            assert self.tracker.note_ike(host, OUTSIDE, REMOTE, 0.0) is None

    def out(self, host: int, spi: int, now: float = 0.0, remote: int = REMOTE) -> Decision:
        return self.tracker.outbound(host, OUTSIDE, remote, spi, now)

    def back(self, spi: int, now: float = 0.0, remote: int = REMOTE) -> Decision:
        return self.tracker.inbound(remote, OUTSIDE, spi, now)


def sent(host: int, spi: int, remote: int = REMOTE) -> Sa:
    return Sa(host, OUTSIDE, remote, spi, False)


def received(host: int, spi: int, remote: int = REMOTE) -> Sa:
    return Sa(host, OUTSIDE, remote, spi, True)


# K2: exchanges in order


def test_K2_the_first_unknown_spi_coming_back_answers_the_pending_exchange() -> None:
    line = Line(A, B)
    assert line.out(A, 0x1000) == Learn(sent(A, 0x1000))
    assert line.back(0x2000) == Learn(received(A, 0x2000))


def test_K2_a_second_host_waits_until_the_exchange_before_it_is_answered() -> None:
    line = Line(A, B)
    line.out(A, 0x1000)
    assert line.out(B, 0x1001, 1.0) == Wait(A)
    assert line.back(0x2000, 1.5) == Learn(received(A, 0x2000))
    assert line.out(B, 0x1001, 2.0) == Learn(sent(B, 0x1001))
    assert line.back(0x2001, 2.5) == Learn(received(B, 0x2001))


def test_K2_waiting_hosts_have_their_turns_in_the_order_of_their_first_packets() -> None:
    line = Line(A, B, C)
    line.out(A, 0x1000)
    line.out(B, 0x1001)
    line.out(C, 0x1002)
    line.out(B, 0x1001)
    line.back(0x2000, 1.0)
    assert line.out(C, 0x1002, 1.0) == Wait(B)
    assert line.out(A, 0x1003, 1.0) == Wait(B)
    assert line.out(B, 0x1001, 1.0) == Learn(sent(B, 0x1001))


def test_K2_nobody_is_given_an_spi_while_the_next_host_has_not_sent_yet() -> None:
    line = Line(A, B)
    line.out(A, 0x1000)
    line.out(B, 0x1001)
    line.back(0x2000, 1.0)
    assert line.back(0x2001, 1.0) == Drop("unknown-spi")


def test_K2_a_host_that_gave_up_waiting_keeps_nobody_from_its_turn() -> None:
    line = Line(A, B, C)
    line.out(A, 0x1000)
    line.out(B, 0x1001)
    line.out(C, 0x1002, 4.0)
    line.back(0x2000, 4.0)
    assert line.out(C, 0x1002, 5.0) == Learn(sent(C, 0x1002))


def test_K2_a_host_with_many_exchanges_gets_in_line_when_others_wait() -> None:
    line = Line(A, B)
    line.out(A, 0x1000)
    assert line.out(A, 0x1001) == Learn(sent(A, 0x1001), is_rekey=True)
    line.out(B, 0x1002)
    assert line.out(A, 0x1003) == Wait(A)
    assert [line.back(0x2000), line.back(0x2001)] == [
        Learn(received(A, 0x2000)),
        Learn(received(A, 0x2001), is_rekey=True),
    ]
    assert line.out(B, 0x1002) == Learn(sent(B, 0x1002))


def test_K2_exchanges_with_different_remotes_or_outside_addresses_do_not_wait() -> None:
    line = Line(A, B)
    line.tracker.note_ike(B, OUTSIDE, OTHER, 0.0)
    line.tracker.note_ike(C, OUTSIDE + 1, REMOTE, 0.0)
    line.out(A, 0x1000)
    assert isinstance(line.out(B, 0x1000, remote=OTHER), Learn)
    assert isinstance(line.tracker.outbound(C, OUTSIDE + 1, REMOTE, 0x1000, 0.0), Learn)
    assert line.back(0x2001, remote=OTHER) == Learn(received(B, 0x2001, OTHER))
    assert line.back(0x2000) == Learn(received(A, 0x2000))


def test_K2_a_full_queue_refuses() -> None:
    line = Line(A, B, C, limits=EspLimits(waiting=1))
    line.out(A, 0x1000)
    assert line.out(B, 0x1001) == Wait(A)
    assert line.out(C, 0x1002) == Drop("queue-full")
    assert line.out(B, 0x1001) == Wait(A)


def test_K2_a_packet_that_overtook_the_tables_begins_nothing_new() -> None:
    line = Line(A, B)
    line.out(A, 0x1000)
    assert line.out(A, 0x1000) == Learn(sent(A, 0x1000), is_new=False)
    line.back(0x2000)
    assert line.back(0x2000) == Learn(received(A, 0x2000), is_new=False)
    assert line.out(B, 0x1001) == Learn(sent(B, 0x1001))


def test_K2_a_late_copy_of_a_learnt_spi_goes_where_it_belongs() -> None:
    line = Line(A, B)
    line.out(A, 0x1000)
    line.back(0x2000)
    line.out(B, 0x1001, 0.5)
    assert line.back(0x2000, 1.0) == Learn(received(A, 0x2000), is_new=False)
    assert line.back(0x2001, 1.0) == Learn(received(B, 0x2001))


def test_K2_an_answer_is_for_the_pending_exchange_before_one_that_went_unanswered() -> None:
    line = Line(A, B)
    line.out(A, 0x1000)
    line.out(A, 0x1001, 11.0)
    line.back(0x2000, 11.0)
    assert line.out(B, 0x1002, 11.0) == Learn(sent(B, 0x1002))
    assert line.tracker.expire(70.0) == (sent(A, 0x1000),)


# K2: whose an SPI is that nobody asked for


def test_K2_an_unknown_spi_goes_to_the_only_host_that_knows_the_remote() -> None:
    assert Line(A).back(0x2000) == Learn(received(A, 0x2000))


@pytest.mark.parametrize("hosts", [(), (A, B)])
def test_K2_an_unknown_spi_of_nobody_or_anybody_is_dropped(hosts: tuple[int, ...]) -> None:
    assert Line(*hosts).back(0x2000) == Drop("unknown-spi")


def test_K2_an_exchange_the_remote_was_first_in_is_not_waited_for() -> None:
    line = Line(A)
    line.back(0x2000)
    line.tracker.note_ike(B, OUTSIDE, REMOTE, 0.0)
    assert line.out(A, 0x1000, 0.1) == Learn(sent(A, 0x1000))
    assert line.out(B, 0x1001, 0.1) == Learn(sent(B, 0x1001))


def test_K2_spis_that_nobody_asked_for_are_few() -> None:
    line = Line(A, limits=EspLimits(unsolicited=2))
    decisions = [line.back(0x2000 + i) for i in range(3)]
    assert [isinstance(decision, Learn) for decision in decisions] == [True, True, False]
    assert decisions[2] == Drop("unsolicited")


def test_K2_an_spi_of_another_host_is_refused_whichever_remote_uses_it() -> None:
    line = Line(A)
    line.tracker.note_ike(B, OUTSIDE, OTHER, 0.0)
    line.out(A, 0x1000)
    line.back(0x2000)
    line.out(B, 0x1000, remote=OTHER)
    assert line.back(0x2000, remote=OTHER) == Drop("spi-in-use")


def test_K2_an_spi_one_remote_uses_for_two_hosts_is_refused() -> None:
    line = Line(A, B)
    line.out(A, 0x1000)
    line.back(0x2000)
    line.out(B, 0x1001, 3.0)
    assert line.back(0x2000, 3.0) == Drop("spi-in-use")
    assert line.back(0x2001, 3.0) == Learn(received(B, 0x2001))


def test_K2_a_host_may_use_one_spi_with_two_remotes() -> None:
    line = Line(A)
    line.tracker.note_ike(A, OUTSIDE, OTHER, 0.0)
    line.back(0x2000)
    assert line.back(0x2000, remote=OTHER) == Learn(received(A, 0x2000, OTHER))


def keyed(line: Line, host: int, now: float) -> None:
    """The remote agrees to a new SA with a host."""
    line.tracker.note_ike(host, OUTSIDE, REMOTE, now, keying=True)


def test_K2_one_packet_of_an_attacker_does_not_get_the_spi_of_a_host_that_keyed() -> None:
    line = Line(A, B)
    line.out(B, 0x6666)
    keyed(line, A, 1.0)
    assert line.back(0x2000, 5.0) == Learn(received(A, 0x2000), contested=B)
    assert line.back(0x2001, 5.0) == Learn(received(B, 0x2001))


def test_K2_nor_does_it_when_it_comes_between_the_keying_and_the_spi() -> None:
    line = Line(A, B)
    keyed(line, A, 0.0)
    line.out(B, 0x6666, 1.0)
    assert line.back(0x2000, 5.0) == Learn(received(A, 0x2000), contested=B)


def test_K2_nor_does_it_make_that_host_wait() -> None:
    line = Line(A, B, C)
    line.out(B, 0x6666)
    line.out(C, 0x7777)
    keyed(line, A, 1.0)
    assert line.out(A, 0x1000, 1.0) == Learn(sent(A, 0x1000))
    assert line.back(0x2000, 1.1) == Learn(received(A, 0x2000), contested=B)


def test_K2_a_host_that_is_owed_an_spi_waits_behind_others_that_are() -> None:
    line = Line(A, B)
    keyed(line, A, 0.0)
    keyed(line, B, 0.1)
    line.out(A, 0x1000, 3.0)
    assert line.out(B, 0x1001, 3.0) == Wait(A)
    assert line.back(0x2000, 3.1) == Learn(received(A, 0x2000))
    assert line.out(B, 0x1001, 3.2) == Learn(sent(B, 0x1001))


def test_K2_an_unanswered_exchange_does_not_win_over_a_host_that_keyed_since() -> None:
    line = Line(A, B)
    keyed(line, A, 0.0)
    line.out(A, 0x1000)
    keyed(line, B, 1.0)
    assert line.back(0x2000, 1.5) == Drop("ambiguous", (A, B))
    assert line.back(0x2000, 9.0) == Drop("ambiguous")
    assert line.out(B, 0x1001, 10.0) == Learn(sent(B, 0x1001))


def test_K2_what_is_owed_to_several_hosts_is_given_to_nobody_that_made_its_spi_up() -> None:
    line = Line(A, B, C)
    keyed(line, A, 0.0)
    keyed(line, B, 0.0)
    line.out(C, 0x6666, 3.0)
    assert line.back(0x2000, 5.0) == Drop("ambiguous", (A, B))


def test_K2_an_spi_that_came_is_owed_no_more() -> None:
    line = Line(A, B)
    keyed(line, B, 0.0)
    line.out(B, 0x1001)
    line.back(0x2001, 0.1)
    line.out(A, 0x1000, 0.2)
    assert line.back(0x2000, 0.3) == Learn(received(A, 0x2000))


def test_K2_what_came_unread_while_the_ALG_was_off_is_owed_no_more() -> None:
    line = Line(A, B)
    keyed(line, B, 0.0)
    line.tracker.expect_none()
    keyed(line, A, 5.0)
    line.out(A, 0x1000, 5.1)
    assert line.back(0x2000, 5.2) == Learn(received(A, 0x2000))


def test_K2_an_spi_that_never_came_is_owed_no_more_after_an_hour() -> None:
    line = Line(A, B)
    keyed(line, B, 0.0)
    line.out(A, 0x1000, 3600.0)
    assert line.back(0x2000, 3600.0) == Learn(received(A, 0x2000))


def test_K2_the_hosts_own_ike_makes_nothing_ambiguous() -> None:
    line = Line(A, B)
    line.out(A, 0x1000)
    line.tracker.note_ike(A, OUTSIDE, REMOTE, 0.0, keying=True)
    assert line.back(0x2000) == Learn(received(A, 0x2000))


def test_K2_a_late_answer_was_asked_for() -> None:
    line = Line(A, limits=EspLimits(unsolicited=0))
    line.out(A, 0x1000)
    assert line.back(0x2000, 11.0) == Learn(received(A, 0x2000))
    assert line.back(0x2001, 11.0) == Drop("unsolicited")
    assert line.tracker.expire(70.0) == ()


# K1, K5: no ESP without IKE


def test_K1_esp_without_ike_before_it_is_refused() -> None:
    assert Line(B).out(A, 0x1000) == Drop("no-ike")


def test_K1_ike_is_not_asked_for_when_switched_off() -> None:
    tracker = EspTracker(require_ike=False)
    assert tracker.outbound(A, OUTSIDE, REMOTE, 0x1000, 0.0) == Learn(sent(A, 0x1000))
    assert tracker.outbound(B, OUTSIDE, REMOTE, 0x1001, 0.0) == Wait(A)
    assert tracker.inbound(REMOTE, OUTSIDE, 0x2000, 0.0) == Learn(received(A, 0x2000))


def test_K5_a_gateway_inside_is_sent_esp_before_it_sends_any() -> None:
    line = Line(A)
    assert line.tracker.inbound(REMOTE, OUTSIDE, 0x2000, 0.0, static=A) == Learn(
        received(A, 0x2000)
    )
    assert line.out(A, 0x1000) == Learn(sent(A, 0x1000))


def test_K5_a_stranger_without_ike_does_not_reach_the_gateway_inside() -> None:
    refused = EspTracker().inbound(REMOTE, OUTSIDE, 0x2000, 0.0, static=A)
    assert refused == Drop("no-ike")
    tracker = EspTracker(require_ike=False)
    assert tracker.inbound(REMOTE, OUTSIDE, 0x2000, 0.0, static=A) == Learn(received(A, 0x2000))


def test_K5_an_spi_that_may_be_the_gateways_or_another_hosts_is_dropped() -> None:
    line = Line(A, B)
    assert line.tracker.inbound(REMOTE, OUTSIDE, 0x2000, 0.0, static=A) == Drop("unknown-spi")


# K3: rekeying and timers


def test_K3_a_rekey_is_a_new_pair_beside_the_old_one() -> None:
    line = Line(A)
    line.out(A, 0x1000)
    line.back(0x2000)
    assert line.out(A, 0x1001, 9.0) == Learn(sent(A, 0x1001), is_rekey=True)
    assert line.back(0x2001, 9.0) == Learn(received(A, 0x2001), is_rekey=True)
    assert line.back(0x2000, 9.0) == Learn(received(A, 0x2000), is_new=False)


def test_K3_an_unanswered_exchange_gives_way_and_is_withdrawn_to_begin_anew() -> None:
    line = Line(A, B)
    line.out(A, 0x1000)
    assert line.out(B, 0x1001, 9.9) == Wait(A)
    assert line.out(B, 0x1001, 10.0) == Learn(sent(B, 0x1001))
    assert line.back(0x2001, 10.0) == Learn(received(B, 0x2001), contested=A)
    assert line.tracker.expire(69.9) == ()
    assert line.tracker.expire(70.0) == (sent(A, 0x1000),)
    assert line.out(A, 0x1000, 71.0) == Learn(sent(A, 0x1000))
    assert line.back(0x2000, 71.0) == Learn(received(A, 0x2000))


def test_K3_an_answered_exchange_is_not_withdrawn() -> None:
    line = Line(A)
    line.out(A, 0x1000)
    line.back(0x2000)
    assert line.tracker.expire(1e9) == ()
    assert len(line.tracker) == 2


def test_K3_an_idle_outbound_spi_comes_back_without_an_exchange() -> None:
    line = Line(A, B)
    line.out(A, 0x1000)
    line.back(0x2000)
    assert line.tracker.forget(sent(A, 0x1000)) == ()
    line.out(B, 0x1001, 400.0)
    assert line.out(A, 0x1000, 400.0) == Learn(sent(A, 0x1000), is_new=False)


def test_K3_an_idle_inbound_spi_takes_its_outbound_one_with_it() -> None:
    line = Line(A, B)
    line.out(A, 0x1000)
    line.back(0x2000)
    assert line.tracker.forget(received(A, 0x2000)) == (sent(A, 0x1000),)
    assert len(line.tracker) == 0
    assert line.back(0x2000, 1.0) == Drop("unknown-spi")
    assert line.tracker.forget(received(A, 0x2000)) == ()


def test_K3_a_forgotten_spi_may_be_another_hosts() -> None:
    line = Line(A, B)
    line.out(A, 0x1000)
    line.back(0x2000)
    line.tracker.forget(received(A, 0x2000))
    line.out(B, 0x1001, 1.0)
    assert line.back(0x2000, 1.0) == Learn(received(B, 0x2000))


def test_K3_ike_is_forgotten_unless_esp_goes_on() -> None:
    line = Line(A, B, limits=EspLimits(ike=100.0))
    line.out(A, 0x1000)
    line.back(0x2000)
    line.tracker.expire(100.0)
    assert line.out(B, 0x1001, 100.0) == Drop("no-ike")
    assert line.out(A, 0x1002, 100.0) == Learn(sent(A, 0x1002), is_rekey=True)


def test_K3_after_a_restart_what_the_switch_knows_is_taken_over() -> None:
    line = Line(A, B)
    for sa in (sent(A, 0x1000), received(A, 0x2000)):
        assert line.tracker.adopt(sa, 0.0) is None
    assert line.tracker.adopt(received(B, 0x2000), 0.0) == Drop("spi-in-use")
    assert line.out(B, 0x1001) == Learn(sent(B, 0x1001))
    assert line.back(0x2001) == Learn(received(B, 0x2001))
    assert line.tracker.forget(received(A, 0x2000)) == (sent(A, 0x1000),)


def test_K3_an_adopted_spi_without_its_answer_is_withdrawn_and_holds_nobody_up() -> None:
    line = Line(A, B)
    line.tracker.adopt(sent(A, 0x1000), 5.0)
    assert line.out(B, 0x1001, 5.0) == Learn(sent(B, 0x1001))
    line.back(0x2001, 5.0)
    assert line.tracker.expire(65.0) == (sent(A, 0x1000),)


# G4, G9


def test_G4_a_host_and_all_together_have_their_limits() -> None:
    line = Line(A, B, C, limits=EspLimits(per_host=2, total=3))
    line.out(A, 0x1000)
    line.back(0x2000)
    assert line.out(A, 0x1001) == Drop("host-limit")
    line.out(B, 0x1002)
    assert line.out(C, 0x1003) == Drop("limit")
    assert line.back(0x2001) == Drop("limit")


def test_G4_ike_relations_have_their_limits() -> None:
    tracker = EspTracker(EspLimits(relations_per_host=1, relations=2))
    assert tracker.note_ike(A, OUTSIDE, REMOTE, 0.0) is None
    assert tracker.note_ike(A, OUTSIDE, OTHER, 0.0) == Drop("host-limit")
    assert tracker.note_ike(B, OUTSIDE, REMOTE, 0.0) is None
    assert tracker.note_ike(C, OUTSIDE, REMOTE, 0.0) == Drop("limit")
    tracker.expire(1e6)
    assert tracker.note_ike(C, OUTSIDE, REMOTE, 1e6) is None


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "truncated"),
        (b"\0\0\1\0\0\0\0", "truncated"),
        (bytes(8), "zero-spi"),
        (b"\0\0\0\xff" + bytes(4), "reserved-spi"),
    ],
)
def test_G9_bad_esp_headers_have_their_reason(payload: bytes, reason: str) -> None:
    assert read_spi(payload) == Drop(reason)


def test_G9_reserved_and_impossible_spis_are_refused() -> None:
    line = Line(A)
    assert line.out(A, 0) == line.back(0) == Drop("zero-spi")
    for spi in (1, 255, -1, 1 << 32):
        assert line.out(A, spi) == line.back(spi) == Drop("reserved-spi")
    assert read_spi(b"\0\0\1\0" + bytes(4)) == 256


_HOSTS = st.sampled_from([A, B, C])
_EVENTS = st.one_of(
    st.tuples(st.just("out"), _HOSTS, st.integers(0x1000, 0x1004)),
    st.tuples(st.just("back"), st.sampled_from([REMOTE, OTHER]), st.integers(0x2000, 0x2004)),
    st.tuples(st.just("ike"), _HOSTS, st.integers(0, 1)),
    st.tuples(st.just("forget"), _HOSTS, st.integers(0x2000, 0x2004)),
    st.tuples(st.just("wait"), st.integers(0, 30), st.just(0)),
)


@given(st.lists(_EVENTS, max_size=60))
def test_K2_no_spi_is_given_to_a_host_that_did_not_have_the_pending_exchange(
    events: list[tuple[str, int, int]],
) -> None:
    """Kept here beside the tracker: who sent a new SPI last, when, and who knows the remote."""
    line = Line(A, B, C, limits=EspLimits(per_host=6, waiting=1))
    now, owner_of = 0.0, dict[int, int]()
    unanswered: dict[Sa, float] = {}
    lapsed: set[Sa] = set()
    owed = dict.fromkeys((A, B, C), 0)
    unasked: dict[int, list[float]] = {A: [], B: [], C: []}
    for what, who, number in events:
        if what == "out":
            decision = line.out(who, number, now)
            if isinstance(decision, Learn) and decision.is_new:
                unasked[who] = [at for at in unasked[who] if now < at + 10]
                if unasked[who]:
                    unasked[who].pop(0)
                    continue
                others = [
                    sa
                    for sa, at in unanswered.items()
                    if now < at + 10 and sa.inside != who and sa not in lapsed
                ]
                assert others == [] or (owed[who] and not any(owed[sa.inside] for sa in others))
                lapsed |= set(others)
                unanswered[decision.sa] = now
        elif what == "back" and who == REMOTE:
            decision = line.back(number, now)
            if isinstance(decision, Learn) and decision.is_new:
                inside = decision.sa.inside
                mine = [
                    sa for sa, at in unanswered.items() if now < at + 10 and sa.inside == inside
                ]
                assert mine != [] or owed[inside]
                assert owed[inside] or not any(
                    owed[sa.inside] for sa in unanswered if sa.inside != inside
                )
                owed[inside] = max(owed[inside] - 1, 0)
                assert owner_of.get(number, inside) == inside
                owner_of[number] = inside
                if mine:
                    del unanswered[mine[0]]
                else:
                    older = [sa for sa in unanswered if sa.inside == inside]
                    for sa in older[:1]:
                        del unanswered[sa]
                    if not older:
                        unasked[inside].append(now)
            elif isinstance(decision, Learn):
                assert owner_of[number] == decision.sa.inside
        elif what == "back":
            assert line.back(number, now, OTHER) == Drop("unknown-spi")
        elif what == "ike":
            line.tracker.note_ike(who, OUTSIDE, REMOTE, now, keying=bool(number))
            owed[who] = min(owed[who] + number, 16)
        elif what == "forget":
            gone = line.tracker.forget(received(who, number))
            if owner_of.get(number) == who:
                del owner_of[number]
                unasked[who] = []
                assert all(sa.inside == who for sa in gone)
        else:
            now += who / 2
            for sa in line.tracker.expire(now):
                assert now >= unanswered.pop(sa) + 70
        assert len(line.tracker) <= 18


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["out", "back", "ike", "adopt", "forget", "expire"]),
            *(st.integers(0, 3) for _ in range(3)),
            st.one_of(st.integers(254, 262), st.integers()),
            st.floats(0, 1e6),
            st.booleans(),
        ),
        max_size=60,
    ),
    st.booleans(),
)
def test_G9_nothing_raises_and_everything_is_given_back(
    events: list[tuple[str, int, int, int, int, float, bool]], require_ike: bool
) -> None:
    limits = EspLimits(per_host=4, total=8, waiting=2, relations=5, relations_per_host=3)
    tracker = EspTracker(limits, require_ike)
    installed: set[Sa] = set()
    for what, inside, outside, remote, spi, now, flag in events:
        sa = Sa(inside, outside, remote, spi, flag)
        decision: Decision | None = None
        if what == "out":
            decision = tracker.outbound(inside, outside, remote, spi, now)
        elif what == "back":
            static = inside if flag else None
            decision = tracker.inbound(remote, outside, spi, now, static=static)
        elif what == "ike":
            tracker.note_ike(inside, outside, remote, now, keying=flag)
        elif what == "adopt" and tracker.adopt(sa, now) is None:
            installed.add(sa)
        elif what == "forget":
            installed -= {sa, *tracker.forget(sa)}
        elif what == "expire":
            installed -= set(tracker.expire(now))
        if isinstance(decision, Learn):
            installed.add(decision.sa)
        assert len(tracker) <= 8
        # The switch finds the host by outside address and SPI alone.
        inbound = {(sa.outside, sa.spi, sa.inside) for sa in installed if sa.is_inbound}
        assert len(inbound) == len({key[:2] for key in inbound})
    for sa in sorted(installed, key=lambda sa: not sa.is_inbound):
        tracker.forget(sa)
    tracker.expire(1e9)
    assert len(tracker) == 0
    assert not tracker._lines
    assert not tracker._inbound
    assert not tracker._per_host
    assert not tracker._relations_of
