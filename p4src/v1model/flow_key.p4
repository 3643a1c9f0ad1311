// Flow key: the normalised identity of a packet's flow, whatever its protocol.
//
// Only the first fragment of a datagram has ports. The switch remembers them here, and finds
// them here for the others, however close behind they are. What becomes of each fragment is
// decided in the stages that follow, as for every packet.

control FlowKey(in headers_t hdr, inout metadata_t meta) {
    bit<192> fragment0;
    bit<192> fragment1;
    bit<32>  fragment_index;
    bit<96>  fragment_key;
    bit<192> fragment;

    @id(0x01000003)
    action find_fragment() {
        fragment_cell.read(fragment0, fragment_index);
        fragment_cell.read(fragment1, fragment_index + FRAGMENT_CELLS);
        if (fragment0[191:96] == fragment_key && fragment0[31:0] >= meta.now) {
            meta.key.src_id = fragment0[95:64];
            meta.key.dst_id = fragment0[63:32];
            meta.has_ids = 1;
        } else if (fragment1[191:96] == fragment_key && fragment1[31:0] >= meta.now) {
            meta.key.src_id = fragment1[95:64];
            meta.key.dst_id = fragment1[63:32];
            meta.has_ids = 1;
        }
    }

    // Two ways: the second has the newest datagram, so that nobody can fill both for others.
    @id(0x01000044)
    action learn_fragment() {
        fragment = fragment_key ++ meta.key.src_id ++ meta.key.dst_id
            ++ (meta.now + FRAGMENT_TICKS);
        fragment_cell.read(fragment0, fragment_index);
        if (fragment0[191:96] == fragment_key || fragment0[31:0] < meta.now) {
            fragment_cell.write(fragment_index, fragment);
        } else {
            fragment_cell.write(fragment_index + FRAGMENT_CELLS, fragment);
        }
    }

    // The packet inside an ICMP error went the other way: its destination is
    // the flow's source (RFC 5508 section 4).
    @id(0x0100001f)
    action key_from_inner() {
        meta.is_icmp_error = 1;
        meta.key.proto = hdr.inner_ipv4.protocol;
        meta.key.src_addr = hdr.inner_ipv4.dst_addr;
        meta.key.dst_addr = hdr.inner_ipv4.src_addr;
    }

    apply {
        meta.key.proto = hdr.ipv4.protocol;
        meta.key.src_addr = hdr.ipv4.src_addr;
        meta.key.dst_addr = hdr.ipv4.dst_addr;
        if (hdr.tcp.isValid()) {
            meta.key.src_id = (flow_id_t)hdr.tcp.src_port;
            meta.key.dst_id = (flow_id_t)hdr.tcp.dst_port;
            meta.payload_len = hdr.ipv4.total_len - ((bit<16>)hdr.ipv4.ihl << 2)
                               - ((bit<16>)hdr.tcp.data_offset << 2);
            meta.has_ids = 1;
        } else if (hdr.udp.isValid()) {
            meta.key.src_id = (flow_id_t)hdr.udp.src_port;
            meta.key.dst_id = (flow_id_t)hdr.udp.dst_port;
            meta.has_ids = 1;
        } else if (hdr.inner_l4.isValid()) {
            key_from_inner();
            if (hdr.inner_ipv4.protocol == PROTO_TCP || hdr.inner_ipv4.protocol == PROTO_UDP) {
                meta.key.src_id = (flow_id_t)hdr.inner_l4.word1;
                meta.key.dst_id = (flow_id_t)hdr.inner_l4.word0;
                meta.has_ids = 1;
            } else if (hdr.inner_ipv4.protocol == PROTO_ICMP) {
                // The query id belongs to the end that is translated.
                if (meta.side == SIDE_INSIDE) {
                    meta.key.src_id = (flow_id_t)hdr.inner_l4.word2;
                } else {
                    meta.key.dst_id = (flow_id_t)hdr.inner_l4.word2;
                }
                meta.has_ids = 1;
            }
        } else if (hdr.icmp.isValid() && !hdr.inner_ipv4.isValid()) {
            if (meta.side == SIDE_INSIDE) {
                meta.key.src_id = (flow_id_t)hdr.icmp.id;
            } else {
                meta.key.dst_id = (flow_id_t)hdr.icmp.id;
            }
            meta.has_ids = 1;
        } else if (hdr.gre_call.isValid()) {
            // A call id names the call of the receiver (RFC 2637 4.1).
            meta.key.dst_id = CALL_FLAG | (flow_id_t)hdr.gre_call.call_id;
            meta.has_ids = 1;
        } else if (hdr.esp.isValid()) {
            // An SPI is the receiver's choice (RFC 4303 2.1).
            meta.key.dst_id = hdr.esp.spi;
            meta.has_ids = 1;
        }
        if (hdr.ipv4.frag_offset != 0
            || (hdr.ipv4.more_fragments == 1 && meta.has_ids == 1)) {
            fragment_key = FRAGMENT_KEY(meta.organisation, hdr.ipv4);
            hash(fragment_index, HashAlgorithm.crc32, 32w0, { fragment_key }, FRAGMENT_CELLS);
            if (hdr.ipv4.frag_offset != 0) { find_fragment(); } else { learn_fragment(); }
        } else if (meta.has_ids == 0 && hdr.ipv4.protocol != PROTO_GRE) {
            meta.drop = DROP_PROTOCOL;
        }
        if (meta.key.proto == PROTO_TCP) { meta.class = CLASS_TCP; }
        else if (meta.key.proto == PROTO_UDP) { meta.class = CLASS_UDP; }
        else if (meta.key.proto == PROTO_ICMP) { meta.class = CLASS_ICMP; }
        // Only a SYN begins a TCP flow (RFC 5382 REQ-2). A later fragment may overtake the first
        // one at the end of the pipeline, so that it begins what the first one does.
        if (hdr.tcp.isValid()) {
            if ((hdr.tcp.flags & (TCP_SYN | TCP_ACK | TCP_RST | TCP_FIN)) == TCP_SYN) {
                meta.opening = 1;
            }
        } else if (hdr.ipv4.frag_offset == 0 || meta.class != CLASS_TCP) {
            meta.opening = 1;
        }
    }
}
