// Mapping: the mappings that tables hold (RFC 4787 REQ-1), one entry per mapping and
// direction: static ones, and those the controller made for ALGs and for what does not fit
// the registers. `managed` tells the latter, whose new flows are the controller's.
//
// map_out / map_in             endpoint <-> endpoint (NAPT, port forwards)
// addr_map_out / addr_map_in   address <-> address (1:1), ids unchanged
// ike_in                       (outside address, initiator's SPI) -> endpoint, for
//                              hosts that all keep port 500 outside

control Mapping(in headers_t hdr, inout metadata_t meta) {
    @id(0x13000004) DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) map_out_counter;
    @id(0x13000005) DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) addr_map_out_counter;
    @id(0x13000006) DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) map_in_counter;
    @id(0x13000007) DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) addr_map_in_counter;
    @id(0x13000011) DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) ike_in_counter;

// A direct counter is named in the action, so an action cannot serve two tables that count:
// each has its own by this text. `resolve` (slot.p4) makes of them what is written into the
// packet.
#define SET_INSIDE(counter) \
        meta.new_addr = inside_addr; \
        meta.new_id = inside_id; \
        meta.filter_mode = filter_mode; \
        meta.subscriber = subscriber; \
        meta.organisation = organisation; \
        meta.managed = managed; \
        meta.in_table = 1; \
        counter.count();

    @id(0x01000008)
    action set_outside(@id(1) @format(IPV4_ADDRESS) ipv4_t outside_addr,
                       @id(2) flow_id_t outside_id, @id(3) subscriber_t subscriber,
                       @id(4) bit<1> managed) {
        meta.new_addr = outside_addr;
        meta.new_id = outside_id;
        meta.subscriber = subscriber;
        meta.managed = managed;
        meta.in_table = 1;
        map_out_counter.count();
    }
    @id(0x01000009)
    action set_outside_addr(@id(1) @format(IPV4_ADDRESS) ipv4_t outside_addr,
                            @id(2) subscriber_t subscriber) {
        meta.new_addr = outside_addr;
        meta.new_id = meta.key.src_id;
        meta.subscriber = subscriber;
        meta.bare_mapping = 1;
        meta.in_table = 1;
        addr_map_out_counter.count();
    }
    @id(0x0100000a)
    action set_inside(@id(1) @format(IPV4_ADDRESS) ipv4_t inside_addr,
                      @id(2) flow_id_t inside_id, @id(3) filter_mode_t filter_mode,
                      @id(4) subscriber_t subscriber, @id(5) bit<8> organisation,
                      @id(6) bit<1> managed) { SET_INSIDE(map_in_counter) }
    @id(0x01000046)
    action set_ike_inside(@id(1) @format(IPV4_ADDRESS) ipv4_t inside_addr,
                          @id(2) flow_id_t inside_id, @id(3) filter_mode_t filter_mode,
                          @id(4) subscriber_t subscriber, @id(5) bit<8> organisation,
                          @id(6) bit<1> managed) { SET_INSIDE(ike_in_counter) }
    @id(0x0100000b)
    action set_inside_addr(@id(1) @format(IPV4_ADDRESS) ipv4_t inside_addr,
                           @id(2) filter_mode_t filter_mode, @id(3) subscriber_t subscriber,
                           @id(4) bit<8> organisation) {
        meta.new_addr = inside_addr;
        meta.new_id = meta.key.dst_id;
        meta.filter_mode = filter_mode;
        meta.subscriber = subscriber;
        meta.organisation = organisation;
        meta.bare_mapping = 1;
        meta.in_table = 1;
        addr_map_in_counter.count();
    }
    @id(0x0100000c)
    action not_mapped() { }

    @id(0x02000004)
    table map_out {
        key = {
            meta.key.proto    : exact @id(1) @name("proto");
            meta.key.src_addr : exact @id(2) @name("inside_addr") @format(IPV4_ADDRESS);
            meta.key.src_id   : exact @id(3) @name("inside_id");
            meta.organisation : exact @id(4) @name("organisation");
        }
        actions = { set_outside; @defaultonly not_mapped; }
        const default_action = not_mapped;
        counters = map_out_counter;
        size = SIZE_MAPPING;
    }
    @id(0x02000005)
    table addr_map_out {
        key = {
            meta.key.src_addr : exact @id(1) @name("inside_addr") @format(IPV4_ADDRESS);
            meta.organisation : exact @id(2) @name("organisation");
        }
        actions = { set_outside_addr; @defaultonly not_mapped; }
        const default_action = not_mapped;
        counters = addr_map_out_counter;
        size = SIZE_ADDR_MAP;
    }
    @id(0x02000006)
    table map_in {
        key = {
            meta.key.proto    : exact @id(1) @name("proto");
            meta.key.dst_addr : exact @id(2) @name("outside_addr") @format(IPV4_ADDRESS);
            meta.key.dst_id   : exact @id(3) @name("outside_id");
        }
        actions = { set_inside; @defaultonly not_mapped; }
        const default_action = not_mapped;
        counters = map_in_counter;
        size = SIZE_MAPPING;
    }
    @id(0x02000007)
    table addr_map_in {
        key = { meta.key.dst_addr : exact @id(1) @name("outside_addr") @format(IPV4_ADDRESS); }
        actions = { set_inside_addr; @defaultonly not_mapped; }
        const default_action = not_mapped;
        counters = addr_map_in_counter;
        size = SIZE_ADDR_MAP;
    }
    @id(0x02000011)
    table ike_in {
        key = {
            meta.key.dst_addr     : exact @id(1) @name("outside_addr") @format(IPV4_ADDRESS);
            hdr.ike.initiator_spi : exact @id(2) @name("initiator_spi");
        }
        actions = { set_ike_inside; @defaultonly not_mapped; }
        const default_action = not_mapped;
        counters = ike_in_counter;
        size = SIZE_IKE;
    }
    apply {
        if (meta.side == SIDE_INSIDE) {
            if (map_out.apply().miss) { addr_map_out.apply(); }
        } else {
            if (hdr.ike.isValid() && hdr.udp.dst_port == PORT_IKE) { ike_in.apply(); }
            if (meta.in_table == 0) {
                if (map_in.apply().miss) { addr_map_in.apply(); }
            }
        }
    }
}
