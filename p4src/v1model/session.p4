// Session: which flows may pass, in both directions, on the oriented key.
//
// session     exact flow; ages (RFC 4787 REQ-5, 5382 REQ-5); names its ALG
// pinhole     ternary; a hit passes at once and is reported by digest. The first flows claim
//             it in `pinhole_cell`, as many as it is for, so that no further one passes while
//             the controller is behind. Only what may begin a flow claims: no ACK, no RST.
// peer        remote address an inside endpoint has sent to (RFC 4787 5, address-dependent
//             filtering), for mappings of the tables
// alg_service which ALG a new flow belongs to, by organisation and the server's port
//
// Plain flows are in the registers: four ways, each cell with the whole key. The window of a
// subscriber is the part of each way that its flows can reach, so that nobody fills all. With
// address-dependent filtering the key leaves the remote port out.

control Session(inout headers_t hdr, inout metadata_t meta) {
    @id(0x13000009) direct_counter(CounterType.packets_and_bytes) session_counter;
    @id(0x1300000a) direct_counter(CounterType.packets_and_bytes) pinhole_counter;
    @id(0x1300000b) direct_counter(CounterType.packets_and_bytes) peer_counter;
    @id(0x1300000c) direct_counter(CounterType.packets_and_bytes) alg_service_counter;

    flow_id_t server_id;
    bit<32> window;
    bit<32> hash01;
    bit<32> hash23;
    bit<80> cell0;
    bit<80> cell1;
    bit<80> cell2;
    bit<80> cell3;
    bit<72> state;
    bit<32> pinhole_cell0;
    bit<8>  pinhole_flows;
    bit<96> pinhole_key;
    bit<96> claim0;
    bit<96> claim1;
    bit<96> claim2;
    bit<96> claim3;

    @id(0x0100000f)
    action allow(@id(1) bit<8> alg_id, @id(2) bit<8> flags, @id(3) bit<16> watch_below) {
        meta.in_session = 1;
        meta.alg_id = alg_id;
        meta.session_flags = flags;
        meta.watch_below = watch_below;
    }
    @id(0x01000010)
    action no_session() { }
    @id(0x01000011)
    action permit(@id(1) bit<32> pinhole_id, @id(3) bit<8> flows) {
        meta.pinhole = PINHOLE_PERMIT;
        meta.pinhole_id = pinhole_id;
        pinhole_flows = flows;
    }
    // For an ALG that has to read how the flow begins: nothing passes yet. The
    // id and the number of flows are for who reads the table.
    @noWarn("unused") @id(0x01000024)
    action inspect(@id(1) bit<32> pinhole_id, @id(2) bit<8> alg_id, @id(3) bit<8> flows) {
        meta.pinhole = PINHOLE_INSPECT;
        meta.alg_id = alg_id;
    }
    @id(0x01000012)
    action no_pinhole() { }
    @id(0x01000013)
    action peer_known() { }
    @id(0x01000014)
    action peer_unknown() { }
    @id(0x01000015)
    action bind_alg(@id(1) bit<8> alg_id) {
        meta.alg_id = alg_id;
        meta.served = 1;
    }
    @id(0x01000016)
    action no_alg() { meta.alg_id = 0; }

    // Whether a packet's flow is one of those that the pinhole is for: it has claimed one of
    // the cells, or one is free and the packet may begin a flow. The controller gives no two
    // pinholes the same cells at the same time; what another one left there is free. The upper
    // halves of the identifiers are the pinhole's own.
    @id(0x01000045)
    action claim_pinhole() {
        pinhole_cell0 = meta.pinhole_id & (PINHOLE_CELLS - 1);
        pinhole_key = meta.pinhole_id ++ meta.key.remote_addr ++ meta.key.remote_id[15:0]
            ++ meta.key.inside_id[15:0];
        pinhole_cell.read(claim0, pinhole_cell0);
        pinhole_cell.read(claim1, pinhole_cell0 + PINHOLE_CELLS);
        pinhole_cell.read(claim2, pinhole_cell0 + 2 * PINHOLE_CELLS);
        pinhole_cell.read(claim3, pinhole_cell0 + 3 * PINHOLE_CELLS);
        if (claim0 != pinhole_key && claim1 != pinhole_key && claim2 != pinhole_key
            && claim3 != pinhole_key) {
            if (meta.opening == 0) {
                meta.pinhole = PINHOLE_NONE;
            } else if (claim0[95:64] != meta.pinhole_id) {
                pinhole_cell.write(pinhole_cell0, pinhole_key);
            } else if (claim1[95:64] != meta.pinhole_id && pinhole_flows > 1) {
                pinhole_cell.write(pinhole_cell0 + PINHOLE_CELLS, pinhole_key);
            } else if (claim2[95:64] != meta.pinhole_id && pinhole_flows > 2) {
                pinhole_cell.write(pinhole_cell0 + 2 * PINHOLE_CELLS, pinhole_key);
            } else if (claim3[95:64] != meta.pinhole_id && pinhole_flows > 3) {
                pinhole_cell.write(pinhole_cell0 + 3 * PINHOLE_CELLS, pinhole_key);
            } else {
                meta.pinhole = PINHOLE_NONE;
            }
        }
    }

    // A CRC of the key, and one of the key with its parts in another order: four hashes.
    @id(0x01000031)
    action index_cells() {
        hash(window, HashAlgorithm.crc32, 32w0, { meta.subscriber }, 33w0x100000000);
        hash(hash01, HashAlgorithm.crc32, 32w0, { meta.session_key }, 33w0x100000000);
        hash(hash23, HashAlgorithm.crc32, 32w0,
             { meta.session_key[31:0], meta.session_key[79:32] }, 33w0x100000000);
        meta.session_index0 = ((window << WINDOW_BITS) & (SESSION_CELLS - 1))
            | (hash01 & (WINDOW_CELLS - 1));
        meta.session_index1 = (((window >> 8) << WINDOW_BITS) & (SESSION_CELLS - 1))
            | ((hash01 >> 16) & (WINDOW_CELLS - 1)) | SESSION_CELLS;
        meta.session_index2 = (((window >> 16) << WINDOW_BITS) & (SESSION_CELLS - 1))
            | (hash23 & (WINDOW_CELLS - 1)) | (2 * SESSION_CELLS);
        meta.session_index3 = (((window >> 24) << WINDOW_BITS) & (SESSION_CELLS - 1))
            | ((hash23 >> 16) & (WINDOW_CELLS - 1)) | (3 * SESSION_CELLS);
    }
    @id(0x01000032)
    action find_cell() {
        session_cell.read(cell0, meta.session_index0);
        session_cell.read(cell1, meta.session_index1);
        session_cell.read(cell2, meta.session_index2);
        session_cell.read(cell3, meta.session_index3);
        meta.live = 1;
        if (cell0 == meta.session_key) { meta.session_cell = meta.session_index0; }
        else if (cell1 == meta.session_key) { meta.session_cell = meta.session_index1; }
        else if (cell2 == meta.session_key) { meta.session_cell = meta.session_index2; }
        else if (cell3 == meta.session_key) { meta.session_cell = meta.session_index3; }
        else { meta.live = 0; }
        session_state.read(state, meta.session_cell);
        if (state[71:40] < meta.now) { meta.live = 0; }
    }

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
        support_timeout = true;
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
        support_timeout = true;
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
            server_id         : ternary @id(2) @name("server_id");
            meta.organisation : ternary @id(3) @name("organisation");
        }
        actions = { bind_alg; @defaultonly no_alg; }
        const default_action = no_alg;
        counters = alg_service_counter;
        size = SIZE_ALG_SERVICE;
    }

    apply {
        if (meta.side == SIDE_INSIDE) {
            meta.key.inside_addr = meta.key.src_addr;
            meta.key.inside_id = meta.key.src_id;
            meta.key.remote_addr = meta.key.dst_addr;
            meta.key.remote_id = meta.key.dst_id;
            meta.route_addr = meta.key.dst_addr;
        } else {
            meta.key.inside_addr = meta.new_addr;
            meta.key.inside_id = meta.new_id;
            meta.key.remote_addr = meta.key.src_addr;
            meta.key.remote_id = meta.key.src_id;
            meta.route_addr = meta.new_addr;
        }
        if (meta.mapping != MAPPING_NONE) { session.apply(); }
        if (meta.in_session == 1) {
            if (meta.alg_id == 0 || meta.is_icmp_error == 1) {
                meta.for_alg = 0;
            } else if ((meta.session_flags & (SESSION_WATCH_INSIDE | SESSION_WATCH_OUTSIDE)) != 0) {
                // Of a flow that is only watched, how it ends: by a short datagram.
                if (hdr.udp.isValid() && hdr.udp.length < meta.watch_below
                    && (meta.session_flags & (meta.side == SIDE_INSIDE
                        ? SESSION_WATCH_INSIDE : SESSION_WATCH_OUTSIDE)) != 0) {
                    meta.for_alg = 1;
                }
            // Pure ACKs of a control connection stay in the switch.
            } else if (!hdr.tcp.isValid() || meta.payload_len != 0
                       || (hdr.tcp.flags & (TCP_SYN | TCP_FIN | TCP_RST)) != 0) {
                meta.for_alg = 1;
            }
        } else {
            if (meta.class != CLASS_NONE && meta.subscriber != 0) {
                meta.session_key = meta.key.remote_addr
                    ++ (meta.slot_filter == FILTER_ADDRESS ? 16w0 : meta.key.remote_id[15:0])
                    ++ meta.key.inside_id[15:0] ++ meta.class ++ meta.subscriber[13:0];
                index_cells();
                if (meta.mapping != MAPPING_NONE) { find_cell(); }
            }
            // A flow from inside may be one that an ALG waits for.
            if (meta.live == 0 && meta.is_icmp_error == 0
                && (meta.mapping != MAPPING_NONE || meta.side == SIDE_INSIDE)) {
                pinhole_flows = 0;
                pinhole.apply();
                if (meta.pinhole == PINHOLE_PERMIT && meta.origin != ORIGIN_LATE) {
                    claim_pinhole();
                }
            }
            if (meta.side == SIDE_INSIDE) {
                meta.admitted = 1;
            } else if (meta.filter_mode == FILTER_ENDPOINT_INDEPENDENT) {
                meta.admitted = 1;
            } else if (meta.filter_mode == FILTER_ADDRESS
                       && meta.mapping == MAPPING_MANAGED) {
                if (peer.apply().hit) { meta.admitted = 1; }
            }
            if (meta.live == 0 && meta.opening == 1 && meta.is_icmp_error == 0
                && meta.pinhole == PINHOLE_NONE) {
                server_id = meta.side == SIDE_INSIDE ? meta.key.remote_id : meta.key.inside_id;
                alg_service.apply();
            }
        }
    }
}
