// Parser: as deep as translation needs, and no deeper into fragments.

parser PacketParser(packet_in pkt, out headers_t hdr, inout metadata_t meta,
                    inout standard_metadata_t std) {
    state start {
        transition select(std.ingress_port) {
            CPU_PORT: parse_packet_out;
            default:  parse_ethernet;
        }
    }
    state parse_packet_out {
        pkt.extract(hdr.packet_out);
        transition parse_ethernet;
    }
    state parse_ethernet {
        pkt.extract(hdr.ethernet);
        transition select(hdr.ethernet.ether_type) {
            ETHERTYPE_VLAN: parse_vlan;
            ETHERTYPE_IPV4: parse_ipv4;
            default:        accept;
        }
    }
    state parse_vlan {
        pkt.extract(hdr.vlan);
        transition select(hdr.vlan.ether_type) {
            ETHERTYPE_IPV4: parse_ipv4;
            default:        accept;
        }
    }
    state parse_ipv4 {
        pkt.extract(hdr.ipv4);
        verify(hdr.ipv4.version == 4, error.HeaderTooShort);
        verify(hdr.ipv4.ihl >= 5, error.HeaderTooShort);
        transition select(hdr.ipv4.ihl) {
            5:       parse_transport;
            default: parse_ipv4_options;
        }
    }
    state parse_ipv4_options {
        bit<24> head = pkt.lookahead<bit<24>>();
        meta.option_one = head[23:16];
        meta.option_two = head[15:8];
        meta.option_three = head[7:0];
        pkt.extract(hdr.ipv4_options, (bit<32>)(((bit<16>)hdr.ipv4.ihl - 5) << 5));
        transition parse_transport;
    }
    state parse_transport {
        // Only the first fragment has a transport header (RFC 791).
        transition select(hdr.ipv4.frag_offset, hdr.ipv4.protocol) {
            (0, PROTO_TCP):  parse_tcp;
            (0, PROTO_UDP):  parse_udp;
            (0, PROTO_ICMP): parse_icmp;
            (0, PROTO_GRE):  parse_gre;
            (0, PROTO_ESP):  parse_esp;
            default:         accept;
        }
    }
    state parse_tcp {
        pkt.extract(hdr.tcp);
        verify(hdr.tcp.data_offset >= 5, error.HeaderTooShort);
        transition accept;
    }
    state parse_udp {
        pkt.extract(hdr.udp);
        transition select(hdr.udp.src_port, hdr.udp.dst_port) {
            (PORT_IKE, _): parse_ike;
            (_, PORT_IKE): parse_ike;
            default:       accept;
        }
    }
    state parse_ike {
        pkt.extract(hdr.ike);
        transition accept;
    }
    state parse_icmp {
        pkt.extract(hdr.icmp);
        transition select(hdr.icmp.type) {
            ICMP_UNREACHABLE:   parse_inner_ipv4;
            ICMP_SOURCE_QUENCH: parse_inner_ipv4;
            ICMP_TIME_EXCEEDED: parse_inner_ipv4;
            ICMP_PARAM_PROBLEM: parse_inner_ipv4;
            default:            accept;
        }
    }
    state parse_inner_ipv4 {
        pkt.extract(hdr.inner_ipv4);
        verify(hdr.inner_ipv4.ihl >= 5, error.HeaderTooShort);
        transition select(hdr.inner_ipv4.ihl) {
            5:       parse_inner_l4;
            default: parse_inner_options;
        }
    }
    state parse_inner_options {
        pkt.extract(hdr.inner_options, (bit<32>)(((bit<16>)hdr.inner_ipv4.ihl - 5) << 5));
        transition parse_inner_l4;
    }
    state parse_inner_l4 {
        transition select(hdr.inner_ipv4.frag_offset) {
            0:       extract_inner_l4;
            default: accept;
        }
    }
    state extract_inner_l4 {
        pkt.extract(hdr.inner_l4);
        transition accept;
    }
    state parse_gre {
        pkt.extract(hdr.gre);
        // Enhanced GRE: key present, version 1, protocol PPP (RFC 2637 4.1).
        transition select(hdr.gre.flags_version, hdr.gre.protocol) {
            (0x2001 &&& 0x2007, 0x880B): parse_gre_call;
            default:                     accept;
        }
    }
    state parse_gre_call {
        pkt.extract(hdr.gre_call);
        transition accept;
    }
    state parse_esp {
        pkt.extract(hdr.esp);
        transition accept;
    }
}
