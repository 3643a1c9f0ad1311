// Verdict: what all stages before found out, turned into one decision. The first entry that
// matches decides; a column that an entry does not name is not looked at.

control Verdict(in headers_t hdr, inout metadata_t meta) {
    // New plain flows a second, by subscriber.
    @id(0x13000019)
    direct_counter(CounterType.packets_and_bytes) verdict_counter;
    @id(0x14000002)
    meter(1 << CLAIM_METER_BITS, MeterType.packets) claim_meter;

    bit<1> needs_ids;     // a later fragment whose first one is not known
    bit<1> low_port;      // an inside port below 1024 keeps to outside ports below 1024
    bit<1> has_class;
    bit<1> has_number;
    bit<1> is_esp;
    bit<1> is_syn;
    bit<1> is_bare_gre;   // to or from an address that is mapped as a whole

    @id(0x01000033)
    action forward() { meta.kind = KIND_FORWARD; }
    @id(0x01000034)
    action forward_by_pinhole() {
        meta.kind = KIND_FORWARD;
        digest<pinhole_hit_t>(1, { meta.key.proto, meta.key.inside_addr, meta.key.inside_id,
                                   meta.key.remote_addr, meta.key.remote_id, meta.pinhole_id,
                                   meta.organisation });
    }
    @id(0x01000035)
    action claim() { meta.kind = KIND_CLAIM; }
    @id(0x01000036)
    action to_controller(punt_t reason) { meta.punt = reason; }
    @id(0x01000037)
    action refuse(drop_t reason) { meta.drop = reason; }

    @id(0x02000019)
    table verdict {
        key = {
            meta.translate     : ternary @id(1) @name("translate");
            meta.side          : ternary @id(2) @name("side");
            meta.origin        : ternary @id(3) @name("origin");
            needs_ids          : ternary @id(4) @name("needs_ids");
            meta.to_pool       : ternary @id(5) @name("to_pool");
            meta.in_session    : ternary @id(6) @name("in_session");
            meta.for_alg       : ternary @id(7) @name("for_alg");
            meta.is_icmp_error : ternary @id(8) @name("is_icmp_error");
            meta.pinhole       : ternary @id(9) @name("pinhole");
            meta.live          : ternary @id(10) @name("live");
            meta.mapping       : ternary @id(11) @name("mapping");
            meta.opening       : ternary @id(12) @name("opening");
            meta.admitted      : ternary @id(13) @name("admitted");
            meta.served        : ternary @id(14) @name("served");
            has_class          : ternary @id(15) @name("has_class");
            is_esp             : ternary @id(16) @name("is_esp");
            has_number         : ternary @id(17) @name("has_subscriber");
            meta.has_block     : ternary @id(18) @name("has_block");
            low_port           : ternary @id(19) @name("low_port");
            meta.overflow      : ternary @id(20) @name("overflow");
            is_syn             : ternary @id(21) @name("is_syn");
            is_bare_gre        : ternary @id(22) @name("is_bare_gre");
        }
        actions = { forward; forward_by_pinhole; claim; to_controller; refuse; }
        const default_action = refuse(DROP_NO_SESSION);
        counters = verdict_counter;
        const entries = {
#include "../shared/verdict_entries.p4"
        }
    }

    apply {
        needs_ids = hdr.ipv4.frag_offset != 0 ? ~meta.has_ids : 0;
        has_class = meta.class != CLASS_NONE ? 1w1 : 1w0;
        has_number = meta.subscriber != 0 ? 1w1 : 1w0;
        is_esp = meta.key.proto == PROTO_ESP ? 1w1 : 1w0;
        low_port = meta.class != CLASS_ICMP && meta.key.src_id < 1024 ? 1w1 : 1w0;
        is_syn = hdr.tcp.isValid() ? meta.opening : 0;
        is_bare_gre = meta.key.proto == PROTO_GRE ? meta.whole_addr & ~meta.has_ids : 0;
        verdict.apply();
        if (meta.kind == KIND_CLAIM) {
            bit<2> colour = 0;
            claim_meter.execute_meter((bit<32>)meta.subscriber
                                      & ((32w1 << CLAIM_METER_BITS) - 1), colour);
            if (colour == 2) { meta.drop = DROP_CLAIM_METER; }
        }
    }
}
