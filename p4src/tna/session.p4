// Session: which flows may pass, in both directions, on the oriented key.
//
// session     exact flow; ages (RFC 4787 REQ-5, 5382 REQ-5); names its ALG
// pinhole     ternary; a hit passes at once and is reported by digest. One for a single flow
//             is claimed by the first, so that no further one passes while the controller is
//             behind. Only what may begin a flow claims: no ACK, no RST.
// peer        remote address an inside endpoint has sent to (RFC 4787 5, address-dependent
//             filtering), for mappings of the tables
// alg_service which ALG a new flow belongs to, by organisation and the server's port
//
// Plain flows are in the registers: four ways. A CRC of 16 bits is a bijection of any 16
// neighbouring bits, all others given, and its low 15 bits are one of the low 15 bits of them:
// so the cell needs to hold no more of the remote id than its highest bit, which `who` has.
// With address-dependent filtering the key leaves the remote port out.

control SessionWay(in metadata_t meta, inout bit<1> hit)(bit<2> way, bit<16> polynomial) {
    CRCPolynomial<bit<16>>(polynomial, false, false, false, 0, 0) crc;
    Hash<bit<SESSION_BITS>>(HashAlgorithm_t.CUSTOM, crc) index;
    Register<cell_t, bit<SESSION_BITS>>(1 << SESSION_BITS, {0, 0}) cells;
    RegisterAction<cell_t, bit<SESSION_BITS>, bit<1>>(cells) find = {
        void apply(inout cell_t cell, out bit<1> same) {
            same = 0;
            if (cell.low == meta.key.remote_addr && cell.high == meta.who) { same = 1; }
        }
    };
    RegisterAction<cell_t, bit<SESSION_BITS>, bit<1>>(cells) claim = {
        void apply(inout cell_t cell, out bit<1> same) {
            cell.low = meta.key.remote_addr;
            cell.high = meta.who;
            same = 1;
        }
    };
    @hidden action find_cell() {
        hit = find.execute(index.get({ meta.key.remote_addr, meta.who, meta.session_remote }));
    }
    @hidden action claim_cell() {
        hit = claim.execute(index.get({ meta.key.remote_addr, meta.who, meta.session_remote }));
    }
    @hidden action none() { }
    @hidden
    table access {
        key = {
            meta.has_class     : ternary;
            meta.has_number    : ternary;
            meta.session_claim : ternary;
        }
        actions = { find_cell; claim_cell; none; }
        const default_action = none;
        const entries = {
            (1, 1, CLAIMED | (bit<8>)way) : claim_cell();
            (1, 1, _)                     : find_cell();
        }
        size = 2;
    }
    apply { access.apply(); }
}

// The class at its place in `who`.
#define CLASS_BITS(class) ((bit<16>)class << 14)

// Orient: the flow by its ends, as far as the parser's key tells.
control Orient(inout metadata_t meta) {
    @hidden action from_inside(bit<16> bits) {
        meta.outbound = 1;
        meta.who_bits = bits;
        meta.key.inside_addr = meta.key.src_addr;
        meta.key.inside_id = meta.key.src_id;
        meta.key.remote_addr = meta.key.dst_addr;
        meta.key.remote_id = meta.key.dst_id;
        meta.server_id = meta.key.dst_id;
        meta.session_remote = meta.key.dst_id[15:0];
        meta.who[31:16] = meta.key.src_id[15:0];
        meta.route_addr = meta.key.dst_addr;
    }
    @hidden action from_inside_any_port(bit<16> bits) {
        meta.outbound = 1;
        meta.who_bits = bits;
        meta.key.inside_addr = meta.key.src_addr;
        meta.key.inside_id = meta.key.src_id;
        meta.key.remote_addr = meta.key.dst_addr;
        meta.key.remote_id = meta.key.dst_id;
        meta.server_id = meta.key.dst_id;
        meta.who[31:16] = meta.key.src_id[15:0];
        meta.route_addr = meta.key.dst_addr;
    }
    @hidden action query_from_inside() {
        meta.outbound = 1;
        meta.who_bits = CLASS_BITS(CLASS_ICMP);
        meta.key.inside_addr = meta.key.src_addr;
        meta.key.inside_id = meta.key.src_id;
        meta.key.remote_addr = meta.key.dst_addr;
        meta.who[31:16] = meta.key.src_id[15:0];
        meta.route_addr = meta.key.dst_addr;
    }
    @hidden action from_outside(bit<16> bits) {
        meta.who_bits = bits;
        meta.key.remote_addr = meta.key.src_addr;
        meta.key.remote_id = meta.key.src_id;
        meta.session_remote = meta.key.src_id[15:0];
        meta.route_addr = meta.key.dst_addr;
    }
    @hidden action from_outside_any_port(bit<16> bits) {
        meta.who_bits = bits;
        meta.key.remote_addr = meta.key.src_addr;
        meta.key.remote_id = meta.key.src_id;
        meta.route_addr = meta.key.dst_addr;
    }
    @hidden action query_from_outside() {
        meta.who_bits = CLASS_BITS(CLASS_ICMP);
        meta.key.remote_addr = meta.key.src_addr;
        meta.route_addr = meta.key.dst_addr;
    }
    // The highest bit of the remote id is matched: a slice of it would split its containers.
#define HIGH 0x8000 &&& 0x8000
#define ORIENT(class) \
        (SIDE_INSIDE, 0, FILTER_ADDRESS, class, _, _) \
            : from_inside_any_port(CLASS_BITS(class)); \
        (SIDE_INSIDE, 0, _, class, _, HIGH) : from_inside(CLASS_BITS(class) | 0x2000); \
        (SIDE_INSIDE, 0, _, class, _, _)    : from_inside(CLASS_BITS(class)); \
        (SIDE_OUTSIDE, 0, FILTER_ADDRESS, class, _, _) \
            : from_outside_any_port(CLASS_BITS(class)); \
        (SIDE_OUTSIDE, 0, _, class, HIGH, _) : from_outside(CLASS_BITS(class) | 0x2000); \
        (SIDE_OUTSIDE, 0, _, class, _, _)    : from_outside(CLASS_BITS(class))
    @hidden
    table orient {
        key = {
            meta.side        : ternary;
            meta.is_query    : ternary;
            meta.slot_filter : ternary;
            meta.class       : ternary;
            meta.key.src_id  : ternary;
            meta.key.dst_id  : ternary;
        }
        actions = { from_inside; from_inside_any_port; query_from_inside; from_outside;
                    from_outside_any_port; query_from_outside; }
        const default_action = query_from_outside;
        const entries = {
            (SIDE_INSIDE, 1, _, _, _, _)  : query_from_inside();
            (SIDE_OUTSIDE, 1, _, _, _, _) : query_from_outside();
            ORIENT(CLASS_NONE);
            ORIENT(CLASS_TCP);
            ORIENT(CLASS_UDP);
            ORIENT(CLASS_ICMP);
        }
        size = 32;
    }
    apply { orient.apply(); }
}

control Session(in headers_t hdr, inout metadata_t meta) {
    @id(0x13000009) DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) session_counter;
    @id(0x1300000a) DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) pinhole_counter;
    @id(0x1300000b) DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) peer_counter;
    @id(0x1300000c) DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) alg_service_counter;

    Hash<bit<32>>(HashAlgorithm_t.XOR32) flow;
    SessionWay(0, CRC_WAY0) way0;
    SessionWay(1, CRC_WAY1) way1;
    SessionWay(2, CRC_WAY2) way2;
    SessionWay(3, CRC_WAY3) way3;

    // Number of a pinhole, flow that claimed it. The sum modulo 2 of a flow's ends tells flows
    // apart if the pinhole leaves no more than one of them open, as those of ALGs do.
    Register<cell_t, bit<PINHOLE_BITS>>(1 << PINHOLE_BITS, {0, 0}) pinhole_cells;
    RegisterAction<cell_t, bit<PINHOLE_BITS>, bit<2>>(pinhole_cells) begin = {
        void apply(inout cell_t cell, out bit<2> verdict) {
            verdict = PINHOLE_NONE;
            if (cell.low != meta.pinhole_id || cell.high == meta.pinhole_flow) {
                cell.low = meta.pinhole_id;
                cell.high = meta.pinhole_flow;
                verdict = PINHOLE_PERMIT;
            }
        }
    };
    RegisterAction<cell_t, bit<PINHOLE_BITS>, bit<2>>(pinhole_cells) go_on = {
        void apply(inout cell_t cell, out bit<2> verdict) {
            verdict = PINHOLE_NONE;
            if (cell.low == meta.pinhole_id && cell.high == meta.pinhole_flow) {
                verdict = PINHOLE_PERMIT;
            }
        }
    };

    @id(0x0100000f)
    action allow(@id(1) bit<8> alg_id, @id(2) bit<8> flags, @id(3) bit<16> watch_below) {
        meta.in_session = 1;
        meta.alg_id = alg_id;
        meta.session_flags = flags;
        meta.watch_room = watch_below |-| hdr.udp.length;
        session_counter.count();
    }
    @id(0x01000010)
    action no_session() { session_counter.count(); }
    @id(0x01000011)
    action permit(@id(1) bit<32> pinhole_id, @id(3) bit<8> flows) {
        meta.pinhole = PINHOLE_PERMIT;
        meta.pinhole_id = pinhole_id;
        meta.pinhole_flows = flows;
        pinhole_counter.count();
    }
    // For an ALG that has to read how the flow begins: nothing passes yet. The
    // id and the number of flows are for who reads the table.
    @noWarn("unused") @id(0x01000024)
    action inspect(@id(1) bit<32> pinhole_id, @id(2) bit<8> alg_id, @id(3) bit<8> flows) {
        meta.pinhole = PINHOLE_INSPECT;
        meta.pinhole_alg = alg_id;
        pinhole_counter.count();
    }
    @id(0x01000012)
    action no_pinhole() { pinhole_counter.count(); }
    @id(0x01000013)
    action peer_known() {
        meta.admitted = 1;
        peer_counter.count();
    }
    @id(0x01000014)
    action peer_unknown() { peer_counter.count(); }
    @id(0x01000015)
    action bind_alg(@id(1) bit<8> alg_id) {
        meta.service_alg = alg_id;
        meta.served = 1;
        alg_service_counter.count();
    }
    @id(0x01000016)
    action no_alg() { alg_service_counter.count(); }

    @id(0x02000009)
    table session {
        key = {
            meta.key.proto       : exact @id(1) @name("proto");
            meta.key.inside_addr : exact @id(2) @name("inside_addr") @format(IPV4_ADDRESS);
            meta.key.inside_id   : exact @id(3) @name("inside_id");
            meta.key.remote_addr : exact @id(4) @name("remote_addr") @format(IPV4_ADDRESS);
            meta.key.remote_id   : exact @id(5) @name("remote_id");
            meta.organisation    : exact @id(6) @name("organisation");
        }
        actions = { allow; @defaultonly no_session; }
        const default_action = no_session;
        counters = session_counter;
        idle_timeout = true;
        size = SIZE_SESSION;
    }
    @id(0x0200000a)
    table pinhole {
        key = {
            meta.key.proto       : ternary @id(1) @name("proto");
            meta.key.inside_addr : ternary @id(2) @name("inside_addr") @format(IPV4_ADDRESS);
            meta.key.inside_id   : ternary @id(3) @name("inside_id");
            meta.key.remote_addr : ternary @id(4) @name("remote_addr") @format(IPV4_ADDRESS);
            meta.key.remote_id   : ternary @id(5) @name("remote_id");
            meta.organisation    : ternary @id(6) @name("organisation");
        }
        actions = { permit; inspect; @defaultonly no_pinhole; }
        const default_action = no_pinhole;
        counters = pinhole_counter;
        idle_timeout = true;
        size = SIZE_PINHOLE;
    }
    @id(0x0200000b)
    table peer {
        key = {
            meta.key.proto       : exact @id(1) @name("proto");
            meta.key.inside_addr : exact @id(2) @name("inside_addr") @format(IPV4_ADDRESS);
            meta.key.inside_id   : exact @id(3) @name("inside_id");
            meta.key.remote_addr : exact @id(4) @name("remote_addr") @format(IPV4_ADDRESS);
            meta.organisation    : exact @id(5) @name("organisation");
        }
        actions = { peer_known; @defaultonly peer_unknown; }
        const default_action = peer_unknown;
        counters = peer_counter;
        size = SIZE_PEER;
    }
    @id(0x0200000c)
    table alg_service {
        key = {
            meta.key.proto    : ternary @id(1) @name("proto");
            meta.server_id    : ternary @id(2) @name("server_id");
            meta.organisation : ternary @id(3) @name("organisation");
        }
        actions = { bind_alg; @defaultonly no_alg; }
        const default_action = no_alg;
        counters = alg_service_counter;
        size = SIZE_ALG_SERVICE;
    }

    @hidden action flow_of_pinhole() {
        meta.pinhole_flow = flow.get({ meta.key.remote_addr, meta.key.remote_id[15:0],
                                       meta.key.inside_id[15:0] });
    }
    @hidden action begin_pinhole() {
        meta.pinhole = begin.execute(meta.pinhole_id[PINHOLE_BITS - 1:0]);
    }
    @hidden action go_on_in_pinhole() {
        meta.pinhole = go_on.execute(meta.pinhole_id[PINHOLE_BITS - 1:0]);
    }
    @hidden action any_flow() { }
    @hidden
    table claim_pinhole {
        key = {
            meta.pinhole       : ternary;
            meta.pinhole_flows : ternary;
            meta.opening       : ternary;
            meta.origin        : ternary;
        }
        actions = { begin_pinhole; go_on_in_pinhole; any_flow; }
        const default_action = any_flow;
        const entries = {
            (PINHOLE_PERMIT, _, _, ORIGIN_LATE) : any_flow();
            (PINHOLE_PERMIT, 1, 1, _)           : begin_pinhole();
            (PINHOLE_PERMIT, 1, 0, _)           : go_on_in_pinhole();
        }
        size = 4;
    }

    @hidden action live_in(bit<2> way) {
        meta.live = 1;
        meta.session_way = way;
    }
    @hidden action not_live() { }
    @hidden
    table which_session {
        key = {
            meta.a0      : ternary;
            meta.a1      : ternary;
            meta.a2      : ternary;
            meta.a3      : ternary;
            meta.mapping : ternary;
        }
        actions = { live_in; not_live; }
        const default_action = not_live;
        const entries = {
            (_, _, _, _, MAPPING_NONE) : not_live();
            (1, _, _, _, _)            : live_in(0);
            (_, 1, _, _, _)            : live_in(1);
            (_, _, 1, _, _)            : live_in(2);
            (_, _, _, 1, _)            : live_in(3);
        }
        size = 8;
    }

    // Whether the ALG of a session reads the packet. Of a flow that is only watched, how it
    // ends: by a short datagram. Pure ACKs of a control connection stay in the switch.
    @hidden action read_by_alg() { meta.for_alg = 1; }
    @hidden action not_read() { }
    @hidden
    table reading {
        key = {
            meta.in_session     : ternary;
            meta.alg_id         : ternary;
            meta.is_icmp_error  : ternary;
            meta.session_flags  : ternary;
            meta.side           : ternary;
            hdr.udp.isValid()   : ternary;
            meta.watch_room     : ternary;
            hdr.tcp.isValid()   : ternary;
            meta.payload_len    : ternary;
            meta.tcp_flags      : ternary;
        }
        actions = { read_by_alg; not_read; }
        const default_action = not_read;
        const entries = {
            (0, _, _, _, _, _, _, _, _, _)                                  : not_read();
            (_, 0, _, _, _, _, _, _, _, _)                                  : not_read();
            (_, _, 1, _, _, _, _, _, _, _)                                  : not_read();
            (_, _, _, 0x0c &&& 0x0c, _, true, 0, _, _, _)                   : not_read();
            (_, _, _, 0x04 &&& 0x04, SIDE_INSIDE, true, 0, _, _, _)         : not_read();
            (_, _, _, 0x04 &&& 0x04, SIDE_INSIDE, true, _, _, _, _)         : read_by_alg();
            (_, _, _, 0x08 &&& 0x08, SIDE_OUTSIDE, true, 0, _, _, _)        : not_read();
            (_, _, _, 0x08 &&& 0x08, SIDE_OUTSIDE, true, _, _, _, _)        : read_by_alg();
            (_, _, _, 0x04 &&& 0x04, _, _, _, _, _, _)                      : not_read();
            (_, _, _, 0x08 &&& 0x08, _, _, _, _, _, _)                      : not_read();
            (_, _, _, _, _, _, _, true, 0, 0 &&& 0x07)                      : not_read();
            (_, _, _, _, _, _, _, _, _, _)                                  : read_by_alg();
        }
        size = 16;
    }
    // What the controller is told about the end, or the beginning, of a TCP session.
    @hidden action ends() { meta.report = 1; }
    @hidden action established() {
        meta.report = 1;
        meta.established = 1;
    }
    @hidden action no_event() { }
    @hidden
    table event {
        key = {
            meta.in_session     : ternary;
            meta.origin         : ternary;
            meta.is_icmp_error  : ternary;
            hdr.tcp.isValid()   : ternary;
            meta.session_flags  : ternary;
            meta.tcp_flags      : ternary;
        }
        actions = { ends; established; no_event; }
        const default_action = no_event;
        const entries = {
            (1, ORIGIN_WIRE, 0, true, _, 0x01 &&& 0x01)             : ends();
            (1, ORIGIN_WIRE, 0, true, _, 0x04 &&& 0x04)             : ends();
            (1, ORIGIN_WIRE, 0, true, 0x01 &&& 0x01, 0x10 &&& 0x12) : established();
        }
        size = 4;
    }

    // Numbers of a packet from the controller may be final already (OUT_SEQUENCE_FINAL).
    @hidden action to_correct() { meta.correct = 1; }
    @hidden
    table corrected {
        key = {
            hdr.tcp.isValid()        : ternary;
            meta.session_flags       : ternary;
            hdr.packet_out.isValid() : ternary;
            hdr.packet_out.flags     : ternary;
        }
        actions = { to_correct; no_event; }
        const default_action = no_event;
        const entries = {
            (true, 0x02 &&& 0x02, false, _)           : to_correct();
            (true, 0x02 &&& 0x02, true, 0 &&& 0x02)   : to_correct();
        }
        size = 2;
    }

    apply {
        flow_of_pinhole();
        if (meta.mapping != MAPPING_NONE) { session.apply(); }
        // A flow from inside may be one that an ALG waits for.
        if (meta.mapping != MAPPING_NONE || meta.side == SIDE_INSIDE) { pinhole.apply(); }
        alg_service.apply();
        if (meta.side == SIDE_INSIDE) {
            meta.admitted = 1;
        } else if (meta.filter_mode == FILTER_ENDPOINT_INDEPENDENT) {
            meta.admitted = 1;
        } else if (meta.filter_mode == FILTER_ADDRESS && meta.mapping == MAPPING_MANAGED) {
            peer.apply();
        }
        way0.apply(meta, meta.a0);
        way1.apply(meta, meta.a1);
        way2.apply(meta, meta.a2);
        way3.apply(meta, meta.a3);
        which_session.apply();
        claim_pinhole.apply();
        reading.apply();
        event.apply();
        corrected.apply();
    }
}
