// Route: where a packet leaves, looked up on its final destination.
//
// route       (longest prefix, organisation) -> next hop; next hop 0: the neighbour has to
//             be resolved first (punted). A packet from inside is looked up in the
//             organisation it comes from, one to inside in that of its mapping.
// next_hop    port and MTU; MAC addresses and VLAN are in `neighbour` (leave.p4)

control Route(in headers_t hdr, inout metadata_t meta) {
    @id(0x1300000e) DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) route_counter;
    @id(0x1300000f) DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) next_hop_counter;

    @id(0x01000019)
    action via(@id(1) bit<32> next_hop) {
        meta.next_hop = next_hop;
        meta.routed = 1;
        route_counter.count();
    }
    @id(0x0100001a)
    action no_route() { route_counter.count(); }
    @id(0x0100001b)
    action leave(@id(1) bit<9> port, @id(5) bit<16> mtu) {
        meta.egress_port = port;
        meta.mtu = mtu;
        meta.resolved = 1;
        next_hop_counter.count();
    }
    @id(0x0100001c)
    action unresolved() { next_hop_counter.count(); }

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

    @hidden action measure() { meta.mtu_excess = hdr.ipv4.total_len |-| meta.mtu; }

    apply {
        route.apply();
        next_hop.apply();
        measure();
    }
}
