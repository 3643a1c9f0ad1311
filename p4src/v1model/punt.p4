// Punt: the only way to the controller. The packet goes as it came. Three meters, each for
// packets of one class: of one source, of one port of the switch, and of one side; so that
// no host, no port with forged sources and no kind of packet can crowd out the others.

control Punt(inout headers_t hdr, inout metadata_t meta) {
    // Cell: 1 bit (packets of ALG sessions or not), hash of ingress port and source.
    @id(0x14000003)
    meter(2 << SOURCE_METER_BITS, MeterType.packets) source_meter;
    // Cell: ingress port, class.
    @id(0x14000004)
    meter(PORT_METER_PORTS * PUNT_CLASSES, MeterType.packets) port_meter;
    // Cell: side, class.
    @id(0x14000001)
    meter(2 * PUNT_CLASSES, MeterType.packets) punt_meter;
    @id(0x12000001)
    counter((bit<32>)PUNT_CLASSES, CounterType.packets_and_bytes) punt_counter;

    bit<2>  colour;
    bit<32> cell;

    apply {
        colour = 0;
        hash(cell, HashAlgorithm.crc32, 32w0, { meta.in_port, hdr.ipv4.src_addr },
             32w1 << SOURCE_METER_BITS);
        if (meta.punt == PUNT_ALG) { cell = cell | (32w1 << SOURCE_METER_BITS); }
        source_meter.execute_meter(cell, colour);
        if (colour == 2) {
            meta.drop = DROP_SOURCE_METER;
        } else {
            port_meter.execute_meter((bit<32>)meta.in_port[8:0] * PUNT_CLASSES
                                     + (bit<32>)meta.punt, colour);
            if (colour == 2) {
                meta.drop = DROP_PORT_METER;
            } else {
                punt_meter.execute_meter((bit<32>)meta.side * PUNT_CLASSES
                                         + (bit<32>)meta.punt, colour);
                if (colour == 2) { meta.drop = DROP_METER; }
            }
        }
        if (meta.drop == DROP_NONE) {
            punt_counter.count((bit<32>)meta.punt);
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = meta.in_port;
            hdr.packet_in.reason = meta.punt;
            hdr.packet_in.alg_id = meta.alg_id;
            hdr.packet_in.hairpin = (bit<8>)meta.hairpin;
            hdr.packet_in.mapped_id = meta.slot_alive == 1 ? meta.slot_port : 0;
        }
    }
}
