// Sequence: TCP numbers of connections whose payload an ALG resized.
//
// sequence    per flow: position, delta before and after it, per direction.
//             seq follows the sender's own direction; ack names bytes of the
//             other direction, in the numbers their receiver saw.

control Sequence(inout headers_t hdr, inout egress_metadata_t meta) {
    @id(0x1300000d)
    DirectCounter<bit<32>>(CounterType_t.PACKETS_AND_BYTES) sequence_counter;

    @id(0x01000017)
    action correct(@id(1) bit<32> out_position, @id(2) bit<32> out_before,
                   @id(3) bit<32> out_after, @id(4) bit<32> in_position,
                   @id(5) bit<32> in_before, @id(6) bit<32> in_after) {
        meta.out_position = out_position;
        meta.out_before = out_before;
        meta.out_after = out_after;
        meta.in_position = in_position;
        meta.in_before = in_before;
        meta.in_after = in_after;
        meta.correct = 1;
        sequence_counter.count();
    }
    @id(0x01000018)
    action no_correction() { sequence_counter.count(); }

    @id(0x0200000d)
    table sequence {
        key = {
            hdr.ipv4.protocol       : exact @id(1) @name("proto");
            meta.key.inside_addr    : exact @id(2) @name("inside_addr") @format(IPV4_ADDRESS);
            meta.key.inside_id      : exact @id(3) @name("inside_id");
            meta.key.remote_addr    : exact @id(4) @name("remote_addr") @format(IPV4_ADDRESS);
            meta.key.remote_id      : exact @id(5) @name("remote_id");
            hdr.bridge.organisation : exact @id(6) @name("organisation");
        }
        actions = { correct; @defaultonly no_correction; }
        const default_action = no_correction;
        counters = sequence_counter;
        size = SIZE_SEQUENCE;
    }

    @hidden action distances_out() {
        meta.distance = hdr.tcp.seq_no - meta.out_position;
        meta.ack_distance = hdr.tcp.ack_no - meta.in_after;
    }
    @hidden action distances_in() {
        meta.distance = hdr.tcp.seq_no - meta.in_position;
        meta.ack_distance = hdr.tcp.ack_no - meta.out_after;
    }
    @hidden action ack_from_in() { meta.ack_distance = meta.ack_distance - meta.in_position; }
    @hidden action ack_from_out() { meta.ack_distance = meta.ack_distance - meta.out_position; }
    @hidden action out_seq_after()  { hdr.tcp.seq_no = hdr.tcp.seq_no + meta.out_after; }
    @hidden action out_seq_before() { hdr.tcp.seq_no = hdr.tcp.seq_no + meta.out_before; }
    @hidden action in_seq_after()   { hdr.tcp.seq_no = hdr.tcp.seq_no + meta.in_after; }
    @hidden action in_seq_before()  { hdr.tcp.seq_no = hdr.tcp.seq_no + meta.in_before; }
    @hidden action in_ack_after()   { hdr.tcp.ack_no = hdr.tcp.ack_no - meta.in_after; }
    @hidden action in_ack_before()  { hdr.tcp.ack_no = hdr.tcp.ack_no - meta.in_before; }
    @hidden action out_ack_after()  { hdr.tcp.ack_no = hdr.tcp.ack_no - meta.out_after; }
    @hidden action out_ack_before() { hdr.tcp.ack_no = hdr.tcp.ack_no - meta.out_before; }

    apply {
        sequence.apply();
        if (meta.correct == 1) {
            // Serial number arithmetic (RFC 1982): the sign bit of the difference tells
            // before from after.
            if (hdr.bridge.side == SIDE_INSIDE) {
                distances_out();
                ack_from_in();
                if (meta.distance[31:31] == 0) { out_seq_after(); } else { out_seq_before(); }
                if (meta.tcp_flags[4:4] == 1) {
                    if (meta.ack_distance[31:31] == 0) { in_ack_after(); }
                    else { in_ack_before(); }
                }
            } else {
                distances_in();
                ack_from_out();
                if (meta.distance[31:31] == 0) { in_seq_after(); } else { in_seq_before(); }
                if (meta.tcp_flags[4:4] == 1) {
                    if (meta.ack_distance[31:31] == 0) { out_ack_after(); }
                    else { out_ack_before(); }
                }
            }
        }
    }
}
