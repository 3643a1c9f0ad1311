// Ingress: who sends a packet, and what is to become of it. Nothing is rewritten here, so
// that a punted packet is the packet that came. The stages in order; each says above itself
// what it is for. Most of them do not wait for each other: `verdict` and `outcome` look at
// what all of them found.

control GatewayIngress(inout headers_t hdr, inout metadata_t meta,
                       in ingress_intrinsic_metadata_t std,
                       in ingress_intrinsic_metadata_from_parser_t prsr,
                       inout ingress_intrinsic_metadata_for_deparser_t dprsr,
                       inout ingress_intrinsic_metadata_for_tm_t tm) {
    Zone() zone;
    FlowKey() flow_key;
    Source() source;
    Options() options;
    Policy() policy;
    Mapping() mapping;
    Subscriber() subscriber;
    Orient() orient;
    Slot() slot;
    Session() session;
    Verdict() verdict;
    Route() route;
    Outcome() outcome;

    @id(0x13000010)
    DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) local_addr_counter;
    // Every drop of ingress is counted here, by its reason; those of egress are in
    // `late_drop_counter`.
    @id(0x12000002)
    Counter<bit<32>, bit<8>>((bit<32>)DROP_REASONS, CounterType_t.PACKETS_AND_BYTES) drop_counter;

    @id(0x0100001d)
    action is_local() {
        meta.is_local = 1;
        local_addr_counter.count();
    }
    @id(0x0100001e)
    action not_local() { local_addr_counter.count(); }

    // local_addr: the gateway's own addresses; mappings on them come first.
    @id(0x02000010)
    table local_addr {
        key = { hdr.ipv4.dst_addr : exact @id(1) @name("addr") @format(IPV4_ADDRESS); }
        actions = { is_local; @defaultonly not_local; }
        const default_action = not_local;
        counters = local_addr_counter;
        size = SIZE_LOCAL_ADDR;
    }

    @hidden action drop_reason() { drop_counter.count(meta.drop); }
    @hidden action bridge() {
        hdr.bridge.setValid();
        hdr.bridge.kind = meta.kind;
        hdr.bridge.punt = meta.punt;
        hdr.bridge.alg_id = meta.alg_id;
        hdr.bridge.hairpin = meta.hairpin;
        hdr.bridge.hairpins = meta.hairpins;
        hdr.bridge.origin = meta.origin;
        hdr.bridge.side = meta.side;
        hdr.bridge.translate = meta.translate;
        hdr.bridge.claimed = meta.claimed;
        hdr.bridge.slot_hit = meta.slot_hit;
        hdr.bridge.slot_way = meta.slot_way;
        hdr.bridge.live = meta.live;
        hdr.bridge.session_way = meta.session_way;
        hdr.bridge.in_session = meta.in_session;
        hdr.bridge.is_icmp_error = meta.is_icmp_error;
        hdr.bridge.opening = meta.opening;
        hdr.bridge.admitted = meta.admitted;
        hdr.bridge.correct = meta.correct;
        hdr.bridge.mapping = meta.mapping;
        hdr.bridge.in_port = meta.in_port;
        hdr.bridge.new_addr = meta.new_addr;
        hdr.bridge.new_id = meta.new_id;
        hdr.bridge.tag = meta.tag;
        hdr.bridge.who = meta.who;
        hdr.bridge.session_remote = meta.session_remote;
        hdr.bridge.organisation = meta.organisation;
        hdr.bridge.next_hop = meta.next_hop;
        hdr.bridge.server_id = meta.server_id[15:0];
    }

    apply {
        meta.stamp = std.ingress_mac_tstamp[47:16];
        zone.apply(hdr, meta);
        flow_key.apply(hdr, meta);
        source.apply(hdr, meta);
        options.apply(hdr, meta);
        orient.apply(meta);
        policy.apply(meta);
        mapping.apply(hdr, meta);
        subscriber.apply(meta);
        slot.apply(meta);
        local_addr.apply();
        session.apply(hdr, meta);
        verdict.apply(meta, dprsr);
        route.apply(hdr, meta);
        outcome.apply(hdr, meta, dprsr, tm);
        if (meta.kind == KIND_DROP) { drop_reason(); }
        bridge();
        hdr.again.setInvalid();
        hdr.packet_out.setInvalid();
    }
}
