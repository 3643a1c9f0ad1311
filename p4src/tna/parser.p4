// Parsers: as deep as translation needs, and no deeper into fragments. That of ingress also
// writes the flow key, so that it costs no stage; it cannot write a field twice, so what an
// ICMP error carries is put into the key in the first stage (flow_key.p4).

// Of TCP's flags, those that tell a SYN that begins a flow.
#define TCP_BEGIN 8w0x02 &&& 8w0x17
#define LOW_PORT  16w0 &&& 16w0xfc00

parser IngressParser(packet_in pkt, out headers_t hdr, out metadata_t meta,
                     out ingress_intrinsic_metadata_t std) {
    Checksum() ipv4_checksum;

    state start {
        pkt.extract(std);
        pkt.advance(PORT_METADATA_SIZE);
        transition select(std.ingress_port) {
            PORT_CPU:   parse_packet_out;
            PORT_AGAIN: parse_again;
            default:    parse_wire;
        }
    }
    state parse_wire {
        meta.in_port = std.ingress_port;
        transition parse_ethernet;
    }
    state parse_packet_out {
        pkt.extract(hdr.packet_out);
        meta.in_port = hdr.packet_out.port[8:0];
        meta.hairpin = hdr.packet_out.flags[2:2];
        transition select(hdr.packet_out.flags) {
            0 &&& 1:   parse_raw;
            16 &&& 16: parse_late;
            8 &&& 8:   parse_begin;
            default:   parse_cpu;
        }
    }
    state parse_raw { meta.raw = 1; transition accept; }
    state parse_late { meta.origin = ORIGIN_LATE; transition parse_ethernet; }
    state parse_begin { meta.origin = ORIGIN_BEGIN; transition parse_ethernet; }
    state parse_cpu { meta.origin = ORIGIN_CPU; transition parse_ethernet; }

    state parse_again {
        pkt.extract(hdr.again);
        meta.in_port = hdr.again.in_port[8:0];
        meta.hairpin = hdr.again.hairpin;
        meta.overflow = hdr.again.overflow;
        meta.origin = hdr.again.origin;
        meta.claimed = hdr.again.claimed;
        meta.slot_claim = hdr.again.slot;
        meta.session_claim = hdr.again.session;
        transition select(hdr.again.looked, hdr.again.has_ids) {
            (1, 1):  parse_found;
            (1, 0):  parse_not_found;
            default: parse_ethernet;
        }
    }
    // A later fragment whose identifiers were looked for in the first pass.
    state parse_found {
        meta.key.src_id = (flow_id_t)hdr.again.src_id;
        meta.key.dst_id = (flow_id_t)hdr.again.dst_id;
        meta.low_byte = hdr.again.src_id[7:0];
        meta.high_byte = hdr.again.src_id[15:8];
        meta.parity = hdr.again.src_id[0:0];
        meta.has_ids = 1;
        transition parse_looked;
    }
    state parse_not_found { meta.needs_ids = 1; transition parse_looked; }
    state parse_looked {
        meta.looked = 1;
        meta.is_fragment = 1;
        pkt.extract(hdr.ethernet);
        transition select(hdr.ethernet.ether_type) {
            ETHERTYPE_VLAN: parse_looked_vlan;
            default:        parse_looked_ipv4;
        }
    }
    state parse_looked_vlan {
        pkt.extract(hdr.vlan);
        meta.vlan_id = hdr.vlan.vlan_id;
        transition parse_looked_ipv4;
    }
    state parse_looked_ipv4 {
        pkt.extract(hdr.ipv4);
        meta.is_ipv4 = 1;
        meta.key.proto = hdr.ipv4.protocol;
        meta.key.src_addr = hdr.ipv4.src_addr;
        meta.key.dst_addr = hdr.ipv4.dst_addr;
        transition select(hdr.ipv4.protocol, hdr.ipv4.ihl) {
            (PROTO_TCP, 5):  parse_tcp_fragment;
            (PROTO_UDP, 5):  parse_udp_fragment;
            (PROTO_ICMP, 5): parse_icmp_fragment;
            (_, 5):          accept;
            default:         parse_bad;
        }
    }
    state parse_tcp_fragment {
        meta.class = CLASS_TCP;
        meta.class_bits = 0x4000;
        meta.has_class = 1;
        transition accept;
    }
    state parse_udp_fragment {
        meta.class = CLASS_UDP;
        meta.class_bits = 0x8000;
        meta.has_class = 1;
        meta.opening = 1;
        transition accept;
    }
    state parse_icmp_fragment {
        meta.class = CLASS_ICMP;
        meta.class_bits = 0xC000;
        meta.has_class = 1;
        meta.opening = 1;
        transition accept;
    }

    state parse_ethernet {
        pkt.extract(hdr.ethernet);
        transition select(hdr.ethernet.ether_type) {
            ETHERTYPE_VLAN: parse_vlan;
            ETHERTYPE_IPV4: parse_ipv4;
            ETHERTYPE_ARP:  parse_arp;
            default:        accept;
        }
    }
    state parse_vlan {
        pkt.extract(hdr.vlan);
        meta.vlan_id = hdr.vlan.vlan_id;
        transition select(hdr.vlan.ether_type) {
            ETHERTYPE_IPV4: parse_ipv4;
            ETHERTYPE_ARP:  parse_arp;
            default:        accept;
        }
    }
    state parse_arp { meta.is_arp = 1; transition accept; }
    state parse_ipv4 {
        pkt.extract(hdr.ipv4);
        ipv4_checksum.add(hdr.ipv4);
        meta.is_ipv4 = 1;
        meta.key.proto = hdr.ipv4.protocol;
        meta.key.src_addr = hdr.ipv4.src_addr;
        meta.key.dst_addr = hdr.ipv4.dst_addr;
        transition select(hdr.ipv4.version, hdr.ipv4.ihl) {
            (4, 5):  parse_no_options;
            (4, 6):  parse_options1;
            (4, 7):  parse_options2;
            (4, 8):  parse_options3;
            (4, 9):  parse_options4;
            (4, 10): parse_options5;
            (4, 8 &&& 8): parse_many_options;
            default: parse_bad;
        }
    }
    state parse_bad { meta.bad_header = 1; transition accept; }
    state parse_many_options { meta.has_options = 1; transition accept; }
    state parse_no_options {
        meta.bad_checksum = (bit<1>)ipv4_checksum.verify();
        transition parse_transport;
    }
#define OPTIONS_BEGIN \
        meta.has_options = 1; \
        meta.option_one = pkt.lookahead<bit<8>>(); \
        meta.option_two = pkt.lookahead<bit<16>>()[7:0]; \
        meta.option_three = pkt.lookahead<bit<24>>()[7:0];
#define OPTION(header) pkt.extract(header); ipv4_checksum.add(header);
#define OPTIONS_END \
        meta.bad_checksum = (bit<1>)ipv4_checksum.verify(); \
        transition parse_transport;
    state parse_options1 { OPTIONS_BEGIN OPTION(hdr.option0) OPTIONS_END }
    state parse_options2 { OPTIONS_BEGIN OPTION(hdr.option0) OPTION(hdr.option1) OPTIONS_END }
    state parse_options3 {
        OPTIONS_BEGIN OPTION(hdr.option0) OPTION(hdr.option1) OPTION(hdr.option2) OPTIONS_END
    }
    state parse_options4 {
        OPTIONS_BEGIN OPTION(hdr.option0) OPTION(hdr.option1) OPTION(hdr.option2)
        OPTION(hdr.option3) OPTIONS_END
    }
    state parse_options5 {
        OPTIONS_BEGIN OPTION(hdr.option0) OPTION(hdr.option1) OPTION(hdr.option2)
        OPTION(hdr.option3) OPTION(hdr.option4) OPTIONS_END
    }
    state parse_transport {
        // Only the first fragment has a transport header (RFC 791).
        transition select(hdr.ipv4.frag_offset, hdr.ipv4.protocol) {
            (0, PROTO_TCP):  parse_tcp;
            (0, PROTO_UDP):  parse_udp;
            (0, PROTO_ICMP): parse_icmp;
            (0, PROTO_GRE):  parse_gre;
            (0, PROTO_ESP):  parse_esp;
            (0, _):          accept;
            default:         parse_fragment;
        }
    }
    state parse_fragment {
        meta.is_fragment = 1;
        transition accept;
    }

    // The bytes that are scrambled are read by themselves: a slice of a port would split the
    // port's containers everywhere.
    state parse_tcp {
        meta.high_byte = pkt.lookahead<bit<8>>();
        meta.low_byte = pkt.lookahead<bit<16>>()[7:0];
        meta.parity = pkt.lookahead<bit<16>>()[0:0];
        pkt.extract(hdr.tcp);
        meta.key.src_id = (flow_id_t)hdr.tcp.src_port;
        meta.key.dst_id = (flow_id_t)hdr.tcp.dst_port;
        meta.tcp_flags = hdr.tcp.flags;
        meta.class = CLASS_TCP;
        meta.class_bits = 0x4000;
        meta.has_class = 1;
        meta.has_ids = 1;
        transition select(hdr.tcp.src_port, hdr.tcp.flags) {
            (LOW_PORT, TCP_BEGIN): parse_low_syn;
            (LOW_PORT, _):         parse_low;
            (_, TCP_BEGIN):        parse_syn;
            default:               accept;
        }
    }
    state parse_low_syn { meta.low_port = 1; transition parse_syn; }
    state parse_syn {
        meta.is_tcp_syn = 1;
        meta.opening = 1;
        transition accept;
    }
    state parse_low { meta.low_port = 1; transition accept; }
    state parse_udp {
        meta.high_byte = pkt.lookahead<bit<8>>();
        meta.low_byte = pkt.lookahead<bit<16>>()[7:0];
        meta.parity = pkt.lookahead<bit<16>>()[0:0];
        pkt.extract(hdr.udp);
        meta.key.src_id = (flow_id_t)hdr.udp.src_port;
        meta.key.dst_id = (flow_id_t)hdr.udp.dst_port;
        meta.class = CLASS_UDP;
        meta.class_bits = 0x8000;
        meta.has_class = 1;
        meta.has_ids = 1;
        meta.opening = 1;
        transition select(hdr.udp.src_port, hdr.udp.dst_port) {
            (PORT_IKE, _):        parse_low_ike;
            (LOW_PORT, PORT_IKE): parse_low_ike;
            (_, PORT_IKE):        parse_ike;
            (LOW_PORT, _):        parse_low;
            default:              accept;
        }
    }
    state parse_low_ike { meta.low_port = 1; transition parse_ike; }
    state parse_ike {
        pkt.extract(hdr.ike);
        transition accept;
    }
    state parse_icmp {
        pkt.extract(hdr.icmp);
        transition select(hdr.ipv4.ihl, hdr.icmp.type) {
            (5, ICMP_UNREACHABLE):   parse_inner_ipv4;
            (5, ICMP_SOURCE_QUENCH): parse_inner_ipv4;
            (5, ICMP_TIME_EXCEEDED): parse_inner_ipv4;
            (5, ICMP_PARAM_PROBLEM): parse_inner_ipv4;
            (_, ICMP_UNREACHABLE):   parse_error_behind_options;
            (_, ICMP_SOURCE_QUENCH): parse_error_behind_options;
            (_, ICMP_TIME_EXCEEDED): parse_error_behind_options;
            (_, ICMP_PARAM_PROBLEM): parse_error_behind_options;
            default:                 parse_query;
        }
    }
    // The parser of egress does not reach as far as the packet inside.
    state parse_error_behind_options { meta.bad_options = 1; transition accept; }
    // The query id belongs to the end that is translated. Which one that is, the parser cannot
    // know: both get it, and the other one is set to 0 where the key is oriented.
    state parse_query {
        meta.key.src_id = (flow_id_t)hdr.icmp.id;
        meta.key.dst_id = (flow_id_t)hdr.icmp.id;
        meta.high_byte = hdr.icmp.id[15:8];
        meta.low_byte = hdr.icmp.id[7:0];
        meta.parity = hdr.icmp.id[0:0];
        meta.class = CLASS_ICMP;
        meta.class_bits = 0xC000;
        meta.has_class = 1;
        meta.is_query = 1;
        meta.has_ids = 1;
        meta.opening = 1;
        transition accept;
    }
    state parse_inner_ipv4 {
        pkt.extract(hdr.inner_ipv4);
        meta.is_icmp_error = 1;
        transition select(hdr.inner_ipv4.ihl, hdr.inner_ipv4.frag_offset,
                          hdr.inner_ipv4.protocol) {
            (5, 0, PROTO_TCP):  parse_inner_tcp;
            (5, 0, PROTO_UDP):  parse_inner_udp;
            (5, 0, PROTO_ICMP): parse_inner_query;
            default:            accept;
        }
    }
    state parse_inner_tcp {
        meta.high_byte = pkt.lookahead<bit<24>>()[7:0];
        meta.low_byte = pkt.lookahead<bit<32>>()[7:0];
        meta.parity = pkt.lookahead<bit<32>>()[0:0];
        pkt.extract(hdr.inner_l4);
        meta.class = CLASS_TCP;
        meta.class_bits = 0x4000;
        meta.has_class = 1;
        meta.has_ids = 1;
        transition accept;
    }
    state parse_inner_udp {
        meta.high_byte = pkt.lookahead<bit<24>>()[7:0];
        meta.low_byte = pkt.lookahead<bit<32>>()[7:0];
        meta.parity = pkt.lookahead<bit<32>>()[0:0];
        pkt.extract(hdr.inner_l4);
        meta.class = CLASS_UDP;
        meta.class_bits = 0x8000;
        meta.has_class = 1;
        meta.has_ids = 1;
        transition accept;
    }
    state parse_inner_query {
        meta.high_byte = pkt.lookahead<bit<40>>()[7:0];
        meta.low_byte = pkt.lookahead<bit<48>>()[7:0];
        meta.parity = pkt.lookahead<bit<48>>()[0:0];
        pkt.extract(hdr.inner_l4);
        meta.class = CLASS_ICMP;
        meta.class_bits = 0xC000;
        meta.has_class = 1;
        meta.is_query = 1;
        meta.has_ids = 1;
        transition accept;
    }
    state parse_gre {
        pkt.extract(hdr.gre);
        meta.is_gre = 1;
        meta.opening = 1;
        // Enhanced GRE: key present, version 1, protocol PPP (RFC 2637 4.1).
        transition select(hdr.gre.flags_version, hdr.gre.protocol) {
            (0x2001 &&& 0x2007, 0x880B): parse_gre_call;
            default:                     accept;
        }
    }
    state parse_gre_call {
        pkt.extract(hdr.gre_call);
        // A call id names the call of the receiver (RFC 2637 4.1).
        meta.key.dst_id = (flow_id_t)hdr.gre_call.call_id;
        meta.has_ids = 1;
        transition accept;
    }
    state parse_esp {
        pkt.extract(hdr.esp);
        // An SPI is the receiver's choice (RFC 4303 2.1).
        meta.key.dst_id = hdr.esp.spi;
        meta.is_esp = 1;
        meta.opening = 1;
        meta.has_ids = 1;
        transition accept;
    }
}

// Each checksum is the sum of what egress may change and of the rest, which is `residual`.
parser EgressParser(packet_in pkt, out headers_t hdr, out egress_metadata_t meta,
                    out egress_intrinsic_metadata_t std) {
    Checksum() tcp_checksum;
    Checksum() udp_checksum;
    Checksum() icmp_checksum;
    Checksum() inner_checksum;

    state start {
        pkt.extract(std);
        pkt.extract(hdr.bridge);
        transition select(hdr.bridge.kind) {
            KIND_RAW: accept;
            default:  parse_ethernet;
        }
    }
    state parse_ethernet {
        pkt.extract(hdr.ethernet);
        transition select(hdr.ethernet.ether_type) {
            ETHERTYPE_VLAN: parse_vlan;
            ETHERTYPE_IPV4: parse_protocol;
            default:        accept;
        }
    }
    state parse_vlan {
        pkt.extract(hdr.vlan);
        transition select(hdr.vlan.ether_type) {
            ETHERTYPE_IPV4: parse_protocol;
            default:        accept;
        }
    }
    // Two checksums are counted at once, and one that begins at the IPv4 header takes its unit for
    // all that follows: so ICMP, which needs both behind it, has an IPv4 state of its own.
    state parse_protocol {
        transition select(pkt.lookahead<bit<80>>()[7:0]) {
            PROTO_ICMP: parse_ipv4_of_icmp;
            default:    parse_ipv4;
        }
    }
    state parse_ipv4 {
        pkt.extract(hdr.ipv4);
        tcp_checksum.subtract({ hdr.ipv4.src_addr, hdr.ipv4.dst_addr });
        udp_checksum.subtract({ hdr.ipv4.src_addr, hdr.ipv4.dst_addr });
        transition select(hdr.ipv4.ihl) {
            5:       parse_transport;
            6:       parse_options1;
            7:       parse_options2;
            8:       parse_options3;
            9:       parse_options4;
            10:      parse_options5;
            default: accept;
        }
    }
    state parse_options1 { pkt.extract(hdr.option0); transition parse_behind_options; }
    state parse_options2 {
        pkt.extract(hdr.option0);
        pkt.extract(hdr.option1);
        transition parse_behind_options;
    }
    state parse_options3 {
        pkt.extract(hdr.option0);
        pkt.extract(hdr.option1);
        pkt.extract(hdr.option2);
        transition parse_behind_options;
    }
    state parse_options4 {
        pkt.extract(hdr.option0);
        pkt.extract(hdr.option1);
        pkt.extract(hdr.option2);
        pkt.extract(hdr.option3);
        transition parse_behind_options;
    }
    state parse_options5 {
        pkt.extract(hdr.option0);
        pkt.extract(hdr.option1);
        pkt.extract(hdr.option2);
        pkt.extract(hdr.option3);
        pkt.extract(hdr.option4);
        transition parse_behind_options;
    }
    state parse_behind_options {
        transition select(hdr.ipv4.frag_offset, hdr.ipv4.protocol) {
            (0, PROTO_TCP): parse_tcp;
            (0, PROTO_UDP): parse_udp;
            (0, PROTO_GRE): parse_gre;
            (0, PROTO_ESP): parse_esp;
            default:        accept;
        }
    }
    state parse_ipv4_of_icmp {
        pkt.extract(hdr.ipv4);
        transition select(hdr.ipv4.frag_offset, hdr.ipv4.ihl) {
            (0, 5):  parse_icmp;
            (_, 6):  parse_icmp_options1;
            (_, 7):  parse_icmp_options2;
            (_, 8):  parse_icmp_options3;
            (_, 9):  parse_icmp_options4;
            (_, 10): parse_icmp_options5;
            default: accept;
        }
    }
    state parse_icmp_options1 { pkt.extract(hdr.option0); transition parse_icmp_behind_options; }
    state parse_icmp_options2 {
        pkt.extract(hdr.option0);
        pkt.extract(hdr.option1);
        transition parse_icmp_behind_options;
    }
    state parse_icmp_options3 {
        pkt.extract(hdr.option0);
        pkt.extract(hdr.option1);
        pkt.extract(hdr.option2);
        transition parse_icmp_behind_options;
    }
    state parse_icmp_options4 {
        pkt.extract(hdr.option0);
        pkt.extract(hdr.option1);
        pkt.extract(hdr.option2);
        pkt.extract(hdr.option3);
        transition parse_icmp_behind_options;
    }
    state parse_icmp_options5 {
        pkt.extract(hdr.option0);
        pkt.extract(hdr.option1);
        pkt.extract(hdr.option2);
        pkt.extract(hdr.option3);
        pkt.extract(hdr.option4);
        transition parse_icmp_behind_options;
    }
    // Behind options the packet inside an ICMP error is out of reach; ingress has refused it.
    state parse_icmp_behind_options {
        transition select(hdr.ipv4.frag_offset) {
            0:       parse_icmp_alone;
            default: accept;
        }
    }
    state parse_icmp_alone {
        pkt.extract(hdr.icmp);
        icmp_checksum.subtract({ hdr.icmp.checksum, hdr.icmp.id });
        transition parse_query;
    }
    state parse_transport {
        transition select(hdr.ipv4.frag_offset, hdr.ipv4.protocol) {
            (0, PROTO_TCP):  parse_tcp;
            (0, PROTO_UDP):  parse_udp;
            (0, PROTO_GRE):  parse_gre;
            (0, PROTO_ESP):  parse_esp;
            default:         accept;
        }
    }
    state parse_tcp {
        pkt.extract(hdr.tcp);
        meta.tcp_flags = hdr.tcp.flags;
        tcp_checksum.subtract({ hdr.tcp.checksum });
        tcp_checksum.subtract({ hdr.tcp.src_port, hdr.tcp.dst_port, hdr.tcp.seq_no,
                                hdr.tcp.ack_no });
        tcp_checksum.subtract_all_and_deposit(meta.residual);
        transition accept;
    }
    state parse_udp {
        pkt.extract(hdr.udp);
        udp_checksum.subtract({ hdr.udp.checksum });
        udp_checksum.subtract({ hdr.udp.src_port, hdr.udp.dst_port });
        udp_checksum.subtract_all_and_deposit(meta.residual);
        transition accept;
    }
    state parse_icmp {
        pkt.extract(hdr.icmp);
        icmp_checksum.subtract({ hdr.icmp.checksum, hdr.icmp.id });
        transition select(hdr.icmp.type) {
            ICMP_UNREACHABLE:   parse_inner_ipv4;
            ICMP_SOURCE_QUENCH: parse_inner_ipv4;
            ICMP_TIME_EXCEEDED: parse_inner_ipv4;
            ICMP_PARAM_PROBLEM: parse_inner_ipv4;
            default:            parse_query;
        }
    }
    state parse_query {
        icmp_checksum.subtract_all_and_deposit(meta.residual);
        transition accept;
    }
    state parse_inner_ipv4 {
        pkt.extract(hdr.inner_ipv4);
        inner_checksum.subtract({ hdr.inner_ipv4.hdr_checksum });
        inner_checksum.subtract({ hdr.inner_ipv4.src_addr, hdr.inner_ipv4.dst_addr });
        transition select(hdr.inner_ipv4.ihl, hdr.inner_ipv4.frag_offset,
                          hdr.inner_ipv4.protocol) {
            (5, 0, PROTO_TCP):  parse_inner_l4;
            (5, 0, PROTO_UDP):  parse_inner_l4;
            (5, 0, PROTO_ICMP): parse_inner_l4;
            default:            parse_query;
        }
    }
    state parse_inner_l4 {
        pkt.extract(hdr.inner_l4);
        icmp_checksum.subtract({ hdr.inner_l4.word0, hdr.inner_l4.word1, hdr.inner_l4.word2,
                                 hdr.inner_l4.word3 });
        icmp_checksum.subtract_all_and_deposit(meta.residual);
        inner_checksum.subtract_all_and_deposit(meta.inner_residual);
        transition accept;
    }
    state parse_gre {
        pkt.extract(hdr.gre);
        transition select(hdr.gre.flags_version, hdr.gre.protocol) {
            (0x2001 &&& 0x2007, 0x880B): parse_gre_call;
            default:                     accept;
        }
    }
    state parse_gre_call { pkt.extract(hdr.gre_call); transition accept; }
    state parse_esp { pkt.extract(hdr.esp); transition accept; }
}
