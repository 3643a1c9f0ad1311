// Punt: the only way to the controller. The packet goes as it came. Three meters, each for
// packets of one class: of one source, of one port of the switch, and of one side; so that
// no host, no port with forged sources and no kind of packet can crowd out the others. All
// three count every packet; a packet is dropped if one of them is red.

control Punt(inout headers_t hdr, inout egress_metadata_t meta) {
    // Cell: 1 bit (packets of ALG sessions or not), hash of ingress port and source.
    @id(0x14000003)
    Meter<bit<(SOURCE_METER_BITS + 1)>>(2 << SOURCE_METER_BITS, MeterType_t.PACKETS) source_meter;
    // Cell: ingress port, class.
    @id(0x14000004)
    Meter<bit<13>>(PORT_METER_PORTS * PUNT_CLASSES, MeterType_t.PACKETS) port_meter;
    // Cell: side, class.
    @id(0x14000001)
    Meter<bit<5>>(2 * PUNT_CLASSES, MeterType_t.PACKETS) punt_meter;
    @id(0x12000001)
    Counter<bit<32>, bit<4>>(PUNT_CLASSES, CounterType_t.PACKETS_AND_BYTES) punt_counter;

    CRCPolynomial<bit<32>>(CRC_SLOT0, true, false, false, 0xffffffff, 0) crc;
    Hash<bit<SOURCE_METER_BITS>>(HashAlgorithm_t.CUSTOM, crc) source;

    @hidden action nothing() { }
    @hidden action of_source(bit<1> alg) {
        meta.source_alg = alg;
        meta.source_hash = source.get({ hdr.bridge.in_port, hdr.ipv4.src_addr });
    }
    @hidden
    table source_cell {
        key = { hdr.bridge.punt : ternary; }
        actions = { of_source; @defaultonly nothing; }
        const default_action = nothing;
        const entries = {
            PUNT_ALG : of_source(1);
            _        : of_source(0);
        }
        size = 2;
    }
    @hidden action measure_source() {
        meta.source_colour = source_meter.execute(meta.source_alg ++ meta.source_hash);
    }
    @hidden action measure_port() {
        meta.port_colour = port_meter.execute(hdr.bridge.in_port ++ hdr.bridge.punt[3:0]);
    }
    @hidden action measure() {
        meta.colour = punt_meter.execute(hdr.bridge.side ++ hdr.bridge.punt[3:0]);
    }

    @hidden action refuse(drop_t reason) { meta.drop = reason; }
    @hidden action to_controller(bit<8> hairpin) {
        hdr.packet_in.setValid();
        hdr.packet_in.ingress_port = (bit<16>)hdr.bridge.in_port;
        hdr.packet_in.reason = hdr.bridge.punt;
        hdr.packet_in.alg_id = hdr.bridge.alg_id;
        hdr.packet_in.hairpin = hairpin;
        hdr.packet_in.mapped_id = 0;
        punt_counter.count(hdr.bridge.punt[3:0]);
    }
    @hidden
    table admit {
        key = {
            meta.source_colour : ternary;
            meta.port_colour   : ternary;
            meta.colour        : ternary;
            hdr.bridge.hairpin : ternary;
        }
        actions = { refuse; to_controller; @defaultonly nothing; }
        // An action that counts by an index cannot be the default.
        const default_action = nothing;
        const entries = {
            (3, _, _, _) : refuse(DROP_SOURCE_METER);
            (_, 3, _, _) : refuse(DROP_PORT_METER);
            (_, _, 3, _) : refuse(DROP_METER);
            (_, _, _, 1) : to_controller(1);
            (_, _, _, _) : to_controller(0);
        }
        size = 8;
    }
    @hidden action mapped(bit<16> way_bits) {
        hdr.packet_in.mapped_id = hdr.bridge.tag[15:0] | way_bits;
    }
    @hidden
    table mapped_id {
        key = {
            meta.slot_alive     : exact;
            hdr.bridge.slot_way : exact;
        }
        actions = { mapped; nothing; }
        const default_action = nothing;
        const entries = {
            (1, 0) : mapped(0);
            (1, 1) : mapped(2);
            (1, 2) : mapped(4);
        }
        size = 4;
    }

    apply {
        source_cell.apply();
        measure_source();
        measure_port();
        measure();
        admit.apply();
        mapped_id.apply();
    }
}
