// Subscriber: an inside address and its block of outside ports (RFC 6888 REQ-13).
//
// subscriber    (inside address, organisation) -> number, outside address, block. The
//               controller writes it when the first packet of the address is punted
//               (PUNT_SUBSCRIBER), and takes it back when it has been idle long enough.
// block         (outside address, ports of the block as a prefix) -> whose it is
// scramble_low  byte of the inside port -> random number, and
// scramble_high likewise: their sum modulo 2 chooses ports in the block (RFC 6056). This
//               hash cannot be undone as a CRC can; the controller draws the numbers.
// pool          outside addresses of this gateway (hairpinning)
// gateway       no key: how long freed ports rest, and the filter of the switch's mappings
//
// A subscriber's number is in all its cells, and another one gets another: so cells of a
// block that changed hands match nothing any more. `salt` makes the ports of one subscriber
// tell nothing about those of another.

control Subscriber(inout metadata_t meta) {
    @id(0x13000013) DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) subscriber_counter;
    @id(0x13000014) DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) block_counter;
    @id(0x13000008) DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) pool_counter;

    @id(0x13000016) DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) scramble_low_counter;
    @id(0x13000017) DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) scramble_high_counter;
    @id(0x13000018) DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) gateway_counter;

    @id(0x01000027)
    action own_block(@id(1) subscriber_t subscriber,
                     @id(2) @format(IPV4_ADDRESS) ipv4_t outside_addr,
                     @id(3) bit<16> port_base, @id(4) bit<16> port_mask, @id(5) bit<16> salt) {
        meta.subscriber = subscriber;
        meta.tag[31:16] = subscriber;
        meta.block_addr = outside_addr;
        meta.port_base = port_base;
        meta.port_odd[15:3] = port_base[15:3];
        meta.port_odd[2:0] = 1;
        meta.port_mask[15:3] = port_mask[15:3];
        meta.salt = salt;
        meta.owner[31:16] = meta.key.src_id[15:0];
        meta.owner[15:0] = 1;
        meta.has_block = 1;
        subscriber_counter.count();
    }
    @id(0x01000028)
    action no_block(@id(1) subscriber_t subscriber) {
        meta.subscriber = subscriber;
        subscriber_counter.count();
    }
    @id(0x01000029)
    action no_subscriber() { subscriber_counter.count(); }
    @id(0x0100002a)
    action held_by(@id(1) subscriber_t subscriber,
                   @id(2) @format(IPV4_ADDRESS) ipv4_t inside_addr,
                   @id(3) bit<8> organisation) {
        meta.tag[31:16] = subscriber;
        meta.block_addr = inside_addr;
        meta.block_subscriber = subscriber;
        meta.block_organisation = organisation;
        meta.has_block = 1;
        block_counter.count();
    }
    @id(0x0100002b)
    action no_holder() { block_counter.count(); }
    @id(0x0100002c)
    action scramble(@id(1) bit<16> value) {
        meta.scramble_low = value;
        scramble_low_counter.count();
    }
    @id(0x01000047)
    action scramble_more(@id(1) bit<16> value) {
        meta.scramble_high = value;
        scramble_high_counter.count();
    }
    @id(0x0100000d)
    action in_pool() {
        meta.to_pool = 1;
        pool_counter.count();
    }
    @id(0x0100000e)
    action not_in_pool() { pool_counter.count(); }
    @id(0x0100002d)
    action set_gateway(@id(1) tick_t rest, @id(2) filter_mode_t filter_mode) {
        meta.slot_filter = filter_mode;
        gateway_counter.count();
    }

    @id(0x02000013)
    table subscriber {
        key = {
            meta.key.src_addr : exact @id(1) @name("inside_addr") @format(IPV4_ADDRESS);
            meta.organisation : exact @id(2) @name("organisation");
        }
        actions = { own_block; no_block; @defaultonly no_subscriber; }
        const default_action = no_subscriber;
        counters = subscriber_counter;
        idle_timeout = true;
        size = SIZE_SUBSCRIBER;
    }
    @id(0x02000014)
    table block {
        key = {
            meta.key.dst_addr : exact @id(1) @name("outside_addr") @format(IPV4_ADDRESS);
            meta.key.dst_id   : lpm   @id(2) @name("outside_id");
        }
        actions = { held_by; @defaultonly no_holder; }
        const default_action = no_holder;
        counters = block_counter;
        idle_timeout = true;
        size = SIZE_BLOCK;
    }
    @id(0x02000015)
    table scramble_low {
        key = { meta.low_byte : exact @id(1) @name("byte"); }
        actions = { scramble; @defaultonly NoAction; }
        const default_action = NoAction;
        counters = scramble_low_counter;
        size = SIZE_SCRAMBLE;
    }
    @id(0x02000016)
    table scramble_high {
        key = { meta.high_byte : exact @id(1) @name("byte"); }
        actions = { scramble_more; @defaultonly NoAction; }
        const default_action = NoAction;
        counters = scramble_high_counter;
        size = SIZE_SCRAMBLE;
    }
    @id(0x02000008)
    table pool {
        key = { meta.key.dst_addr : lpm @id(1) @name("addr") @format(IPV4_ADDRESS); }
        actions = { in_pool; @defaultonly not_in_pool; }
        const default_action = not_in_pool;
        counters = pool_counter;
        size = SIZE_POOL;
    }
    @id(0x02000018)
    table gateway {
        actions = { set_gateway; }
        default_action = set_gateway(0, 0);
        counters = gateway_counter;
        size = 1;
    }

    apply {
        gateway.apply();
        pool.apply();
        scramble_low.apply();
        scramble_high.apply();
        if (meta.side == SIDE_INSIDE) { subscriber.apply(); } else { block.apply(); }
    }
}
