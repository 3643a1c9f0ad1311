// Rewrite: carries out what the stages before decided. Transport checksums are
// updated incrementally (RFC 1624 eqn. 3): a wrong one stays wrong, a UDP
// checksum of zero stays zero (RFC 768), fragments need no reassembly.

control Rewrite(inout headers_t hdr, inout metadata_t meta) {
    bit<32> addr_delta;    // sum of ~old + new over the address
    bit<32> id_delta;      // ... over the identifier
    bit<32> acc;
    bit<16> old_csum;
    bit<16> new_id16;

    @id(0x01000020)
    action fold() {
        acc = (acc & 0xffff) + (acc >> 16);
        acc = (acc & 0xffff) + (acc >> 16);
        acc = (acc & 0xffff) + (acc >> 16);
    }
    @id(0x01000021)
    action sum_addr(in ipv4_t old_addr, in ipv4_t new_addr) {
        addr_delta = (bit<32>)(~old_addr[31:16]) + (bit<32>)(~old_addr[15:0])
                   + (bit<32>)new_addr[31:16] + (bit<32>)new_addr[15:0];
    }
    @id(0x01000022)
    action sum_id(in bit<16> old_id, in bit<16> new_id) {
        id_delta = (bit<32>)(~old_id) + (bit<32>)new_id;
    }

    apply {
        new_id16 = meta.new_id[15:0];
        // In an ICMP error the outer address follows the end it belongs to.
        bit<1> outbound = meta.side == SIDE_INSIDE ? 1w1 : 1w0;
        if (outbound == 1) {
            sum_addr(meta.key.src_addr, meta.new_addr);
            sum_id(meta.key.src_id[15:0], new_id16);
        } else {
            sum_addr(meta.key.dst_addr, meta.new_addr);
            sum_id(meta.key.dst_id[15:0], new_id16);
        }

        if (meta.is_icmp_error == 1) {
            // All changes inside the error also change its own checksum.
            bit<32> outer = (bit<32>)(~hdr.icmp.checksum);
            old_csum = hdr.inner_ipv4.hdr_checksum;
            acc = (bit<32>)(~old_csum) + addr_delta;
            fold();
            hdr.inner_ipv4.hdr_checksum = ~acc[15:0];
            outer = outer + addr_delta + (bit<32>)(~old_csum)
                  + (bit<32>)hdr.inner_ipv4.hdr_checksum + id_delta;
            if (hdr.inner_ipv4.protocol == PROTO_UDP && hdr.inner_l4.word3 != 0) {
                old_csum = hdr.inner_l4.word3;
                acc = (bit<32>)(~old_csum) + addr_delta + id_delta;
                fold();
                hdr.inner_l4.word3 = ~acc[15:0];
                if (hdr.inner_l4.word3 == 0) { hdr.inner_l4.word3 = 0xffff; }
                outer = outer + (bit<32>)(~old_csum) + (bit<32>)hdr.inner_l4.word3;
            } else if (hdr.inner_ipv4.protocol == PROTO_ICMP) {
                old_csum = hdr.inner_l4.word1;
                acc = (bit<32>)(~old_csum) + id_delta;
                fold();
                hdr.inner_l4.word1 = ~acc[15:0];
                outer = outer + (bit<32>)(~old_csum) + (bit<32>)hdr.inner_l4.word1;
            }
            acc = outer;
            fold();
            hdr.icmp.checksum = ~acc[15:0];
            if (outbound == 1) {
                hdr.inner_ipv4.dst_addr = meta.new_addr;
                if (hdr.inner_ipv4.protocol == PROTO_ICMP) {
                    hdr.inner_l4.word2 = new_id16;
                } else {
                    hdr.inner_l4.word1 = new_id16;
                }
                // A router inside that is not the flow's own end is hidden
                // behind the same outside address (RFC 5508 REQ-5).
                hdr.ipv4.src_addr = meta.new_addr;
            } else {
                hdr.inner_ipv4.src_addr = meta.new_addr;
                if (hdr.inner_ipv4.protocol == PROTO_ICMP) {
                    hdr.inner_l4.word2 = new_id16;
                } else {
                    hdr.inner_l4.word0 = new_id16;
                }
                hdr.ipv4.dst_addr = meta.new_addr;
            }
        } else {
            if (hdr.tcp.isValid()) {
                acc = (bit<32>)(~hdr.tcp.checksum) + addr_delta + id_delta
                    + (bit<32>)(~hdr.tcp.seq_no[31:16]) + (bit<32>)(~hdr.tcp.seq_no[15:0])
                    + (bit<32>)meta.new_seq[31:16] + (bit<32>)meta.new_seq[15:0]
                    + (bit<32>)(~hdr.tcp.ack_no[31:16]) + (bit<32>)(~hdr.tcp.ack_no[15:0])
                    + (bit<32>)meta.new_ack[31:16] + (bit<32>)meta.new_ack[15:0];
                fold();
                hdr.tcp.checksum = ~acc[15:0];
                hdr.tcp.seq_no = meta.new_seq;
                hdr.tcp.ack_no = meta.new_ack;
                if (outbound == 1) { hdr.tcp.src_port = new_id16; }
                else { hdr.tcp.dst_port = new_id16; }
            } else if (hdr.udp.isValid()) {
                if (hdr.udp.checksum != 0) {
                    acc = (bit<32>)(~hdr.udp.checksum) + addr_delta + id_delta;
                    fold();
                    hdr.udp.checksum = ~acc[15:0];
                    if (hdr.udp.checksum == 0) { hdr.udp.checksum = 0xffff; }
                }
                if (outbound == 1) { hdr.udp.src_port = new_id16; }
                else { hdr.udp.dst_port = new_id16; }
            } else if (hdr.icmp.isValid()) {
                acc = (bit<32>)(~hdr.icmp.checksum) + id_delta;
                fold();
                hdr.icmp.checksum = ~acc[15:0];
                hdr.icmp.id = new_id16;
            } else if (hdr.gre_call.isValid() && outbound == 0) {
                hdr.gre_call.call_id = new_id16;
            } else if (hdr.esp.isValid() && outbound == 0) {
                hdr.esp.spi = meta.new_id;
            }
            if (outbound == 1) { hdr.ipv4.src_addr = meta.new_addr; }
            else { hdr.ipv4.dst_addr = meta.new_addr; }
        }
    }
}
