// Lifetime: when. Claims cells for plain flows that begin, and keeps time for those that are
// there. Ingress found out which cells a packet is about; here they are changed, and ingress
// may have looked at them before another packet changed them: a cell that it saw alive may
// have ended by now, or be another's. So each action looks again.
//
// timer       (protocol, phase, server's port, direction) -> how long a session lives from
//             now on, in ticks. No entry: its time is left as it is.
//
// A mapping lives as long as the sessions on it: its end is the latest of theirs. When the
// last established TCP connection on it ends, it is cut short, for otherwise each port would
// be lost for the two hours of an idle connection. All sessions that are not established end
// within the transitory timer from now, so none of them loses its mapping.
//
// TCP (RFC 5382, RFC 7857) believes what is proved. A segment from outside never prolongs a
// session: whoever forges it gains nothing. A session is established when the inside host has
// acknowledged something after both ends sent a SYN, which it does only if the handshake was
// right in its eyes. A reset from outside counts if its sequence number is the one that the
// inside host acknowledged last (RFC 5961), and only until the inside host goes on.

control Lifetime(inout headers_t hdr, inout metadata_t meta) {
    @id(0x13000015)
    direct_counter(CounterType.packets) timer_counter;

    flow_id_t server_id;
    bit<1>  outbound;
    bit<48> wanted;
    bit<48> slot0;
    bit<48> slot1;
    bit<48> slot2;
    bit<48> time0;
    bit<48> time1;
    bit<48> time2;
    bit<80> cell0;
    bit<80> cell1;
    bit<80> cell2;
    bit<80> cell3;
    bit<72> state0;
    bit<72> state1;
    bit<72> state2;
    bit<72> state3;
    tick_t  end;
    bit<16> open;
    bit<8>  before;
    bit<8>  phase;
    bit<32> acked;
    bit<1>  was_open;
    bit<1>  is_open;
    bit<1>  fresh;
    bit<1>  over;
    bit<1>  timed;
    bit<32> index;

    // --- slots ---

    @id(0x01000038)
    action take_slot(in bit<2> way) {
        meta.slot_hit = 1;
        meta.lost = 0;
        meta.slot_cell = meta.slot_index + ((bit<32>)way << SLOT_BITS);
        meta.slot_port = meta.tag[15:0] | ((bit<16>)way << 1);
    }
    // The mapping of a new endpoint: the cell that is its own by now, else the first that
    // is free. Free is what nobody used, and what ended and rested (RFC 6888 REQ-8).
    @id(0x01000039)
    action claim_slot() {
        wanted = meta.tag ++ meta.key.inside_id[15:0];
        slot_cell.read(slot0, meta.slot_index);
        slot_cell.read(slot1, meta.slot_index + SLOT_CELLS);
        slot_cell.read(slot2, meta.slot_index + 2 * SLOT_CELLS);
        slot_state.read(time0, meta.slot_index);
        slot_state.read(time1, meta.slot_index + SLOT_CELLS);
        slot_state.read(time2, meta.slot_index + 2 * SLOT_CELLS);
        meta.lost = 1;
        fresh = 0;
        if (slot0 == wanted) { take_slot(0); }
        else if (slot1 == wanted) { take_slot(1); }
        else if (slot2 == wanted) { take_slot(2); }
        else if (slot0 == 0 || time0[31:0] + meta.rest < meta.now) { take_slot(0); fresh = 1; }
        else if (slot1 == 0 || time1[31:0] + meta.rest < meta.now) { take_slot(1); fresh = 1; }
        else if (slot2 == 0 || time2[31:0] + meta.rest < meta.now) { take_slot(2); fresh = 1; }
        if (fresh == 1) {
            slot_cell.write(meta.slot_cell, wanted);
            slot_state.write(meta.slot_cell, (bit<48>)(meta.now + GRACE_TICKS));
        }
        if (meta.lost == 0) {
            meta.new_addr = meta.block_addr;
            meta.new_id = (flow_id_t)meta.slot_port;
        }
    }
    @id(0x0100003a)
    action look_at_slot() {
        slot_cell.read(slot0, meta.slot_cell);
        slot_state.read(time0, meta.slot_cell);
        if (slot0 == meta.tag ++ meta.key.inside_id[15:0] && time0[31:0] >= meta.now) {
            meta.slot_alive = 1;
        }
    }
    // For a packet that the controller gets: so long it may take to answer.
    @id(0x0100003b)
    action lend_slot() {
        slot_cell.read(slot0, meta.slot_cell);
        slot_state.read(time0, meta.slot_cell);
        if (slot0 == meta.tag ++ meta.key.inside_id[15:0] && time0[31:0] >= meta.now) {
            meta.slot_alive = 1;
            if (time0[31:0] < meta.now + LEND_TICKS) {
                slot_state.write(meta.slot_cell, time0[47:32] ++ (meta.now + LEND_TICKS));
            }
        }
    }
    @id(0x0100003c)
    action hold_slot() {
        slot_cell.read(slot0, meta.slot_cell);
        slot_state.read(time0, meta.slot_cell);
        if (slot0 == meta.tag ++ meta.key.inside_id[15:0]) {
            meta.slot_alive = 1;
            open = time0[47:32];
            end = time0[31:0];
            if (end < meta.now) { open = 0; }
            if (meta.opened == OPENED_STICK) {
                open = 0xffff;
            } else if (meta.opened == OPENED_ONE && open < 0xfffe) {
                open = open + 1;
            } else if (meta.opened == CLOSED_ONE && open != 0 && open < 0xfffe) {
                open = open - 1;
                if (open == 0) { end = 0; }
            }
            if (end < meta.now + meta.ttl) { end = meta.now + meta.ttl; }
            slot_state.write(meta.slot_cell, open ++ end);
        }
    }

    // --- sessions ---

    // The cell of a new session: its own from before, else the first that has ended.
    @id(0x0100003d)
    action claim_session() {
        session_cell.read(cell0, meta.session_index0);
        session_cell.read(cell1, meta.session_index1);
        session_cell.read(cell2, meta.session_index2);
        session_cell.read(cell3, meta.session_index3);
        session_state.read(state0, meta.session_index0);
        session_state.read(state1, meta.session_index1);
        session_state.read(state2, meta.session_index2);
        session_state.read(state3, meta.session_index3);
        fresh = 0;
        meta.live = 1;
        if (cell0 == meta.session_key) { meta.session_cell = meta.session_index0; }
        else if (cell1 == meta.session_key) { meta.session_cell = meta.session_index1; }
        else if (cell2 == meta.session_key) { meta.session_cell = meta.session_index2; }
        else if (cell3 == meta.session_key) { meta.session_cell = meta.session_index3; }
        else if (state0[71:40] < meta.now) { meta.session_cell = meta.session_index0; fresh = 1; }
        else if (state1[71:40] < meta.now) { meta.session_cell = meta.session_index1; fresh = 1; }
        else if (state2[71:40] < meta.now) { meta.session_cell = meta.session_index2; fresh = 1; }
        else if (state3[71:40] < meta.now) { meta.session_cell = meta.session_index3; fresh = 1; }
        else { meta.live = 0; meta.lost = 1; }
        if (fresh == 1) {
            session_cell.write(meta.session_cell, meta.session_key);
            session_state.write(meta.session_cell,
                                (meta.now + GRACE_TICKS) ++ 8w0 ++ 32w0);
        }
    }
    // Reads the session of the packet: the cell may be another's by now.
    @id(0x0100003e)
    action check_session() {
        session_cell.read(cell0, meta.session_cell);
        session_state.read(state0, meta.session_cell);
        if (cell0 != meta.session_key || state0[71:40] < meta.now) { meta.drop = DROP_EXPIRED; }
    }
    @id(0x0100003f)
    action advance() {
        session_cell.read(cell0, meta.session_cell);
        session_state.read(state0, meta.session_cell);
        end = state0[71:40];
        before = state0[39:32];
        acked = state0[31:0];
        phase = before;
        over = 0;
        if ((before & PHASE_RESET) != 0
            || (before & (PHASE_INSIDE_FIN | PHASE_OUTSIDE_FIN))
               == (PHASE_INSIDE_FIN | PHASE_OUTSIDE_FIN)) { over = 1; }
        was_open = 0;
        if (end >= meta.now && over == 0 && (before & PHASE_ESTABLISHED) != 0) { was_open = 1; }
        if (cell0 != meta.session_key) {
            meta.drop = DROP_TAKEN;
        } else if (end < meta.now && (meta.opening == 0 || meta.admitted == 0)) {
            meta.drop = DROP_EXPIRED;
        } else {
            // What may begin a flow begins it anew where the last one is over.
            if (end < meta.now || (over == 1 && hdr.tcp.isValid() && meta.opening == 1
                                   && meta.admitted == 1)) {
                phase = 0;
                acked = 0;
                if (end < meta.now) { end = meta.now + GRACE_TICKS; }
            }
            if (!hdr.tcp.isValid()) {
                phase = phase | (outbound == 1 ? PHASE_INSIDE_SYN : PHASE_OUTSIDE_SYN);
            } else if (outbound == 1) {
                if ((hdr.tcp.flags & TCP_RST) != 0) {
                    phase = phase | PHASE_RESET;
                } else {
                    // The inside host goes on: what reset the session was not its peer.
                    phase = phase & ~PHASE_RESET;
                    if ((hdr.tcp.flags & TCP_SYN) != 0) {
                        phase = phase | PHASE_INSIDE_SYN;
                    } else if ((hdr.tcp.flags & TCP_ACK) != 0
                               && (phase & (PHASE_INSIDE_SYN | PHASE_OUTSIDE_SYN))
                                  == (PHASE_INSIDE_SYN | PHASE_OUTSIDE_SYN)) {
                        phase = phase | PHASE_ESTABLISHED;
                    }
                    if ((hdr.tcp.flags & TCP_FIN) != 0) { phase = phase | PHASE_INSIDE_FIN; }
                    if ((hdr.tcp.flags & TCP_ACK) != 0) { acked = hdr.tcp.ack_no; }
                }
            } else {
                if ((hdr.tcp.flags & TCP_RST) != 0) {
                    if (hdr.tcp.seq_no == acked && (phase & PHASE_INSIDE_SYN) != 0) {
                        phase = phase | PHASE_RESET;
                    }
                } else {
                    if ((hdr.tcp.flags & TCP_SYN) != 0) { phase = phase | PHASE_OUTSIDE_SYN; }
                    if ((hdr.tcp.flags & TCP_FIN) != 0) { phase = phase | PHASE_OUTSIDE_FIN; }
                }
            }
            session_state.write(meta.session_cell, end ++ phase ++ acked);
        }
        is_open = 0;
        if ((phase & PHASE_ESTABLISHED) != 0 && (phase & PHASE_RESET) == 0
            && (phase & (PHASE_INSIDE_FIN | PHASE_OUTSIDE_FIN))
               != (PHASE_INSIDE_FIN | PHASE_OUTSIDE_FIN)) { is_open = 1; }
        if (was_open == 0 && is_open == 1) { meta.opened = OPENED_ONE; }
        if (was_open == 1 && is_open == 0) { meta.opened = CLOSED_ONE; }
        meta.phase = phase;
    }
    @id(0x01000040)
    action prolong() {
        session_state.read(state0, meta.session_cell);
        end = meta.now + meta.ttl;
        if (meta.ttl_op == TTL_SET || state0[71:40] > end) {
            session_state.write(meta.session_cell, end ++ state0[39:0]);
        }
    }

    @id(0x01000041)
    action set_ttl(@id(1) tick_t ticks) { meta.ttl = ticks; meta.ttl_op = TTL_SET; }
    @id(0x01000042)
    action cut_ttl(@id(1) tick_t ticks) { meta.ttl = ticks; meta.ttl_op = TTL_CUT; }
    @id(0x01000043)
    action keep_ttl() { }
    @id(0x02000017)
    table timer {
        key = {
            meta.key.proto : ternary @id(1) @name("proto");
            meta.phase     : ternary @id(2) @name("phase");
            server_id      : ternary @id(3) @name("server_id");
            outbound       : ternary @id(4) @name("outbound");
        }
        actions = { set_ttl; cut_ttl; @defaultonly keep_ttl; }
        const default_action = keep_ttl;
        counters = timer_counter;
        size = SIZE_TIMER;
    }

    apply {
        timed = 0;
        outbound = ~(bit<1>)meta.side;
        if (meta.kind == KIND_PUNT) {
            if (meta.slot_hit == 1 && outbound == 1 && meta.is_icmp_error == 0) { lend_slot(); }
        } else if (meta.is_icmp_error == 1) {
            // Neither refreshes nor ends anything (RFC 5508 REQ-6).
            if (meta.live == 1) { check_session(); }
        } else if (meta.in_session == 1) {
            // The mapping in the registers goes on beneath that of the tables.
            if (meta.slot_hit == 1) {
                meta.phase = PHASE_TABLE;
                meta.opened = OPENED_STICK;
                outbound = 1;
                timed = 1;
            }
        } else if (meta.kind == KIND_CLAIM || meta.live == 1) {
            if (outbound == 0 && meta.slot_hit == 1 && meta.opening == 1
                && meta.admitted == 1) {
                // Nobody outside brings a mapping back that has ended.
                look_at_slot();
                if (meta.slot_alive == 0) { meta.drop = DROP_EXPIRED; }
            }
            if (meta.kind == KIND_CLAIM) {
                if (meta.mapping == MAPPING_NONE) { claim_slot(); }
                if (meta.lost == 0 && meta.drop == DROP_NONE) { claim_session(); }
            }
            if (meta.lost == 0 && meta.drop == DROP_NONE) {
                advance();
                if (meta.drop == DROP_NONE) { timed = 1; }
            }
        }
        if (timed == 1) {
            server_id = meta.mapping == MAPPING_STATIC ? meta.key.inside_id : meta.key.remote_id;
            timer.apply();
            if (meta.in_session == 0 && meta.ttl_op != TTL_KEEP) { prolong(); }
            if (meta.slot_hit == 1 && (meta.ttl_op == TTL_SET || meta.opened == CLOSED_ONE)) {
                hold_slot();
                if (meta.in_session == 0 && meta.slot_alive == 0) { meta.drop = DROP_TAKEN; }
            }
        }
    }
}
