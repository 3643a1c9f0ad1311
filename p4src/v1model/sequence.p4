// Sequence: TCP numbers of connections whose payload an ALG resized.
//
// sequence    per flow: position, delta before and after it, per direction.
//             seq follows the sender's own direction; ack names bytes of the
//             other direction, in the numbers their receiver saw.

control Sequence(in headers_t hdr, inout metadata_t meta) {
    @id(0x1300000d)
    direct_counter(CounterType.packets_and_bytes) sequence_counter;

    bit<32> own_pos;
    bit<32> own_before;
    bit<32> own_after;
    bit<32> peer_pos;
    bit<32> peer_before;
    bit<32> peer_after;
    bit<32> distance;

    @id(0x01000017)
    action correct(@id(1) bit<32> out_position, @id(2) bit<32> out_before,
                   @id(3) bit<32> out_after, @id(4) bit<32> in_position,
                   @id(5) bit<32> in_before, @id(6) bit<32> in_after) {
        own_pos     = meta.side == SIDE_INSIDE ? out_position : in_position;
        own_before  = meta.side == SIDE_INSIDE ? out_before : in_before;
        own_after   = meta.side == SIDE_INSIDE ? out_after : in_after;
        peer_pos    = meta.side == SIDE_INSIDE ? in_position : out_position;
        peer_before = meta.side == SIDE_INSIDE ? in_before : out_before;
        peer_after  = meta.side == SIDE_INSIDE ? in_after : out_after;
    }
    @id(0x01000018)
    action no_correction() {
        own_pos = 0; own_before = 0; own_after = 0;
        peer_pos = 0; peer_before = 0; peer_after = 0;
    }

    @id(0x0200000d)
    table sequence {
        key = {
            meta.key.proto       : exact @id(1) @name("proto");
            meta.key.inside_addr : exact @id(2) @name("inside_addr") @format(IPV4_ADDRESS);
            meta.key.inside_id   : exact @id(3) @name("inside_id");
            meta.key.remote_addr : exact @id(4) @name("remote_addr") @format(IPV4_ADDRESS);
            meta.key.remote_id   : exact @id(5) @name("remote_id");
            meta.organisation    : exact @id(6) @name("organisation");
        }
        actions = { correct; @defaultonly no_correction; }
        const default_action = no_correction;
        counters = sequence_counter;
        size = SIZE_SEQUENCE;
    }

    apply {
        meta.new_seq = hdr.tcp.seq_no;
        meta.new_ack = hdr.tcp.ack_no;
        if ((meta.session_flags & SESSION_CORRECT_SEQUENCE) != 0
            && (meta.out_flags & OUT_SEQUENCE_FINAL) == 0) {
            sequence.apply();
            // Serial number arithmetic (RFC 1982): the sign bit of the
            // difference tells before from after.
            distance = hdr.tcp.seq_no - own_pos;
            if (distance[31:31] == 0) {
                meta.new_seq = hdr.tcp.seq_no + own_after;
            } else {
                meta.new_seq = hdr.tcp.seq_no + own_before;
            }
            if ((hdr.tcp.flags & TCP_ACK) != 0) {
                distance = hdr.tcp.ack_no - peer_after - peer_pos;
                if (distance[31:31] == 0) {
                    meta.new_ack = hdr.tcp.ack_no - peer_after;
                } else {
                    meta.new_ack = hdr.tcp.ack_no - peer_before;
                }
            }
        }
    }
}
