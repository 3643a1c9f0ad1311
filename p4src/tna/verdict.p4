// Verdict: what all stages before found out, turned into one decision; and Outcome, what that
// means for the chip: a port, or none.

control Verdict(inout metadata_t meta,
                inout ingress_intrinsic_metadata_for_deparser_t dprsr) {
    @id(0x13000019)
    DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) verdict_counter;

    @id(0x01000033)
    action forward() {
        meta.kind = KIND_FORWARD;
        verdict_counter.count();
    }
    @id(0x01000034)
    action forward_by_pinhole() {
        meta.kind = KIND_FORWARD;
        dprsr.digest_type = DIGEST_PINHOLE;
        verdict_counter.count();
    }
    @id(0x01000035)
    action claim() {
        meta.kind = KIND_CLAIM;
        verdict_counter.count();
    }
    @id(0x01000036)
    action to_controller(punt_t reason) {
        meta.kind = KIND_PUNT;
        meta.punt = reason;
        verdict_counter.count();
    }
    @id(0x01000037)
    action refuse(drop_t reason) {
        meta.kind = KIND_DROP;
        meta.drop = reason;
        verdict_counter.count();
    }

    @id(0x02000019)
    table verdict {
        key = {
            meta.translate     : ternary @id(1) @name("translate");
            meta.side          : ternary @id(2) @name("side");
            meta.origin        : ternary @id(3) @name("origin");
            meta.needs_ids     : ternary @id(4) @name("needs_ids");
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
            meta.has_class     : ternary @id(15) @name("has_class");
            meta.is_esp        : ternary @id(16) @name("is_esp");
            meta.has_number    : ternary @id(17) @name("has_subscriber");
            meta.has_block     : ternary @id(18) @name("has_block");
            meta.low_port      : ternary @id(19) @name("low_port");
            meta.overflow      : ternary @id(20) @name("overflow");
            meta.is_tcp_syn    : ternary @id(21) @name("is_syn");
            meta.is_bare_gre   : ternary @id(22) @name("is_bare_gre");
        }
        actions = { forward; forward_by_pinhole; claim; to_controller; refuse; }
        const default_action = refuse(DROP_NO_SESSION);
        counters = verdict_counter;
        const entries = {
#include "../shared/verdict_entries.p4"
        }
        size = 64;
    }

    apply { verdict.apply(); }
}

// Why a packet went no further, in the order of the stages; then what `verdict` said, and what
// is still to be done before a packet may leave.
control Outcome(in headers_t hdr, inout metadata_t meta,
                inout ingress_intrinsic_metadata_for_deparser_t dprsr,
                inout ingress_intrinsic_metadata_for_tm_t tm) {
    @hidden action leave_raw() {
        meta.kind = KIND_RAW;
        tm.ucast_egress_port = meta.in_port;
    }
    @hidden action drop(drop_t reason) {
        meta.kind = KIND_DROP;
        meta.drop = reason;
        dprsr.drop_ctl = 1;
        dprsr.digest_type = 0;
    }
    @hidden action drop_as_decided() {
        dprsr.drop_ctl = 1;
        dprsr.digest_type = 0;
    }
    @hidden action punt(punt_t reason) {
        meta.kind = KIND_PUNT;
        meta.punt = reason;
        meta.alg_id = 0;
        tm.ucast_egress_port = PORT_CPU;
    }
    // Whose packet it is: a session's, or that of a pinhole, or of a service.
    @hidden action punt_for_session() { tm.ucast_egress_port = PORT_CPU; }
    @hidden action punt_for_pinhole() {
        meta.alg_id = meta.pinhole_alg;
        tm.ucast_egress_port = PORT_CPU;
    }
    @hidden action punt_for_service() {
        meta.alg_id = meta.service_alg;
        tm.ucast_egress_port = PORT_CPU;
    }
    @hidden action punt_for_nobody() {
        meta.alg_id = 0;
        tm.ucast_egress_port = PORT_CPU;
    }
    @hidden action look_for_ids() {
        meta.kind = KIND_LOOK;
        meta.new_id = 0;
        tm.ucast_egress_port = PORT_AGAIN;
        dprsr.digest_type = 0;
    }
    @hidden action bring_ids() {
        meta.kind = KIND_LOOK;
        meta.new_id[31:16] = meta.found_src;
        meta.new_id[15:0] = meta.found_dst;
        tm.ucast_egress_port = PORT_AGAIN;
        dprsr.digest_type = 0;
    }
    @hidden action go_round() { tm.ucast_egress_port = PORT_AGAIN; }
    @hidden action hairpin() {
        meta.hairpins = 1;
        tm.ucast_egress_port = PORT_AGAIN;
    }
    @hidden action leave() { tm.ucast_egress_port = meta.egress_port; }
    @hidden action leave_with_report() {
        tm.ucast_egress_port = meta.egress_port;
        dprsr.digest_type = DIGEST_TCP;
    }

    @hidden
    table outcome {
        key = {
            meta.raw           : ternary;
            meta.bad_header    : ternary;
            meta.no_zone       : ternary;
            meta.not_ours      : ternary;
            meta.is_arp        : ternary;
            meta.is_ipv4       : ternary;
            meta.bad_checksum  : ternary;
            meta.bad_source    : ternary;
            meta.bad_options   : ternary;
            meta.is_fragment   : ternary;
            meta.looked        : ternary;
            meta.has_ids       : ternary;
            meta.is_gre        : ternary;
            meta.denied        : ternary;
            meta.is_local      : ternary;
            meta.side          : ternary;
            meta.mapping       : ternary;
            meta.kind          : ternary;
            meta.origin        : ternary;
            meta.translate     : ternary;
            meta.to_pool       : ternary;
            meta.is_icmp_error : ternary;
            meta.routed        : ternary;
            hdr.ipv4.ttl       : ternary;
            meta.resolved      : ternary;
            meta.mtu_excess    : ternary;
            meta.report        : ternary;
            meta.punt          : ternary;
            meta.pinhole_alg   : ternary;
            meta.same_ends     : ternary;
            meta.fresh         : ternary;
        }
        actions = { leave_raw; drop; drop_as_decided; punt; punt_for_session;
                    punt_for_pinhole; punt_for_service; punt_for_nobody; look_for_ids;
                    bring_ids; go_round; hairpin; leave; leave_with_report; }
        const default_action = drop(DROP_NO_SESSION);
// The columns, by their letters: W raw, P parse, Z zone, U ours, A ARP, 4 IPv4, C checksum,
// S source, O options, F fragment, K looked, I ids, G GRE, D denied, L local, E ICMP error,
// R routed, N neighbour, and what `verdict` said.
#define FIRST(W, P, Z, U, A, V, C, S, O, F, K, I, G, D, L) \
    (W, P, Z, U, A, V, C, S, O, F, K, I, G, D, L, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _)
#define LOCAL(side, mapping) \
    (_, _, _, _, _, _, _, _, _, _, _, _, _, _, 1, side, mapping, _, _, _, _, _, _, _, _, _, _, \
     _, _, _, _)
#define THEN(F, kind, origin, E, R, ttl, N, mtu, report) \
    (_, _, _, _, _, _, _, _, _, F, _, _, _, _, _, _, _, kind, origin, _, _, E, R, ttl, N, mtu, \
     report, _, _, _, _)
#define DECIDED(punt, alg) \
    (_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, KIND_PUNT, _, _, _, _, _, _, _, _, _, \
     punt, alg, _, _)
#define FOUND_IDS \
    (_, _, _, _, _, _, _, _, _, 1, 0, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, 1, 1)
#define ROUND(kind) \
    (_, _, _, _, _, _, _, _, _, _, _, _, _, _, _, SIDE_INSIDE, _, kind, _, 1, 1, _, _, _, _, _, _, \
     _, _, _, _)
        const entries = {
            FIRST(1, _, _, _, _, _, _, _, _, _, _, _, _, _, _) : leave_raw();
            FIRST(_, 1, _, _, _, _, _, _, _, _, _, _, _, _, _) : drop(DROP_PARSE);
            FIRST(_, _, 1, _, _, _, _, _, _, _, _, _, _, _, _) : drop(DROP_NO_ZONE);
            FIRST(_, _, _, 1, _, _, _, _, _, _, _, _, _, _, _) : drop(DROP_NOT_FOR_US);
            FIRST(_, _, _, _, 1, _, _, _, _, _, _, _, _, _, _) : punt(PUNT_ARP);
            FIRST(_, _, _, _, _, 0, _, _, _, _, _, _, _, _, _) : drop(DROP_ETHERTYPE);
            FIRST(_, _, _, _, _, _, 1, _, _, _, _, _, _, _, _) : drop(DROP_CHECKSUM);
            FIRST(_, _, _, _, _, _, _, 1, _, _, _, _, _, _, _) : drop(DROP_SOURCE);
            FIRST(_, _, _, _, _, _, _, _, 1, _, _, _, _, _, _) : drop(DROP_OPTIONS);
            FOUND_IDS                                          : bring_ids();
            FIRST(_, _, _, _, _, _, _, _, _, 1, 0, _, _, _, _) : look_for_ids();
            FIRST(_, _, _, _, _, _, _, _, _, 0, _, 0, 0, _, _) : drop(DROP_PROTOCOL);
            FIRST(_, _, _, _, _, _, _, _, _, _, _, _, _, 1, _) : drop(DROP_POLICY);
            LOCAL(SIDE_INSIDE, _)                              : punt(PUNT_LOCAL);
            LOCAL(_, MAPPING_NONE)                             : punt(PUNT_LOCAL);
            THEN(_, KIND_DROP, _, _, _, _, _, _, _)            : drop_as_decided();
            // What the controller does about a flow it does for the first fragment, which has
            // the ports. The others wait for that.
            THEN(1, KIND_PUNT, ORIGIN_WIRE, _, _, _, _, _, _)  : punt(PUNT_FRAGMENT);
            THEN(1, KIND_PUNT, _, _, _, _, _, _, _)            : drop(DROP_FRAGMENT);
            DECIDED(PUNT_ALG, _)                               : punt_for_session();
            DECIDED(PUNT_NEW_FLOW, 0)                          : punt_for_service();
            DECIDED(PUNT_NEW_FLOW, _)                          : punt_for_pinhole();
            DECIDED(PUNT_ESP, _)                               : punt_for_service();
            DECIDED(_, _)                                      : punt_for_nobody();
            // A packet to an address of ours goes round, and comes back from outside.
            ROUND(KIND_FORWARD)                                : hairpin();
            ROUND(KIND_CLAIM)                                  : go_round();
            // The controller tells the sender (RFC 1812 4.3.3.1), but nothing about an error.
            THEN(_, _, _, 1, 0, _, _, _, _)                    : drop(DROP_NO_ROUTE);
            THEN(1, _, _, _, 0, _, _, _, _)                    : punt(PUNT_FRAGMENT);
            THEN(_, _, _, _, 0, _, _, _, _)                    : punt(PUNT_NO_ROUTE);
            THEN(_, _, _, 1, _, 0 &&& 0xfe, _, _, _)           : drop(DROP_TTL);
            THEN(_, _, ORIGIN_WIRE, _, _, 0 &&& 0xfe, _, _, _) : punt(PUNT_TTL);
            THEN(_, _, _, _, _, 0 &&& 0xfe, _, _, _)           : drop(DROP_TTL);
            THEN(1, _, _, _, _, _, 0, _, _)                    : punt(PUNT_FRAGMENT);
            THEN(_, _, _, _, _, _, 0, _, _)                    : punt(PUNT_NEIGHBOUR);
            THEN(_, KIND_CLAIM, _, _, _, _, _, 0, _)           : go_round();
            THEN(_, KIND_FORWARD, _, _, _, _, _, 0, 1)         : leave_with_report();
            THEN(_, KIND_FORWARD, _, _, _, _, _, 0, _)         : leave();
            THEN(_, _, _, _, _, _, _, _, _)                    : punt(PUNT_MTU);
        }
        size = 64;
    }
    apply { outcome.apply(); }
}
