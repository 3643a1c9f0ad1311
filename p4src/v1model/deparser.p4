// Deparser: headers in wire order; what was not parsed follows untouched.

control PacketDeparser(packet_out pkt, in headers_t hdr) {
    apply {
        pkt.emit(hdr.packet_in);
        pkt.emit(hdr.ethernet);
        pkt.emit(hdr.vlan);
        pkt.emit(hdr.ipv4);
        pkt.emit(hdr.ipv4_options);
        pkt.emit(hdr.tcp);
        pkt.emit(hdr.udp);
        pkt.emit(hdr.icmp);
        pkt.emit(hdr.gre);
        pkt.emit(hdr.gre_call);
        pkt.emit(hdr.esp);
        pkt.emit(hdr.ike);
        pkt.emit(hdr.inner_ipv4);
        pkt.emit(hdr.inner_options);
        pkt.emit(hdr.inner_l4);
    }
}
