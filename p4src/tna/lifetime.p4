// Lifetime: when. Reserves cells for plain flows that begin, and keeps time for those that are
// there: ingress has matched whose a cell is, but not whether its time is over.
//
// clock       no key: the tick that it is. The controller writes it each second.
// timer       (protocol, phase, server's port, direction) -> how long a session lives from
//             now on, in ticks. No entry: its time is left as it is.
//
// A mapping lives as long as the sessions on it: its end is the latest of theirs.
//
// TCP (RFC 5382, RFC 7857) believes what is proved. A segment from outside never prolongs a
// session: whoever forges it gains nothing. A session is established when the inside host has
// acknowledged something after both ends sent a SYN, which it does only if the handshake was
// right in its eyes. A reset from outside counts if its sequence number is the one that the
// inside host acknowledged last (RFC 5961); it is not kept, so a segment of the inside host
// afterwards makes it undone (RFC 7857 section 2).

const bit<3> LIFE_NONE    = 0;
const bit<3> LIFE_PROLONG = 1;    // alive? then perhaps longer
const bit<3> LIFE_REFRESH = 2;    // longer, alive or not
const bit<3> LIFE_RESERVE = 3;    // over, or ours? then ours for a moment
const bit<3> LIFE_CUT     = 4;    // perhaps shorter

const bit<2> PHASE_KEEP    = 0;
const bit<2> PHASE_ADVANCE = 1;
const bit<2> PHASE_RESTART = 2;

// Both SYNs have been seen: the two highest bits of a phase.
#define BOTH_SYNS 0xc0

// One way of slots: end, who reserved it. `slot_now` is the present, or for a reservation the
// end of what has rested: so a reservation holds as long as GRACE_TICKS.
control SlotTime(in headers_t hdr, inout egress_metadata_t meta)
                (bit<2> way, bit<32> polynomial) {
    CRCPolynomial<bit<32>>(polynomial, true, false, false, 0xffffffff, 0) crc;
    Hash<bit<SLOT_BITS>>(HashAlgorithm_t.CUSTOM, crc) index;
    Register<cell_t, bit<SLOT_BITS>>(1 << SLOT_BITS, {0, 0}) times;
    RegisterAction<cell_t, bit<SLOT_BITS>, bit<1>>(times) prolong = {
        void apply(inout cell_t cell, out bit<1> alive) {
            alive = 0;
            if (cell.low >= meta.slot_now) {
                cell.low = max(cell.low, meta.slot_operand);
                alive = 1;
            }
        }
    };
    RegisterAction<cell_t, bit<SLOT_BITS>, bit<1>>(times) refresh = {
        void apply(inout cell_t cell, out bit<1> alive) {
            alive = 1;
            cell.low = max(cell.low, meta.slot_operand);
        }
    };
    RegisterAction<cell_t, bit<SLOT_BITS>, bit<1>>(times) reserve = {
        void apply(inout cell_t cell, out bit<1> won) {
            won = 0;
            if (cell.low < meta.slot_now || cell.high == meta.slot_operand) {
                cell.low = meta.slot_now + GRACE_TICKS;
                cell.high = meta.slot_operand;
                won = 1;
            }
        }
    };
    @hidden action do_prolong() { meta.slot_alive = prolong.execute(index.get({ hdr.bridge.tag })); }
    @hidden action do_refresh() { meta.slot_alive = refresh.execute(index.get({ hdr.bridge.tag })); }
    // Ways are tried until one is won, so the last that was tried is the one.
    @hidden action do_reserve() {
        meta.slot_won = reserve.execute(index.get({ hdr.bridge.tag }));
        meta.slot_tried = CLAIMED | (bit<8>)way;
    }
    @hidden action none() { }
    @hidden
    table access {
        key = {
            meta.slot_op        : ternary;
            hdr.bridge.slot_way : ternary;
            meta.slot_won       : ternary;
        }
        actions = { do_prolong; do_refresh; do_reserve; none; }
        const default_action = none;
        const entries = {
            (1, way, _) : do_prolong();
            (2, way, _) : do_refresh();
            (3, _, 0)   : do_reserve();
        }
        size = 4;
    }
    apply { access.apply(); }
}

control SessionTime(in headers_t hdr, inout egress_metadata_t meta)
                   (bit<2> way, bit<16> polynomial) {
    CRCPolynomial<bit<16>>(polynomial, false, false, false, 0, 0) crc;
    Hash<bit<SESSION_BITS>>(HashAlgorithm_t.CUSTOM, crc) index;
    Register<cell_t, bit<SESSION_BITS>>(1 << SESSION_BITS, {0, 0}) times;
    RegisterAction<cell_t, bit<SESSION_BITS>, bit<1>>(times) prolong = {
        void apply(inout cell_t cell, out bit<1> alive) {
            alive = 0;
            if (cell.low >= meta.now) {
                cell.low = max(cell.low, meta.session_operand);
                alive = 1;
            }
        }
    };
    RegisterAction<cell_t, bit<SESSION_BITS>, bit<1>>(times) refresh = {
        void apply(inout cell_t cell, out bit<1> alive) {
            alive = 1;
            cell.low = max(cell.low, meta.session_operand);
        }
    };
    RegisterAction<cell_t, bit<SESSION_BITS>, bit<1>>(times) cut = {
        void apply(inout cell_t cell, out bit<1> alive) {
            alive = 0;
            if (cell.low >= meta.now) { alive = 1; }
            cell.low = min(cell.low, meta.session_operand);
        }
    };
    RegisterAction<cell_t, bit<SESSION_BITS>, bit<1>>(times) reserve = {
        void apply(inout cell_t cell, out bit<1> won) {
            won = 0;
            if (cell.low < meta.now || cell.high == meta.session_operand) {
                cell.low = meta.now + GRACE_TICKS;
                cell.high = meta.session_operand;
                won = 1;
            }
        }
    };
#define CELL { meta.key.remote_addr, hdr.bridge.who, hdr.bridge.session_remote }
    @hidden action do_prolong() { meta.session_alive = prolong.execute(index.get(CELL)); }
    @hidden action do_refresh() { meta.session_alive = refresh.execute(index.get(CELL)); }
    @hidden action do_cut()     { meta.session_alive = cut.execute(index.get(CELL)); }
    @hidden action do_reserve() {
        meta.session_won = reserve.execute(index.get(CELL));
        meta.session_tried = CLAIMED | (bit<8>)way;
    }
    @hidden action none() { }
    @hidden
    table access {
        key = {
            meta.session_op        : ternary;
            meta.ttl_op            : ternary;
            hdr.bridge.session_way : ternary;
            meta.session_won       : ternary;
        }
        actions = { do_prolong; do_refresh; do_cut; do_reserve; none; }
        const default_action = none;
        const entries = {
            (LIFE_PROLONG, TTL_CUT, way, _) : do_cut();
            (LIFE_REFRESH, TTL_CUT, way, _) : do_cut();
            (LIFE_PROLONG, _, way, _)       : do_prolong();
            (LIFE_REFRESH, _, way, _)       : do_refresh();
            (LIFE_RESERVE, _, _, 0)         : do_reserve();
        }
        size = 8;
    }
    apply { access.apply(); }
}

control Lifetime(inout headers_t hdr, inout egress_metadata_t meta) {
    @id(0x13000015)
    DirectCounter<bit<32>>(CounterType_t.PACKETS) timer_counter;

    CRCPolynomial<bit<32>>(CRC_SLOT0, true, false, false, 0xffffffff, 0) crc;
    Hash<bit<32>>(HashAlgorithm_t.CUSTOM, crc) slot_owner;
    Hash<bit<32>>(HashAlgorithm_t.CUSTOM, crc) session_owner;
    CRCPolynomial<bit<16>>(CRC_WAY0, false, false, false, 0, 0) crc0;
    CRCPolynomial<bit<16>>(CRC_WAY1, false, false, false, 0, 0) crc1;
    CRCPolynomial<bit<16>>(CRC_WAY2, false, false, false, 0, 0) crc2;
    CRCPolynomial<bit<16>>(CRC_WAY3, false, false, false, 0, 0) crc3;
    Hash<bit<SESSION_BITS>>(HashAlgorithm_t.CUSTOM, crc0) index0;
    Hash<bit<SESSION_BITS>>(HashAlgorithm_t.CUSTOM, crc1) index1;
    Hash<bit<SESSION_BITS>>(HashAlgorithm_t.CUSTOM, crc2) index2;
    Hash<bit<SESSION_BITS>>(HashAlgorithm_t.CUSTOM, crc3) index3;
    SlotTime(0, CRC_SLOT0) slot0;
    SlotTime(1, CRC_SLOT1) slot1;
    SlotTime(2, CRC_SLOT2) slot2;
    SessionTime(0, CRC_WAY0) session0;
    SessionTime(1, CRC_WAY1) session1;
    SessionTime(2, CRC_WAY2) session2;
    SessionTime(3, CRC_WAY3) session3;

    Register<bit<8>, bit<(SESSION_BITS + 2)>>(1 << (SESSION_BITS + 2), 0) phases;
    RegisterAction<bit<8>, bit<(SESSION_BITS + 2)>, bit<8>>(phases) advance = {
        void apply(inout bit<8> phase, out bit<8> now) {
            if (phase >= BOTH_SYNS) {
                phase = phase | meta.event_open;
            } else {
                phase = phase | meta.event;
            }
            now = phase;
        }
    };
    RegisterAction<bit<8>, bit<(SESSION_BITS + 2)>, bit<8>>(phases) restart = {
        void apply(inout bit<8> phase, out bit<8> now) {
            phase = meta.event;
            now = phase;
        }
    };
    Register<bit<32>, bit<(SESSION_BITS + 2)>>(1 << (SESSION_BITS + 2), 0) acked;
    RegisterAction<bit<32>, bit<(SESSION_BITS + 2)>, bit<8>>(acked) note = {
        void apply(inout bit<32> number, out bit<8> reset) {
            reset = 0;
            number = hdr.tcp.ack_no;
        }
    };
    RegisterAction<bit<32>, bit<(SESSION_BITS + 2)>, bit<8>>(acked) prove = {
        void apply(inout bit<32> number, out bit<8> reset) {
            reset = 0;
            if (number == hdr.tcp.seq_no) { reset = PHASE_RESET; }
        }
    };

    // --- the present ---

    @id(0x01000048)
    action set_clock(@id(1) tick_t now, @id(2) tick_t rested) {
        meta.now = now;
        meta.rested = rested;
    }
    @id(0x0200001b)
    table clock {
        actions = { set_clock; }
        default_action = set_clock(0, 0);
        size = 1;
    }

    // --- what a packet means for its cells ---

    @hidden action plan(bit<2> slot_op, bit<3> session_op, bit<2> phase_op) {
        meta.slot_op = slot_op;
        meta.session_op = session_op;
        meta.phase_op = phase_op;
        meta.slot_now = meta.now;
    }
    // The operands of what has no timer: a moment for what may begin a flow anew.
    @hidden action plan_anew(bit<2> slot_op, bit<3> session_op, bit<2> phase_op) {
        meta.slot_op = slot_op;
        meta.session_op = session_op;
        meta.phase_op = phase_op;
        meta.slot_now = meta.now;
        meta.session_operand = meta.now + GRACE_TICKS;
    }
    // For a packet that the controller gets: so long it may take to answer.
    @hidden action lend() {
        meta.slot_op = 1;
        meta.slot_now = meta.now;
        meta.slot_operand = meta.now + LEND_TICKS;
    }
    // The mapping in the registers goes on beneath that of the tables.
    @hidden action beneath() {
        meta.slot_op = 2;
        meta.phase = PHASE_TABLE;
        meta.outbound = 1;
        meta.slot_now = meta.now;
    }
    @hidden action reserve_session(bit<2> slot_op) {
        meta.slot_op = slot_op;
        meta.slot_now = meta.now;
        meta.session_op = LIFE_RESERVE;
    }
    @hidden action reserve_both() {
        meta.slot_op = 3;
        meta.session_op = LIFE_RESERVE;
        meta.slot_now = meta.rested;
    }
    @hidden action nothing() { }
    @hidden
    table plans {
        key = {
            hdr.bridge.kind          : ternary;
            hdr.bridge.claimed       : ternary;
            hdr.bridge.side          : ternary;
            hdr.bridge.mapping       : ternary;
            hdr.bridge.slot_hit      : ternary;
            hdr.bridge.live          : ternary;
            hdr.bridge.in_session    : ternary;
            hdr.bridge.is_icmp_error : ternary;
            hdr.bridge.opening       : ternary;
            hdr.bridge.admitted      : ternary;
            hdr.tcp.isValid()        : ternary;
        }
        actions = { plan; plan_anew; lend; beneath; reserve_session; reserve_both; nothing; }
        const default_action = nothing;
        const entries = {
            (KIND_PUNT, _, SIDE_INSIDE, _, 1, _, _, 0, _, _, _)     : lend();
            (KIND_PUNT, _, _, _, _, _, _, _, _, _, _)               : nothing();
            // An error neither refreshes nor ends anything (RFC 5508 REQ-6).
            (KIND_FORWARD, _, _, _, _, _, 1, 1, _, _, _)            : nothing();
            (KIND_FORWARD, _, _, _, _, 1, _, 1, _, _, _)            : plan(0, LIFE_PROLONG, 0);
            (KIND_FORWARD, _, _, _, 1, _, 1, _, _, _, _)            : beneath();
            (KIND_FORWARD, _, _, _, _, _, 1, _, _, _, _)            : nothing();
            // The second pass of a claim. Reserving has set the time.
            (KIND_FORWARD, 1, _, _, 1, 1, _, _, _, _, _)            : plan(2, LIFE_REFRESH, PHASE_RESTART);
            (KIND_FORWARD, 1, _, _, 0, 1, _, _, _, _, _)            : plan(0, LIFE_REFRESH, PHASE_RESTART);
            // Inside may begin a flow anew, and bring its mapping back.
            (KIND_FORWARD, _, SIDE_INSIDE, _, 1, 1, _, _, 1, _, true)  : plan_anew(2, LIFE_REFRESH, PHASE_RESTART);
            (KIND_FORWARD, _, SIDE_INSIDE, _, 0, 1, _, _, 1, _, true)  : plan_anew(0, LIFE_REFRESH, PHASE_RESTART);
            (KIND_FORWARD, _, SIDE_INSIDE, _, 1, 1, _, _, 1, _, _)  : plan_anew(2, LIFE_REFRESH, PHASE_ADVANCE);
            (KIND_FORWARD, _, SIDE_INSIDE, _, 0, 1, _, _, 1, _, _)  : plan_anew(0, LIFE_REFRESH, PHASE_ADVANCE);
            // Nobody outside brings a mapping back that has ended.
            (KIND_FORWARD, _, SIDE_OUTSIDE, _, 1, 1, _, _, 1, 1, _) : plan_anew(1, LIFE_REFRESH, PHASE_ADVANCE);
            (KIND_FORWARD, _, SIDE_OUTSIDE, _, 0, 1, _, _, 1, 1, _) : plan_anew(0, LIFE_REFRESH, PHASE_ADVANCE);
            (KIND_FORWARD, _, _, _, 1, 1, _, _, _, _, _)            : plan(1, LIFE_PROLONG, PHASE_ADVANCE);
            (KIND_FORWARD, _, _, _, 0, 1, _, _, _, _, _)            : plan(0, LIFE_PROLONG, PHASE_ADVANCE);
            (KIND_CLAIM, _, _, MAPPING_NONE, _, _, _, _, _, _, _)   : reserve_both();
            (KIND_CLAIM, _, SIDE_OUTSIDE, _, 1, _, _, _, _, _, _)   : reserve_session(1);
            (KIND_CLAIM, _, _, _, _, _, _, _, _, _, _)              : reserve_session(0);
        }
        size = 32;
    }
    @hidden action own_reservations() {
        meta.slot_operand = slot_owner.get({ hdr.bridge.tag, hdr.bridge.who[31:16] });
    }
    @hidden action own_session() { meta.session_operand = session_owner.get(CELL); }

    // --- phase ---

    @hidden action set_event(bit<8> event, bit<8> event_open) {
        meta.event = event;
        meta.event_open = event_open;
    }
#define IN_ACK PHASE_ESTABLISHED
    @hidden
    table event {
        key = {
            hdr.bridge.side   : ternary;
            hdr.tcp.isValid() : ternary;
            meta.tcp_flags    : ternary;
        }
        actions = { set_event; nothing; }
        const default_action = nothing;
        const entries = {
            (SIDE_INSIDE, false, _)              : set_event(PHASE_INSIDE_SYN, PHASE_INSIDE_SYN);
            (SIDE_OUTSIDE, false, _)             : set_event(PHASE_OUTSIDE_SYN, PHASE_OUTSIDE_SYN);
            (_, true, 0x04 &&& 0x04)             : nothing();
            (SIDE_INSIDE, true, 0x03 &&& 0x03)   : set_event(PHASE_INSIDE_SYN | PHASE_INSIDE_FIN, PHASE_INSIDE_SYN | PHASE_INSIDE_FIN);
            (SIDE_INSIDE, true, 0x02 &&& 0x02)   : set_event(PHASE_INSIDE_SYN, PHASE_INSIDE_SYN);
            (SIDE_INSIDE, true, 0x11 &&& 0x11)   : set_event(PHASE_INSIDE_FIN, PHASE_INSIDE_FIN | IN_ACK);
            (SIDE_INSIDE, true, 0x10 &&& 0x10)   : set_event(0, IN_ACK);
            (SIDE_INSIDE, true, 0x01 &&& 0x01)   : set_event(PHASE_INSIDE_FIN, PHASE_INSIDE_FIN);
            (SIDE_OUTSIDE, true, 0x03 &&& 0x03)  : set_event(PHASE_OUTSIDE_SYN | PHASE_OUTSIDE_FIN, PHASE_OUTSIDE_SYN | PHASE_OUTSIDE_FIN);
            (SIDE_OUTSIDE, true, 0x02 &&& 0x02)  : set_event(PHASE_OUTSIDE_SYN, PHASE_OUTSIDE_SYN);
            (SIDE_OUTSIDE, true, 0x01 &&& 0x01)  : set_event(PHASE_OUTSIDE_FIN, PHASE_OUTSIDE_FIN);
        }
        size = 16;
    }
    @hidden action cell0() { meta.cell = index0.get(CELL); }
    @hidden action cell1() { meta.cell = index1.get(CELL); }
    @hidden action cell2() { meta.cell = index2.get(CELL); }
    @hidden action cell3() { meta.cell = index3.get(CELL); }
    @hidden action do_advance() { meta.phase = advance.execute(hdr.bridge.session_way ++ meta.cell); }
    @hidden action do_restart() { meta.phase = restart.execute(hdr.bridge.session_way ++ meta.cell); }
    @hidden action do_note() { meta.reset = note.execute(hdr.bridge.session_way ++ meta.cell); }
    @hidden action do_prove() { meta.reset = prove.execute(hdr.bridge.session_way ++ meta.cell); }
    @hidden
    table phase {
        key = { meta.phase_op : exact; }
        actions = { do_advance; do_restart; nothing; }
        const default_action = nothing;
        const entries = {
            PHASE_ADVANCE : do_advance();
            PHASE_RESTART : do_restart();
        }
        size = 2;
    }
    @hidden
    table acknowledged {
        key = {
            meta.phase_op     : ternary;
            hdr.bridge.side   : ternary;
            hdr.tcp.isValid() : ternary;
            meta.tcp_flags    : ternary;
        }
        actions = { do_note; do_prove; nothing; }
        const default_action = nothing;
        const entries = {
            (PHASE_KEEP, _, _, _)                 : nothing();
            (_, SIDE_INSIDE, true, 0x10 &&& 0x14) : do_note();
            (_, SIDE_OUTSIDE, true, 0x04 &&& 0x04) : do_prove();
        }
        size = 4;
    }
    @hidden action reset_phase() { meta.phase = meta.phase | meta.reset; }

    // --- time ---

    @id(0x01000041)
    action set_ttl(@id(1) tick_t ticks) {
        meta.ttl = ticks;
        meta.ttl_op = TTL_SET;
        timer_counter.count();
    }
    @id(0x01000042)
    action cut_ttl(@id(1) tick_t ticks) {
        meta.ttl = ticks;
        meta.ttl_op = TTL_CUT;
        timer_counter.count();
    }
    @id(0x01000043)
    action keep_ttl() { timer_counter.count(); }
    @id(0x02000017)
    table timer {
        key = {
            hdr.ipv4.protocol : ternary @id(1) @name("proto");
            meta.phase        : ternary @id(2) @name("phase");
            meta.server_id    : ternary @id(3) @name("server_id");
            meta.outbound     : ternary @id(4) @name("outbound");
        }
        actions = { set_ttl; cut_ttl; @defaultonly keep_ttl; }
        const default_action = keep_ttl;
        counters = timer_counter;
        size = SIZE_TIMER;
    }
    @hidden action set_ends() {
        meta.session_operand = meta.now + meta.ttl;
        meta.slot_operand = meta.now + meta.ttl;
    }

    // --- what is left of a packet whose time is over ---

    @hidden action expired() { meta.drop = DROP_EXPIRED; }
    @hidden
    table ended {
        key = {
            meta.session_op     : ternary;
            meta.session_alive  : ternary;
            meta.slot_op        : ternary;
            meta.slot_alive     : ternary;
            hdr.bridge.kind     : ternary;
            hdr.bridge.opening  : ternary;
        }
        actions = { expired; nothing; }
        const default_action = nothing;
        const entries = {
            (LIFE_PROLONG, 0, _, _, KIND_FORWARD, _) : expired();
            (LIFE_REFRESH, _, 1, 0, KIND_FORWARD, 1) : expired();
            (LIFE_RESERVE, _, 1, 0, KIND_CLAIM, _)   : expired();
        }
        size = 4;
    }

    apply {
        clock.apply();
        event.apply();
        plans.apply();
        if (hdr.bridge.session_way == 0) { cell0(); }
        else if (hdr.bridge.session_way == 1) { cell1(); }
        else if (hdr.bridge.session_way == 2) { cell2(); }
        else { cell3(); }
        phase.apply();
        acknowledged.apply();
        reset_phase();
        if (meta.session_op == LIFE_RESERVE) {
            own_reservations();
            own_session();
        } else {
            timer.apply();
            if (meta.ttl_op != TTL_KEEP) { set_ends(); }
        }
        session0.apply(hdr, meta);
        session1.apply(hdr, meta);
        session2.apply(hdr, meta);
        session3.apply(hdr, meta);
        slot0.apply(hdr, meta);
        slot1.apply(hdr, meta);
        slot2.apply(hdr, meta);
        ended.apply();
    }
}
