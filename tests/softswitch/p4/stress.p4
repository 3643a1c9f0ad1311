/* What the architecture and the language allow and a switch or a NAT does not need: a test object for
 * the embedded switch. A packet says itself what shall be done with it (`op`).
 *
 * Stacks that are filled, emptied, shifted and overrun; headers of variable length in a stack, chosen by
 * lookahead; all errors of the parser; keys of ranges, up to 48 bits; clones of both kinds, of packets
 * that go round too; packets that are resubmitted and recirculated several times; replicas; truncation;
 * a checksum of a payload that is verified and updated; exits from actions, of both controls; signed,
 * saturating and wide numbers.
 */
#include <core.p4>
#include <v1model.p4>

error { BadLabel }

const bit<16> TYPE_STRESS = 0x88B7;
const bit<16> TYPE_SENTINEL = 0x88B5;
const bit<9> CPU_PORT = 510;
const bit<32> CLONE_IN = 11;
const bit<32> CLONE_OUT = 12;

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}

header label_t {
    bit<1> bottom;
    bit<3> kind;
    bit<12> value;
}

header option_t {
    bit<8> kind;
    bit<8> length; /* bytes of data */
    varbit<128> data;
}

header request_t {
    bit<8> op;
    bit<8> argument;
    bit<16> checksum;
    bit<32> number;
    bit<48> wide;
    bit<7> odd;
    int<17> sign;
    bit<8> rounds;
    bit<32> result;
    bit<8> seen;
}

header extra_t {
    bit<5> a;
    bit<11> b;
}

struct headers_t {
    ethernet_t ethernet;
    label_t[4] label;
    option_t[3] option;
    request_t request;
    extra_t extra;
}

struct meta_t {
    @field_list(1, 2, 3)
    bit<8> rounds;
    @field_list(2)
    bit<16> carried;
    bit<8> trouble;
    bit<8> options;
}

parser StressParser(packet_in packet, out headers_t hdr, inout meta_t meta,
                    inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.type) {
            TYPE_STRESS: label;
            default: accept;
        }
    }
    state label {
        packet.extract(hdr.label.next);
        verify(hdr.label.last.kind != 7, error.BadLabel);
        transition select(hdr.label.last.bottom) {
            1: option;
            default: label;
        }
    }
    state option {
        transition select(packet.lookahead<bit<8>>()) {
            0xF0 .. 0xFE: long_option;
            0xE0 &&& 0xF0: short_option;
            default: request;
        }
    }
    state long_option {
        bit<16> head = packet.lookahead<bit<16>>();
        packet.extract(hdr.option.next, (bit<32>)head[7:0] << 3);
        meta.options = meta.options + 1;
        transition option;
    }
    state short_option {
        packet.extract(hdr.option.next, 8);
        meta.options = meta.options + 0x10;
        transition option;
    }
    state request {
        packet.extract(hdr.request);
        transition select(hdr.request.argument[0:0], packet.lookahead<extra_t>().a) {
            (1, 3 .. 20): extra;
            default: accept;
        }
    }
    state extra {
        packet.extract(hdr.extra);
        transition accept;
    }
}

control StressVerify(inout headers_t hdr, inout meta_t meta) {
    apply {
        verify_checksum_with_payload(hdr.request.isValid() && hdr.request.checksum != 0,
            { hdr.request.op, hdr.request.argument, hdr.request.number, hdr.request.wide,
              hdr.request.odd, hdr.request.sign, hdr.request.rounds, hdr.request.result,
              hdr.request.seen },
            hdr.request.checksum, HashAlgorithm.csum16);
    }
}

control StressIngress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t std) {
    register<bit<32>>(64) seen;
    register<bit<48>>(16) sums;
    counter(256, CounterType.packets_and_bytes) ops;
    direct_counter(CounterType.packets_and_bytes) spans_counter;
    direct_counter(CounterType.packets) wides_counter;

    action drop() {
        mark_to_drop(std);
    }

    action flood(bit<16> group) {
        std.mcast_grp = group;
    }

    action leave(bit<9> port) {
        std.egress_spec = port;
        hdr.request.result = 0xDEAD;
        exit;
    }

    table sentinel {
        key = { hdr.ethernet.dst: exact; }
        actions = { flood; @defaultonly drop; }
        const default_action = drop();
        size = 8;
    }

    action span(bit<8> number, bit<9> port) {
        hdr.request.result = hdr.request.result ^ (bit<32>)number << 24;
        std.egress_spec = port;
        spans_counter.count();
    }

    action span_exit(bit<8> number, bit<9> port) {
        hdr.request.seen = number;
        std.egress_spec = port;
        spans_counter.count();
        exit;
    }

    table spans {
        key = {
            hdr.request.number: range;
            hdr.request.argument: ternary;
            hdr.request.odd: range;
        }
        actions = { span; span_exit; @defaultonly NoAction; }
        const default_action = NoAction();
        counters = spans_counter;
        size = 64;
    }

    action mark(bit<16> value) {
        meta.carried = meta.carried + value;
        wides_counter.count();
    }

    table wides {
        key = { hdr.request.wide: range; }
        actions = { mark; @defaultonly NoAction; }
        const default_action = NoAction();
        counters = wides_counter;
        size = 64;
    }

    action compute() {
        bit<32> a = hdr.request.number;
        bit<48> w = hdr.request.wide;
        int<17> s = hdr.request.sign;
        bit<7> o = hdr.request.odd;
        bit<96> big = w ++ w;
        int<17> more = s |+| 17s40000;
        int<17> less = s |-| 17s30000;
        bit<32> r = a |+| 0xF0000000;
        r = r ^ (a |-| 0x10000);
        r = r ^ (bit<32>)(big * 96w0x100000001 >> 7)[31:0];
        r = r + (bit<32>)(bit<17>)(more ^ less);
        r = s < 0 ? r ^ 0x55 : r + 1;
        r = more > less ? r : ~r;
        r = r ^ (bit<32>)(bit<17>)(s >> (bit<8>)o[2:0]);
        r = r ^ (a << o) ^ (a >> (o & 31));
        r[11:4] = r[27:20];
        hdr.request.result = r;
        hdr.request.sign = -s;
        hdr.request.odd = ~o - 3;
    }

    action digests_of_it() {
        bit<32> one;
        bit<16> two;
        bit<16> three;
        bit<16> four;
        hash(one, HashAlgorithm.crc32, 32w0,
             { hdr.request.number, hdr.request.odd, hdr.request.sign, 8w5 }, 33w0x100000000);
        hash(two, HashAlgorithm.crc16, 16w3, { hdr.request.wide, hdr.ethernet.src }, 17w1000);
        hash(three, HashAlgorithm.csum16, 16w0, { hdr.request.wide, hdr.request.number }, 17w0x10000);
        hash(four, HashAlgorithm.xor16, 16w0, { hdr.request.wide, hdr.ethernet.dst }, 17w0x10000);
        hdr.request.result = one ^ (two ++ three) ^ (bit<32>)four;
    }

    apply {
        if (hdr.ethernet.type == TYPE_SENTINEL) {
            sentinel.apply();
            return;
        }
        if (std.parser_error != error.NoError) {
            meta.trouble = 1;
            if (std.parser_error == error.PacketTooShort) {
                meta.trouble = 2;
            } else if (std.parser_error == error.StackOutOfBounds) {
                meta.trouble = 3;
            } else if (std.parser_error == error.BadLabel) {
                meta.trouble = 4;
            } else if (std.parser_error == error.HeaderTooShort) {
                meta.trouble = 5;
            }
            std.egress_spec = 2;
            hdr.ethernet.src[7:0] = meta.trouble;
            hdr.ethernet.dst[7:0] = meta.options;
            exit;
        }
        if (!hdr.request.isValid()) {
            drop();
            return;
        }
        if (meta.rounds == 0) {
            ops.count((bit<32>)hdr.request.op);
        }
        std.egress_spec = 1;
        hdr.request.rounds = meta.rounds;
        if (std.checksum_error == 1) {
            hdr.request.seen = 0xCE;
        }
        wides.apply();
        if (hdr.request.op == 1) {
            compute();
        } else if (hdr.request.op == 2) {
            digests_of_it();
        } else if (hdr.request.op == 3) {
            hdr.label.push_front(1);
            hdr.label[0].setValid();
            hdr.label[0].bottom = 0;
            hdr.label[0].kind = 1;
            hdr.label[0].value = (bit<12>)hdr.request.number;
        } else if (hdr.request.op == 4) {
            hdr.label.pop_front(2);
        } else if (hdr.request.op == 5) {
            hdr.label.push_front(3);
            hdr.option.pop_front(1);
        } else if (hdr.request.op == 6) {
            hdr.label[2] = hdr.label[0];
            hdr.label[1].setInvalid();
            hdr.option[0] = hdr.option[1];
        } else if (hdr.request.op == 7) {
            std.mcast_grp = 5;
        } else if (hdr.request.op == 8) {
            clone_preserving_field_list(CloneType.I2E, CLONE_IN, 1);
            hdr.request.seen = 0x88;
        } else if (hdr.request.op == 9) {
            if (meta.rounds < (bit<8>)hdr.request.odd[1:0]) {
                meta.rounds = meta.rounds + 1;
                resubmit_preserving_field_list(2);
            }
            hdr.request.result = 16w0 ++ meta.carried;
        } else if (hdr.request.op == 10) {
            drop();
        } else if (hdr.request.op == 11) {
            leave(3);
        } else if (hdr.request.op == 12) {
            truncate(14 + (bit<32>)hdr.request.argument);
        } else if (hdr.request.op == 13) {
            bit<32> index = (bit<32>)hdr.label[0].value;
            bit<32> value;
            seen.read(value, index & 63);
            value = value + hdr.request.number;
            seen.write(index & 63, value);
            hdr.request.result = value;
            bit<48> sum;
            sums.read(sum, (bit<32>)hdr.request.odd[3:0]);
            sums.write((bit<32>)hdr.request.odd[3:0], sum - hdr.request.wide);
            hdr.request.wide = sum;
        } else if (hdr.request.op == 14) {
            hdr.extra.setInvalid();
        } else if (hdr.request.op == 15) {
            hdr.extra.setValid();
            hdr.extra.a = 9;
            hdr.extra.b = hdr.request.sign[10:0];
        } else if (hdr.request.op == 16) {
            std.egress_spec = CPU_PORT;
        } else {
            spans.apply();
        }
        if (hdr.label[3].isValid() && hdr.label[3].value == 0xABC) {
            leave(1);
        }
    }
}

control StressEgress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t std) {
    counter(512, CounterType.packets_and_bytes) by_port;

    action gone() {
        mark_to_drop(std);
        exit;
    }

    apply {
        if (!hdr.request.isValid()) {
            return;
        }
        by_port.count((bit<32>)std.egress_port);
        if (std.instance_type == 1) {
            hdr.request.seen = 0xC1;
        } else if (std.instance_type == 2) {
            hdr.request.seen = 0xC2;
            hdr.request.rounds = meta.rounds;
        } else if (hdr.request.op == 17) {
            hdr.request.result[15:0] = std.egress_rid;
            hdr.request.wide[8:0] = std.egress_port;
            clone_preserving_field_list(CloneType.E2E, CLONE_OUT, 3);
        } else if (hdr.request.op == 18) {
            if (meta.rounds < 2) {
                meta.rounds = meta.rounds + 1;
                hdr.request.number = hdr.request.number + 0x01000000;
                recirculate_preserving_field_list(1);
            }
        } else if (hdr.request.op == 19) {
            gone();
        } else if (hdr.request.op == 20) {
            truncate(40);
        }
        if (std.mcast_grp != 0) {
            hdr.request.result[15:0] = std.egress_rid;
        }
    }
}

control StressUpdate(inout headers_t hdr, inout meta_t meta) {
    apply {
        update_checksum_with_payload(hdr.request.isValid() && hdr.request.checksum != 0,
            { hdr.request.op, hdr.request.argument, hdr.request.number, hdr.request.wide,
              hdr.request.odd, hdr.request.sign, hdr.request.rounds, hdr.request.result,
              hdr.request.seen },
            hdr.request.checksum, HashAlgorithm.csum16);
    }
}

control StressDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.ethernet);
        packet.emit(hdr.label);
        packet.emit(hdr.option);
        packet.emit(hdr.request);
        packet.emit(hdr.extra);
    }
}

V1Switch(StressParser(), StressVerify(), StressIngress(), StressEgress(), StressUpdate(),
         StressDeparser()) main;
