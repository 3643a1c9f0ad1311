// Zone: which side of the translation a packet comes from.
//
// port_zone   (port, VLAN id) -> zone, side, MAC of the router there, organisation.
//             Every port in use needs an entry; others drop DROP_NO_ZONE. An
//             organisation is an address realm; that of outside zones is 0.

control Zone(in headers_t hdr, inout metadata_t meta) {
    @id(0x13000001)
    DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) port_zone_counter;

    @id(0x01000001)
    action set_zone(@id(1) bit<8> zone, @id(2) side_t side,
                    @id(3) @format(MAC_ADDRESS) mac_t mac, @id(4) bit<8> organisation) {
        meta.zone = zone;
        meta.side = side;
        meta.mac_change = hdr.ethernet.dst_addr ^ mac;
        meta.organisation = organisation;
        port_zone_counter.count();
    }
    @id(0x01000002)
    action no_zone() {
        meta.no_zone = 1;
        port_zone_counter.count();
    }

    @id(0x02000001)
    table port_zone {
        key = {
            meta.in_port : exact @id(1) @name("port");
            meta.vlan_id : exact @id(2) @name("vlan_id");
        }
        actions = { set_zone; @defaultonly no_zone; }
        const default_action = no_zone;
        counters = port_zone_counter;
        size = SIZE_PORT_ZONE;
    }

    // Only ARP has a reason to come by broadcast (RFC 1812 5.3.4).
    @hidden action ours() { }
    @hidden action not_ours() { meta.not_ours = 1; }
    @hidden
    table receiver {
        key = {
            meta.mac_change       : ternary;
            hdr.ethernet.dst_addr : ternary;
            meta.is_arp           : ternary;
        }
        actions = { ours; not_ours; }
        const default_action = not_ours;
        const entries = {
            (0, _, _)              : ours();
            (_, 0xffffffffffff, 1) : ours();
        }
        size = 2;
    }

    // A packet that goes round comes from outside, whatever its port.
    @hidden action from_here() { meta.side = SIDE_OUTSIDE; }

    apply {
        if (meta.hairpin == 1) {
            from_here();
        } else {
            port_zone.apply();
            if (meta.origin == ORIGIN_WIRE) { receiver.apply(); }
        }
    }
}
