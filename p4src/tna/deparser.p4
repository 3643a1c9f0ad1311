// Deparsers: headers in wire order; what was not parsed follows untouched. That of egress
// writes checksums: of the IPv4 header anew; of what is behind it from `residual`, so that a
// wrong one stays wrong and a fragment needs no reassembly (RFC 1624).

control IngressDeparser(packet_out pkt, inout headers_t hdr, in metadata_t meta,
                        in ingress_intrinsic_metadata_for_deparser_t dprsr) {
    @name("tcp_event_t") Digest<tcp_event_t>() tcp_event;
    @name("pinhole_hit_t") Digest<pinhole_hit_t>() pinhole_hit;
    apply {
        if (dprsr.digest_type == DIGEST_TCP) {
            tcp_event.pack({ meta.key.proto, meta.key.inside_addr, meta.key.inside_id,
                             meta.key.remote_addr, meta.key.remote_id, meta.tcp_flags,
                             meta.outbound, meta.established, meta.organisation });
        } else if (dprsr.digest_type == DIGEST_PINHOLE) {
            pinhole_hit.pack({ meta.key.proto, meta.key.inside_addr, meta.key.inside_id,
                               meta.key.remote_addr, meta.key.remote_id, meta.pinhole_id,
                               meta.organisation });
        }
        pkt.emit(hdr);
    }
}

control EgressDeparser(packet_out pkt, inout headers_t hdr, in egress_metadata_t meta,
                       in egress_intrinsic_metadata_for_deparser_t dprsr) {
    Checksum() ipv4_checksum;
    Checksum() tcp_checksum;
    Checksum() udp_checksum;
    Checksum() icmp_checksum;
    Checksum() inner_checksum;
    apply {
        if (meta.fix_ipv4 == 1) {
            hdr.ipv4.hdr_checksum = ipv4_checksum.update({ hdr.ipv4.version, hdr.ipv4.ihl,
                hdr.ipv4.tos, hdr.ipv4.total_len, hdr.ipv4.identification, hdr.ipv4.reserved,
                hdr.ipv4.dont_fragment, hdr.ipv4.more_fragments, hdr.ipv4.frag_offset,
                hdr.ipv4.ttl, hdr.ipv4.protocol, hdr.ipv4.src_addr, hdr.ipv4.dst_addr,
                hdr.option0.word, hdr.option1.word, hdr.option2.word, hdr.option3.word,
                hdr.option4.word });
        }
        if (meta.fix_tcp == 1) {
            hdr.tcp.checksum = tcp_checksum.update({ hdr.ipv4.src_addr, hdr.ipv4.dst_addr,
                hdr.tcp.src_port, hdr.tcp.dst_port, hdr.tcp.seq_no, hdr.tcp.ack_no,
                meta.residual });
        }
        if (meta.fix_udp == 1) {
            hdr.udp.checksum = udp_checksum.update({ hdr.ipv4.src_addr, hdr.ipv4.dst_addr,
                hdr.udp.src_port, hdr.udp.dst_port, meta.residual }, true);
        }
        if (meta.fix_inner == 1) {
            hdr.inner_ipv4.hdr_checksum = inner_checksum.update({ hdr.inner_ipv4.src_addr,
                hdr.inner_ipv4.dst_addr, meta.inner_residual });
        }
        if (meta.fix_icmp == 1) {
            // Inside an error, the change of an address and that of its header's checksum
            // cancel each other out; that of an identifier does not.
            hdr.icmp.checksum = icmp_checksum.update({ hdr.icmp.id, hdr.inner_l4.word0,
                hdr.inner_l4.word1, hdr.inner_l4.word2, hdr.inner_l4.word3, meta.residual });
        }
        pkt.emit(hdr.again);
        pkt.emit(hdr.packet_in);
        pkt.emit(hdr.ethernet);
        pkt.emit(hdr.vlan);
        pkt.emit(hdr.ipv4);
        pkt.emit(hdr.option0);
        pkt.emit(hdr.option1);
        pkt.emit(hdr.option2);
        pkt.emit(hdr.option3);
        pkt.emit(hdr.option4);
        pkt.emit(hdr.tcp);
        pkt.emit(hdr.udp);
        pkt.emit(hdr.icmp);
        pkt.emit(hdr.gre);
        pkt.emit(hdr.gre_call);
        pkt.emit(hdr.esp);
        pkt.emit(hdr.inner_ipv4);
        pkt.emit(hdr.inner_l4);
    }
}
