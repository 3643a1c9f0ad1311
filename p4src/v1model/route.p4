// Route: where a packet leaves, looked up on its final destination.
//
// route       (longest prefix, organisation) -> next hop; next hop 0: the neighbour has to
//             be resolved first (punted). A packet from inside is looked up in the
//             organisation it comes from, one to inside in that of its mapping.
// next_hop    port, VLAN, MAC addresses and MTU

control Route(in headers_t hdr, inout metadata_t meta) {
    @id(0x1300000e) direct_counter(CounterType.packets_and_bytes) route_counter;
    @id(0x1300000f) direct_counter(CounterType.packets_and_bytes) next_hop_counter;

    @id(0x01000019)
    action via(@id(1) bit<32> next_hop) { meta.next_hop = next_hop; }
    @id(0x0100001a)
    action no_route() { meta.punt = PUNT_NO_ROUTE; }
    @id(0x0100001b)
    action leave(@id(1) bit<9> port, @id(2) bit<12> vlan_id,
                 @id(3) @format(MAC_ADDRESS) mac_t src_mac,
                 @id(4) @format(MAC_ADDRESS) mac_t dst_mac, @id(5) bit<16> mtu) {
        meta.egress_port = port;
        meta.egress_vlan = vlan_id;
        meta.src_mac = src_mac;
        meta.dst_mac = dst_mac;
        meta.mtu = mtu;
    }
    @id(0x0100001c)
    action unresolved() { meta.next_hop = 0; }

    @id(0x0200000e)
    table route {
        key = {
            meta.route_addr   : lpm   @id(1) @name("addr") @format(IPV4_ADDRESS);
            meta.organisation : exact @id(2) @name("organisation");
        }
        actions = { via; @defaultonly no_route; }
        const default_action = no_route;
        counters = route_counter;
        size = SIZE_ROUTE;
    }
    @id(0x0200000f)
    table next_hop {
        key = { meta.next_hop : exact @id(1) @name("next_hop"); }
        actions = { leave; @defaultonly unresolved; }
        const default_action = unresolved;
        counters = next_hop_counter;
        size = SIZE_NEXT_HOP;
    }

    apply {
        // The controller tells the sender (RFC 1812 4.3.3.1), but nothing about an error.
        if (route.apply().miss) {
            if (meta.is_icmp_error == 1) {
                meta.punt = PUNT_NONE;
                meta.drop = DROP_NO_ROUTE;
            }
        } else {
            next_hop.apply();
            if (hdr.ipv4.ttl <= 1) {
                // Errors about errors do not exist (RFC 1812 4.3.2.7).
                if (meta.origin != ORIGIN_WIRE || meta.is_icmp_error == 1) {
                    meta.drop = DROP_TTL;
                } else {
                    meta.punt = PUNT_TTL;
                }
            } else if (meta.next_hop == 0) {
                meta.punt = PUNT_NEIGHBOUR;
            } else if (hdr.ipv4.total_len > meta.mtu) {
                meta.punt = PUNT_MTU;
            }
        }
    }
}
