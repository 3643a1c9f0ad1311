// Flow key: the normalised identity of a packet's flow, whatever its protocol.
//
// fragment    (src, dst, protocol, identification) -> transport identifiers.
//             The controller installs it from the first fragment of a
//             datagram; fragments without it are punted (RFC 4787 REQ-14).

control FlowKey(in headers_t hdr, inout metadata_t meta) {
    @id(0x13000002)
    direct_counter(CounterType.packets_and_bytes) fragment_counter;

    @id(0x01000003)
    action set_ids(@id(1) flow_id_t src_id, @id(2) flow_id_t dst_id) {
        meta.key.src_id = src_id;
        meta.key.dst_id = dst_id;
        meta.has_ids = 1;
    }
    @id(0x01000004)
    action no_ids() { }

    @id(0x02000002)
    table fragment {
        key = {
            hdr.ipv4.src_addr       : exact @id(1) @name("src_addr") @format(IPV4_ADDRESS);
            hdr.ipv4.dst_addr       : exact @id(2) @name("dst_addr") @format(IPV4_ADDRESS);
            hdr.ipv4.protocol       : exact @id(3) @name("proto");
            hdr.ipv4.identification : exact @id(4) @name("ident");
        }
        actions = { set_ids; @defaultonly no_ids; }
        const default_action = no_ids;
        counters = fragment_counter;
        support_timeout = true;
        size = SIZE_FRAGMENT;
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
        if (hdr.ipv4.more_fragments == 1 || hdr.ipv4.frag_offset != 0) {
            meta.is_fragment = 1;
        }
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
        if (meta.is_fragment == 1) {
            if (fragment.apply().miss) {
                if (meta.from_cpu == 0) {
                    meta.punt = PUNT_FRAGMENT;
                } else if (hdr.ipv4.frag_offset != 0) {
                    meta.drop = DROP_FRAGMENT;
                }
            }
        } else if (meta.has_ids == 0 && hdr.ipv4.protocol != PROTO_GRE) {
            meta.drop = DROP_PROTOCOL;
        }
    }
}
