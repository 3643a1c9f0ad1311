// Ingress: who sends a packet, and what is to become of it. Nothing is rewritten here, so
// that a punted packet is the packet that came. The stages in order; each says above itself
// what it is for. A stage that sets `drop` or `punt` ends the decision.

control GatewayIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    Zone() zone;
    FlowKey() flow_key;
    Source() source;
    Options() options;
    Policy() policy;
    Mapping() mapping;
    Subscriber() subscriber;
    Slot() slot;
    Session() session;
    Verdict() verdict;
    Route() route;

    @id(0x13000010)
    direct_counter(CounterType.packets_and_bytes) local_addr_counter;

    @id(0x0100001d)
    action is_local() { meta.punt = PUNT_LOCAL; }
    @id(0x0100001e)
    action not_local() { }

    // local_addr: the gateway's own addresses; mappings on them come first.
    @id(0x02000010)
    table local_addr {
        key = { hdr.ipv4.dst_addr : exact @id(1) @name("addr") @format(IPV4_ADDRESS); }
        actions = { is_local; @defaultonly not_local; }
        const default_action = not_local;
        counters = local_addr_counter;
        size = SIZE_LOCAL_ADDR;
    }

    // Report what changes the life of a TCP session of the table; the packet goes on.
    @id(0x01000023)
    action report_tcp(bit<8> established) {
        digest<tcp_event_t>(2, { meta.key.proto, meta.key.inside_addr, meta.key.inside_id,
                                 meta.key.remote_addr, meta.key.remote_id, hdr.tcp.flags,
                                 (bit<8>)(~(bit<1>)meta.side), established,
                                 meta.organisation });
    }

    apply {
        // A packet that goes round has no time of its own in v1model. Tick 0 would be before
        // the end of cells that nobody ever claimed.
        if (meta.now == 0) {
            meta.now = (tick_t)(std.ingress_global_timestamp >> TICK_SHIFT) + 1;
        }
        if (hdr.packet_out.isValid()) {
            meta.out_flags = hdr.packet_out.flags;
            meta.in_port = hdr.packet_out.port;
            hdr.packet_out.setInvalid();
            meta.origin = (meta.out_flags & OUT_BEGIN) != 0 ? ORIGIN_BEGIN : ORIGIN_CPU;
            if ((meta.out_flags & OUT_LATE) != 0) { meta.origin = ORIGIN_LATE; }
            if ((meta.out_flags & OUT_PIPELINE) == 0) {
                meta.kind = KIND_RAW;
                std.egress_spec = (bit<9>)meta.in_port;
                exit;
            }
            if ((meta.out_flags & OUT_HAIRPIN) != 0) { meta.hairpin = 1; }
        } else if (meta.hairpin == 0 && meta.overflow == 0) {
            meta.in_port = (bit<16>)std.ingress_port;
        }

        if (std.parser_error != error.NoError) {
            meta.drop = DROP_PARSE;
        } else {
            zone.apply(hdr, meta);
        }
        if (meta.drop == DROP_NONE) {
            if (hdr.ipv4.isValid()) {
                if (std.checksum_error == 1) { meta.drop = DROP_CHECKSUM; }
            } else if (hdr.ethernet.ether_type == ETHERTYPE_ARP
                       || (hdr.vlan.isValid() && hdr.vlan.ether_type == ETHERTYPE_ARP)) {
                meta.punt = PUNT_ARP;
            } else {
                meta.drop = DROP_ETHERTYPE;
            }
        }
        if (meta.drop == DROP_NONE && meta.punt == PUNT_NONE) { source.apply(hdr, meta); }
        if (meta.drop == DROP_NONE && meta.punt == PUNT_NONE) { options.apply(hdr, meta); }
        if (meta.drop == DROP_NONE && meta.punt == PUNT_NONE) { flow_key.apply(hdr, meta); }
        if (meta.drop == DROP_NONE && meta.punt == PUNT_NONE) { policy.apply(meta); }
        if (meta.drop == DROP_NONE && meta.punt == PUNT_NONE) {
            if (meta.translate == 1) {
                mapping.apply(hdr, meta);
                subscriber.apply(meta);
                slot.apply(meta);
            } else {
                meta.route_addr = hdr.ipv4.dst_addr;
            }
            // A mapping of one of the gateway's own addresses wins over it.
            if (meta.mapping == MAPPING_NONE || meta.side == SIDE_INSIDE) {
                local_addr.apply();
            }
        }
        if (meta.drop == DROP_NONE && meta.punt == PUNT_NONE) {
            if (meta.translate == 1) { session.apply(hdr, meta); }
            verdict.apply(hdr, meta);
        }
        // A packet to an address of ours goes round, and comes back from outside.
        if (meta.kind == KIND_FORWARD || meta.kind == KIND_CLAIM) {
            meta.hairpins = meta.translate & meta.to_pool & ~(bit<1>)meta.side;
            if (meta.drop == DROP_NONE && meta.hairpins == 0) { route.apply(hdr, meta); }
        }
        // What the controller does about a flow it does for the first fragment, which has the
        // ports. The others wait for that.
        if (hdr.ipv4.isValid() && hdr.ipv4.frag_offset != 0 && meta.punt != PUNT_NONE
            && meta.punt != PUNT_LOCAL && meta.punt != PUNT_TTL && meta.punt != PUNT_MTU) {
            if (meta.origin == ORIGIN_WIRE) {
                meta.punt = PUNT_FRAGMENT;
                meta.alg_id = 0;
            } else {
                meta.drop = DROP_FRAGMENT;
            }
        }

        if (meta.drop != DROP_NONE) {
            meta.kind = KIND_DROP;
            drop_counter.count((bit<32>)meta.drop);
            mark_to_drop(std);
        } else if (meta.punt != PUNT_NONE) {
            meta.kind = KIND_PUNT;
            std.egress_spec = CPU_PORT;
        } else {
            // Any port will do for what goes round: egress sends it there.
            std.egress_spec = meta.hairpins == 1 ? (bit<9>)meta.in_port : meta.egress_port;
            if (meta.in_session == 1 && meta.origin == ORIGIN_WIRE && hdr.tcp.isValid()
                && meta.is_icmp_error == 0) {
                bit<1> ending = 0;
                bit<1> established = 0;
                if ((hdr.tcp.flags & (TCP_FIN | TCP_RST)) != 0) {
                    ending = 1;
                } else if ((meta.session_flags & SESSION_NOTIFY_ESTABLISHED) != 0
                           && (hdr.tcp.flags & (TCP_SYN | TCP_ACK)) == TCP_ACK) {
                    established = 1;
                }
                // One call: each becomes a digest of its own in the compiled program, and
                // P4Runtime reaches only one.
                if (ending == 1 || established == 1) { report_tcp((bit<8>)established); }
            }
        }
    }
}
