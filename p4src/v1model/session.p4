// Session: which flows may pass, in both directions, on the oriented key.
//
// session     exact flow; ages (RFC 4787 REQ-5, 5382 REQ-5); names its ALG
// pinhole     ternary; a hit passes at once and is reported by digest
// peer        remote address an inside endpoint has sent to (RFC 4787 5,
//             address-dependent filtering)
// alg_service which ALG a new flow belongs to, by the server's port

control Session(inout headers_t hdr, inout metadata_t meta) {
    @id(0x13000009) direct_counter(CounterType.packets_and_bytes) session_counter;
    @id(0x1300000a) direct_counter(CounterType.packets_and_bytes) pinhole_counter;
    @id(0x1300000b) direct_counter(CounterType.packets_and_bytes) peer_counter;
    @id(0x1300000c) direct_counter(CounterType.packets_and_bytes) alg_service_counter;

    flow_id_t server_id;

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
    action permit(@id(1) bit<32> pinhole_id) {
        meta.in_session = 1;
        digest<pinhole_hit_t>(1, { meta.key.proto, meta.key.inside_addr, meta.key.inside_id,
                                   meta.key.remote_addr, meta.key.remote_id, pinhole_id });
    }
    // For an ALG that has to read how the flow begins: nothing passes yet. The
    // id is for who reads the table.
    @noWarn("unused") @id(0x01000024)
    action inspect(@id(1) bit<32> pinhole_id, @id(2) bit<8> alg_id) {
        meta.inspect = 1;
        meta.alg_id = alg_id;
    }
    @id(0x01000012)
    action no_pinhole() { }
    @id(0x01000013)
    action peer_known() { meta.peer_known = 1; }
    @id(0x01000014)
    action peer_unknown() { }
    @id(0x01000015)
    action bind_alg(@id(1) bit<8> alg_id) { meta.alg_id = alg_id; }
    @id(0x01000016)
    action no_alg() { meta.alg_id = 0; }

    @id(0x02000009)
    table session {
        key = {
            meta.key.proto       : exact @id(1) @name("proto");
            meta.key.inside_addr : exact @id(2) @name("inside_addr") @format(IPV4_ADDRESS);
            meta.key.inside_id   : exact @id(3) @name("inside_id");
            meta.key.remote_addr : exact @id(4) @name("remote_addr") @format(IPV4_ADDRESS);
            meta.key.remote_id   : exact @id(5) @name("remote_id");
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
        }
        actions = { peer_known; @defaultonly peer_unknown; }
        const default_action = peer_unknown;
        counters = peer_counter;
        size = SIZE_PEER;
    }
    @id(0x0200000c)
    table alg_service {
        key = {
            meta.key.proto : ternary @id(1) @name("proto");
            server_id      : ternary @id(2) @name("server_id");
        }
        actions = { bind_alg; @defaultonly no_alg; }
        const default_action = no_alg;
        counters = alg_service_counter;
        size = SIZE_ALG_SERVICE;
    }

    apply {
        if (meta.mapped == 1) { session.apply(); }
        // An ICMP error belongs to a session or to nobody (RFC 5508 REQ-4).
        if (meta.in_session == 0 && meta.is_icmp_error == 1) {
            meta.drop = DROP_NO_SESSION;
        }
        if (meta.mapped == 1 && meta.in_session == 0 && meta.drop == DROP_NONE) {
            pinhole.apply();
        }
        if (meta.in_session == 0 && meta.drop == DROP_NONE) {
            if (meta.inspect == 1 && meta.from_cpu == 0) {
                meta.punt = PUNT_NEW_FLOW;
            } else if (meta.mapped == 0 && meta.side == SIDE_OUTSIDE) {
                // Nobody announces an SPI where a NAT can read it: the ALG, if it
                // is on, learns whose it is from the first packet.
                if (meta.key.proto != PROTO_ESP || meta.from_cpu == 1) {
                    meta.drop = DROP_NO_MAPPING;
                }
            } else if (meta.from_cpu == 1) {
                meta.drop = DROP_NO_SESSION;
            } else if (hdr.tcp.isValid()
                       && (hdr.tcp.flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) != TCP_SYN) {
                meta.drop = DROP_NO_SESSION;   // RFC 5382 REQ-2: only a SYN begins
            } else if (meta.side == SIDE_OUTSIDE) {
                if (meta.filter_mode == FILTER_ADDRESS) { peer.apply(); }
                if (meta.filter_mode == FILTER_ADDRESS_AND_PORT
                    || (meta.filter_mode == FILTER_ADDRESS && meta.peer_known == 0)) {
                    meta.drop = DROP_FILTERED;
                }
            }
            if (meta.drop == DROP_NONE && meta.punt == PUNT_NONE) {
                server_id = meta.side == SIDE_INSIDE ? meta.key.remote_id : meta.key.inside_id;
                alg_service.apply();
                if (meta.mapped == 0 && meta.side == SIDE_OUTSIDE && meta.alg_id == 0) {
                    meta.drop = DROP_NO_MAPPING;
                } else if (meta.alg_id == 0 && (meta.key.proto == PROTO_GRE
                                                || meta.key.proto == PROTO_ESP)) {
                    // Nothing but an ALG can begin a flow without ports.
                    meta.drop = DROP_PROTOCOL;
                } else {
                    meta.punt = PUNT_NEW_FLOW;
                }
            }
        } else if (meta.in_session == 1 && meta.alg_id != 0 && meta.from_cpu == 0
                   && meta.is_icmp_error == 0) {
            if ((meta.session_flags & (SESSION_WATCH_INSIDE | SESSION_WATCH_OUTSIDE)) != 0) {
                // Of a flow that is only watched, how it ends: by a short datagram.
                if (hdr.udp.isValid() && hdr.udp.length < meta.watch_below
                    && (meta.session_flags & (meta.side == SIDE_INSIDE
                        ? SESSION_WATCH_INSIDE : SESSION_WATCH_OUTSIDE)) != 0) {
                    meta.punt = PUNT_ALG;
                }
            // Pure ACKs of a control connection stay in the switch.
            } else if (!hdr.tcp.isValid() || meta.payload_len != 0
                || (hdr.tcp.flags & (TCP_SYN | TCP_FIN | TCP_RST)) != 0) {
                meta.punt = PUNT_ALG;
            }
        }
    }
}
