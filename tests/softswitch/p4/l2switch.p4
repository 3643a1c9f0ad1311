/* A learning switch that uses one of everything the embedded switch must get right: digests,
 * flooding by multicast, clones to the CPU port, meters, counters, registers, range, lpm, ternary
 * and optional keys, a variable-length header, a header stack, checksums, hashes, resubmission
 * and recirculation. It is a test object and makes no claim to be a useful switch.
 */
#include <core.p4>
#include <v1model.p4>

const bit<9> CPU_PORT = 510;
const bit<32> CLONE_SESSION = 7;

error { BadVersion }

@controller_header("packet_in")
header packet_in_t {
    @id(1) bit<9> ingress_port;
    @id(2) bit<7> reason;
}

@controller_header("packet_out")
header packet_out_t {
    @id(1) bit<9> egress_port;
    @id(2) bit<7> pad;
}

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}

header vlan_t {
    bit<3> pcp;
    bit<1> dei;
    bit<12> vid;
    bit<16> type;
}

header ipv4_t {
    bit<4> version;
    bit<4> ihl;
    bit<8> tos;
    bit<16> total_len;
    bit<16> id;
    bit<3> flags;
    bit<13> frag;
    bit<8> ttl;
    bit<8> protocol;
    bit<16> checksum;
    bit<32> src;
    bit<32> dst;
}

header options_t {
    varbit<320> data;
}

header udp_t {
    bit<16> sport;
    bit<16> dport;
    bit<16> length;
    bit<16> checksum;
}

struct headers_t {
    packet_in_t packet_in;
    packet_out_t packet_out;
    ethernet_t ethernet;
    vlan_t[2] vlan;
    ipv4_t ipv4;
    options_t options;
    udp_t udp;
}

struct learn_t {
    bit<48> mac;
    bit<9> port;
}

struct metadata_t {
    @field_list(1) bit<8> reason;
    @field_list(1, 2) bit<9> first_port;
    @field_list(2) bit<8> round;
    bit<2> colour;
    bit<16> hash;
    bit<32> seen;
    bit<8> cls;
    bit<16> udp_len;
    int<8> delta;
}

parser SwitchParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                    inout standard_metadata_t std) {
    state start {
        transition select(std.ingress_port) {
            CPU_PORT: parse_packet_out;
            default: parse_ethernet;
        }
    }
    state parse_packet_out {
        packet.extract(hdr.packet_out);
        transition parse_ethernet;
    }
    state parse_ethernet {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.type) {
            0x8100: parse_vlan;
            0x0800: parse_ipv4;
            default: accept;
        }
    }
    state parse_vlan {
        packet.extract(hdr.vlan.next);
        transition select(hdr.vlan.last.type) {
            0x8100: parse_vlan;
            0x0800: parse_ipv4;
            default: accept;
        }
    }
    state parse_ipv4 {
        bit<8> first = packet.lookahead<bit<8>>();
        verify(first[7:4] == 4, error.BadVersion);
        packet.extract(hdr.ipv4);
        verify(hdr.ipv4.ihl >= 5, error.HeaderTooShort);
        transition select(hdr.ipv4.ihl) {
            5: parse_l4;
            default: parse_options;
        }
    }
    state parse_options {
        packet.extract(hdr.options, ((bit<32>) hdr.ipv4.ihl - 5) << 5);
        transition parse_l4;
    }
    state parse_l4 {
        meta.udp_len = hdr.ipv4.total_len - ((bit<16>) hdr.ipv4.ihl << 2);
        transition select(hdr.ipv4.frag, hdr.ipv4.protocol) {
            (0, 17): parse_udp;
            (_, 1 &&& 0xfe): accept;
            default: accept;
        }
    }
    state parse_udp {
        packet.extract(hdr.udp);
        transition accept;
    }
}

control VerifyChecksums(inout headers_t hdr, inout metadata_t meta) {
    apply {
        verify_checksum(hdr.ipv4.isValid(),
            { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.tos, hdr.ipv4.total_len, hdr.ipv4.id,
              hdr.ipv4.flags, hdr.ipv4.frag, hdr.ipv4.ttl, hdr.ipv4.protocol, hdr.ipv4.src,
              hdr.ipv4.dst, hdr.options.data },
            hdr.ipv4.checksum, HashAlgorithm.csum16);
    }
}

control SwitchIngress(inout headers_t hdr, inout metadata_t meta,
                      inout standard_metadata_t std) {
    counter(512, CounterType.packets_and_bytes) port_counter;
    meter(512, MeterType.packets) port_meter;
    direct_meter<bit<2>>(MeterType.bytes) class_meter;
    direct_counter(CounterType.packets_and_bytes) smac_counter;
    direct_counter(CounterType.packets_and_bytes) acl_counter;
    register<bit<32>>(16) seen;

    action learn() {
        digest<learn_t>(1, { hdr.ethernet.src, std.ingress_port });
    }
    action known() { }
    table smac {
        key = { hdr.ethernet.src: exact; std.ingress_port: exact; }
        actions = { learn; known; }
        const default_action = learn();
        counters = smac_counter;
        support_timeout = true;
        size = 64;
    }

    action drop() {
        mark_to_drop(std);
    }
    action forward(bit<9> port) {
        std.egress_spec = port;
    }
    action flood(bit<16> group) {
        std.mcast_grp = group;
    }
    table dmac {
        key = { hdr.ethernet.dst: exact; }
        actions = { forward; flood; drop; }
        default_action = drop();
        size = 64;
    }

    action permit() { }
    action deny() {
        mark_to_drop(std);
        exit;
    }
    action punt(bit<8> reason) {
        meta.reason = reason;
        clone_preserving_field_list(CloneType.I2E, CLONE_SESSION, 1);
    }
    action again() {
        meta.round = meta.round + 1;
        resubmit_preserving_field_list(2);
    }
    action around() {
        meta.cls = 255;
        meta.round = meta.round + 1;
    }
    table acl {
        key = {
            hdr.ipv4.src: ternary;
            hdr.ipv4.dst: lpm;
            hdr.ipv4.isValid(): exact;
            hdr.ipv4.protocol: optional;
            meta.round: ternary;
        }
        actions = { permit; deny; punt; again; around; }
        default_action = permit();
        counters = acl_counter;
        size = 128;
    }

    action set_class(bit<8> cls) {
        meta.cls = cls;
    }
    table classify {
        key = {
            hdr.udp.sport: range;
            hdr.udp.dport: range;
            hdr.ipv4.tos: ternary;
        }
        actions = { set_class; NoAction; }
        default_action = NoAction();
        meters = class_meter;
        size = 32;
    }

    action route(bit<48> mac, bit<9> port) {
        hdr.ethernet.src = hdr.ethernet.dst;
        hdr.ethernet.dst = mac;
        hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
        std.egress_spec = port;
    }
    table routes {
        key = { hdr.ipv4.dst: lpm; }
        actions = { route; drop; NoAction; }
        default_action = NoAction();
        size = 64;
    }

    table fixed {
        key = { hdr.ipv4.tos: ternary; hdr.ipv4.ttl: exact; }
        actions = { set_class; NoAction; }
        const default_action = NoAction();
        const entries = {
            (0x10 &&& 0xf0, 9): set_class(11);
            (_, 9): set_class(12);
            (0x20, 8): set_class(13);
        }
    }

    apply {
        if (std.parser_error != error.NoError) {
            if (std.parser_error == error.BadVersion) {
                drop();
                return;
            }
            meta.cls = 99;
        }
        if (hdr.packet_out.isValid()) {
            std.egress_spec = hdr.packet_out.egress_port;
            hdr.packet_out.setInvalid();
            exit;
        }
        meta.first_port = std.ingress_port;
        port_counter.count((bit<32>) std.ingress_port);
        port_meter.execute_meter((bit<32>) std.ingress_port, meta.colour);
        if (meta.colour == 2) {
            drop();
            return;
        }
        smac.apply();
        acl.apply();
        if (hdr.udp.isValid()) {
            classify.apply();
            class_meter.read(meta.colour);
            hash(meta.hash, HashAlgorithm.crc16, 16w0,
                 { hdr.ipv4.src, hdr.ipv4.dst, hdr.udp.sport, hdr.udp.dport }, 17w0x10000);
        }
        if (fixed.apply().hit) {
            meta.delta = -3;
        } else {
            meta.delta = 2;
        }
        seen.read(meta.seen, (bit<32>) meta.hash[3:0]);
        meta.seen = meta.seen + 1;
        seen.write((bit<32>) meta.hash[3:0], meta.seen);
        if (hdr.ipv4.isValid() && !routes.apply().miss) {
            if (hdr.ipv4.ttl == 0) {
                drop();
            }
        } else {
            switch (dmac.apply().action_run) {
                forward: { meta.delta = meta.delta |-| 100; }
                flood: { meta.delta = meta.delta - 100; }
                default: { }
            }
        }
    }
}

control SwitchEgress(inout headers_t hdr, inout metadata_t meta,
                     inout standard_metadata_t std) {
    counter(512, CounterType.packets_and_bytes) egress_counter;

    apply {
        egress_counter.count((bit<32>) std.egress_port);
        if (std.instance_type == 1) {
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = meta.first_port;
            hdr.packet_in.reason = meta.reason[6:0];
        } else if (std.mcast_grp != 0 && std.egress_port == std.ingress_port) {
            mark_to_drop(std);
        } else if (meta.cls == 255 && meta.round < 4) {
            recirculate_preserving_field_list(2);
        }
        if (hdr.udp.isValid() && hdr.udp.dport == 7777) {
            hdr.vlan.push_front(1);
            hdr.vlan[0].setValid();
            hdr.vlan[0].pcp = (bit<3>) meta.cls;
            hdr.vlan[0].vid = meta.hash[11:0];
            hdr.vlan[0].type = hdr.ethernet.type;
            hdr.ethernet.type = 0x8100;
        }
        if (hdr.udp.isValid() && hdr.udp.dport == 7778) {
            hdr.ipv4.id = (bit<16>) std.packet_length;
            hdr.ipv4.tos = (bit<8>) meta.delta;
            hdr.udp.sport = meta.seen[15:0];
            truncate(60);
        }
    }
}

control UpdateChecksums(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum(hdr.ipv4.isValid(),
            { hdr.ipv4.version, hdr.ipv4.ihl, hdr.ipv4.tos, hdr.ipv4.total_len, hdr.ipv4.id,
              hdr.ipv4.flags, hdr.ipv4.frag, hdr.ipv4.ttl, hdr.ipv4.protocol, hdr.ipv4.src,
              hdr.ipv4.dst, hdr.options.data },
            hdr.ipv4.checksum, HashAlgorithm.csum16);
        update_checksum_with_payload(hdr.udp.isValid() && hdr.udp.checksum != 0,
            { hdr.ipv4.src, hdr.ipv4.dst, 8w0, hdr.ipv4.protocol, meta.udp_len, hdr.udp.sport,
              hdr.udp.dport, hdr.udp.length },
            hdr.udp.checksum, HashAlgorithm.csum16);
    }
}

control SwitchDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}

V1Switch(SwitchParser(), VerifyChecksums(), SwitchIngress(), SwitchEgress(), UpdateChecksums(),
         SwitchDeparser()) main;
