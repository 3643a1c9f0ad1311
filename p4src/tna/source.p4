// Source: which source addresses may come from a zone (RFC 2827, RFC 3704).
//
// source      (zone, longest prefix of the source) -> accept or refuse. An inside zone
//             accepts its network and what is routed behind it; an outside zone refuses
//             inside, loopback, multicast and the gateway's own addresses. Others drop
//             DROP_SOURCE. The second round of a hairpinned packet and packets from the
//             controller have been here before.

control Source(in headers_t hdr, inout metadata_t meta) {
    @id(0x13000012)
    DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) source_counter;

    @id(0x01000025)
    action accept_source() { source_counter.count(); }
    @id(0x01000026)
    action refuse_source() {
        meta.bad_source = 1;
        source_counter.count();
    }

    @id(0x02000012)
    table source {
        key = {
            meta.zone         : exact @id(1) @name("zone");
            hdr.ipv4.src_addr : lpm   @id(2) @name("src_addr") @format(IPV4_ADDRESS);
        }
        actions = { accept_source; refuse_source; }
        const default_action = refuse_source;
        counters = source_counter;
        size = SIZE_SOURCE;
    }

    apply {
        if (meta.origin == ORIGIN_WIRE && meta.hairpin == 0) { source.apply(); }
    }
}
