// Policy: the operator's ordered rules, looked at for every packet, so that a
// changed rule acts at once.
//
// policy      translate (default) | exempt: route as it is, RFC 6888 REQ-6 | deny.

control Policy(inout metadata_t meta) {
    @id(0x13000003)
    DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) policy_counter;

    @id(0x01000005)
    action translate() {
        meta.translate = 1;
        policy_counter.count();
    }
    @id(0x01000006)
    action exempt() {
        meta.translate = 0;
        policy_counter.count();
    }
    @id(0x01000007)
    action deny() {
        meta.denied = 1;
        policy_counter.count();
    }

    @id(0x02000003)
    table policy {
        key = {
            meta.side         : ternary @id(1) @name("side");
            meta.key.proto    : ternary @id(2) @name("proto");
            meta.key.src_addr : ternary @id(3) @name("src_addr") @format(IPV4_ADDRESS);
            meta.key.dst_addr : ternary @id(4) @name("dst_addr") @format(IPV4_ADDRESS);
            meta.key.dst_id   : ternary @id(5) @name("dst_id");
            meta.organisation : ternary @id(6) @name("organisation");
        }
        actions = { translate; exempt; deny; }
        const default_action = translate;
        counters = policy_counter;
        size = SIZE_POLICY;
    }

    apply { policy.apply(); }
}
