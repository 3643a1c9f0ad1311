// Leave: the frame as the next hop wants it: MAC addresses, VLAN tag, time to live.

control Leave(inout headers_t hdr, in metadata_t meta) {
    apply {
        hdr.ipv4.ttl = hdr.ipv4.ttl - 1;
        hdr.ethernet.src_addr = meta.src_mac;
        hdr.ethernet.dst_addr = meta.dst_mac;
        if (meta.egress_vlan == 0) {
            if (hdr.vlan.isValid()) {
                hdr.ethernet.ether_type = hdr.vlan.ether_type;
                hdr.vlan.setInvalid();
            }
        } else {
            if (!hdr.vlan.isValid()) {
                hdr.vlan.setValid();
                hdr.vlan.pcp = 0;
                hdr.vlan.dei = 0;
                hdr.vlan.ether_type = hdr.ethernet.ether_type;
                hdr.ethernet.ether_type = ETHERTYPE_VLAN;
            }
            hdr.vlan.vlan_id = meta.egress_vlan;
        }
    }
}
