// Leave: the frame as the next hop wants it: MAC addresses, VLAN tag, time to live.
//
// neighbour   next hop -> VLAN and MAC addresses. What of `next_hop` a packet needs only when
//             it leaves: so ingress need not hand it over.

control Leave(inout headers_t hdr, inout egress_metadata_t meta) {
    @id(0x1300001a)
    DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) neighbour_counter;

    @id(0x01000049)
    action set_frame(@id(2) bit<12> vlan_id, @id(3) @format(MAC_ADDRESS) mac_t src_mac,
                     @id(4) @format(MAC_ADDRESS) mac_t dst_mac) {
        hdr.ethernet.src_addr = src_mac;
        hdr.ethernet.dst_addr = dst_mac;
        hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
        meta.fix_ipv4 = 1;
        meta.egress_vlan = vlan_id;
        neighbour_counter.count();
    }
    @id(0x0100004a)
    action no_frame() { neighbour_counter.count(); }
    @id(0x0200001a)
    table neighbour {
        key = { hdr.bridge.next_hop : exact @id(1) @name("next_hop"); }
        actions = { set_frame; @defaultonly no_frame; }
        const default_action = no_frame;
        counters = neighbour_counter;
        size = SIZE_NEXT_HOP;
    }

    @hidden action remove_tag() {
        hdr.ethernet.ether_type = hdr.vlan.ether_type;
        hdr.vlan.setInvalid();
    }
    @hidden action add_tag() {
        hdr.vlan.setValid();
        hdr.vlan.pcp = 0;
        hdr.vlan.dei = 0;
        hdr.vlan.vlan_id = meta.egress_vlan;
        hdr.vlan.ether_type = hdr.ethernet.ether_type;
        hdr.ethernet.ether_type = ETHERTYPE_VLAN;
    }
    @hidden action change_tag() { hdr.vlan.vlan_id = meta.egress_vlan; }

    apply {
        neighbour.apply();
        if (meta.egress_vlan == 0) {
            if (hdr.vlan.isValid()) { remove_tag(); }
        } else if (hdr.vlan.isValid()) {
            change_tag();
        } else {
            add_tag();
        }
    }
}
