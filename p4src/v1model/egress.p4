// Egress: VLAN tags as the next hop wants them, and the second round of
// hairpinned packets, which come back as packets from outside (RFC 4787 REQ-9).

control GatewayEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    apply {
        if (meta.recirculate == 1) {
            meta.hairpin = 1;
            recirculate_preserving_field_list(1);
        } else if (!hdr.packet_in.isValid() && hdr.ipv4.isValid()
                   && (meta.from_cpu == 0 || (meta.out_flags & OUT_PIPELINE) != 0)) {
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
}
