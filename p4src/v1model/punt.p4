// Punt: the only way to the controller, metered per class, so that no kind of
// packet can crowd out another. The packet goes as it came.

control Punt(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    @id(0x14000001)
    meter((bit<32>)PUNT_CLASSES, MeterType.packets) punt_meter;
    @id(0x12000001)
    counter((bit<32>)PUNT_CLASSES, CounterType.packets_and_bytes) punt_counter;

    bit<2> colour;

    apply {
        colour = 0;
        punt_meter.execute_meter((bit<32>)meta.punt, colour);
        if (colour == 2) {
            meta.drop = DROP_METER;
        } else {
            punt_counter.count((bit<32>)meta.punt);
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = meta.in_port;
            hdr.packet_in.reason = meta.punt;
            hdr.packet_in.alg_id = meta.alg_id;
            hdr.packet_in.hairpin = (bit<8>)meta.hairpin;
            std.egress_spec = CPU_PORT;
        }
    }
}
