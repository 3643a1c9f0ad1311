/* State that all packets share, whatever their flow: a test object of the embedded switch with
 * several workers. Each packet takes the next ticket, in a block that reads and writes two registers
 * on ways that differ, and gets both halves of what a table's entry says.
 */
#include <core.p4>
#include <v1model.p4>

const bit<16> IPV4 = 0x0800;
const bit<8> UDP = 17;
const bit<32> SESSION = 5;

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}
header ipv4_t {
    bit<64> before;
    bit<8> ttl;
    bit<8> protocol;
    bit<16> checksum;
    bit<32> src;
    bit<32> dst;
}
header udp_t {
    bit<64> ports;
}
header probe_t {
    bit<32> flow;
    bit<32> number;
    bit<32> ticket;
    bit<32> odd; /* tickets so far that are odd */
    bit<64> left;
    bit<64> right;
    bit<8> colour;
    bit<8> told; /* whether the controller gets a copy */
}
struct headers_t {
    ethernet_t ethernet;
    ipv4_t ipv4;
    udp_t udp;
    probe_t probe;
}
struct metadata_t {
    bit<32> ticket;
    bit<32> odd;
    bit<2> colour;
}

parser SharedParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                    inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.type) {
            IPV4: parse_ipv4;
            default: accept;
        }
    }
    state parse_ipv4 {
        packet.extract(hdr.ipv4);
        transition select(hdr.ipv4.protocol) {
            UDP: parse_udp;
            default: accept;
        }
    }
    state parse_udp {
        packet.extract(hdr.udp);
        packet.extract(hdr.probe);
        transition accept;
    }
}

control NoChecksums(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control SharedIngress(inout headers_t hdr, inout metadata_t meta,
                      inout standard_metadata_t std) {
    register<bit<32>>(1) tickets;
    register<bit<32>>(1) odds;
    counter(1, CounterType.packets_and_bytes) probes;
    meter(1, MeterType.packets) limit;

    action set_pair(bit<64> left, bit<64> right) {
        hdr.probe.left = left;
        hdr.probe.right = right;
    }
    table pair {
        key = { hdr.ipv4.dst: exact; }
        actions = { set_pair; NoAction; }
        const default_action = NoAction();
        size = 1024;
    }

    apply {
        if (std.ingress_port == 1) {
            std.egress_spec = 2;
        } else {
            std.egress_spec = 1;
        }
        if (hdr.probe.isValid()) {
            @atomic {
                tickets.read(meta.ticket, 0);
                odds.read(meta.odd, 0);
                if (meta.ticket & 1 == 1) {
                    meta.odd = meta.odd + 1;
                    odds.write(0, meta.odd);
                }
                tickets.write(0, meta.ticket + 1);
            }
            hdr.probe.ticket = meta.ticket;
            hdr.probe.odd = meta.odd;
            pair.apply();
            probes.count(0);
            limit.execute_meter(32w0, meta.colour);
            hdr.probe.colour = (bit<8>) meta.colour;
            if (hdr.probe.told == 1) {
                clone(CloneType.I2E, SESSION);
            }
        }
    }
}

control SharedEgress(inout headers_t hdr, inout metadata_t meta,
                     inout standard_metadata_t std) {
    apply { }
}

control SharedDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}

V1Switch(SharedParser(), NoChecksums(), SharedIngress(), SharedEgress(), NoChecksums(),
         SharedDeparser()) main;
