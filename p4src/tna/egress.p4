// Egress: when and what. Cells are reserved and prolonged, then the packet is rewritten, and
// leaves: to its next hop, to the controller as it came, or round: as a hairpinned packet,
// which comes back from outside (RFC 4787 REQ-9); as one whose cells are reserved, or for
// which none was free; or as a later fragment with its identifiers.

control GatewayEgress(inout headers_t hdr, inout egress_metadata_t meta,
                      in egress_intrinsic_metadata_t std,
                      in egress_intrinsic_metadata_from_parser_t prsr,
                      inout egress_intrinsic_metadata_for_deparser_t dprsr,
                      inout egress_intrinsic_metadata_for_output_port_t port) {
    Lifetime() lifetime;
    Sequence() sequence;
    Rewrite() rewrite;
    Leave() leave;
    Punt() punt;

    // New plain flows a second, by subscriber.
    @id(0x14000002)
    Meter<bit<CLAIM_METER_BITS>>(1 << CLAIM_METER_BITS, MeterType_t.PACKETS) claim_meter;
    @id(0x12000003)
    Counter<bit<32>, bit<8>>((bit<32>)DROP_REASONS, CounterType_t.PACKETS_AND_BYTES) late_drop_counter;

    @hidden action from_inside() {
        meta.key.inside_addr = hdr.ipv4.src_addr;
        meta.key.inside_id[15:0] = hdr.tcp.src_port;
        meta.key.remote_addr = hdr.ipv4.dst_addr;
        meta.key.remote_id[15:0] = hdr.tcp.dst_port;
        meta.server_id[15:0] = hdr.bridge.server_id;
        meta.outbound = 1;
    }
    @hidden action from_outside() {
        meta.key.inside_addr = hdr.bridge.new_addr;
        meta.key.inside_id = hdr.bridge.new_id;
        meta.key.remote_addr = hdr.ipv4.src_addr;
        meta.key.remote_id[15:0] = hdr.tcp.src_port;
        meta.server_id[15:0] = hdr.bridge.server_id;
    }
    // The packet inside an error went the other way.
    @hidden action error_from_inside() { meta.key.remote_addr = hdr.inner_ipv4.src_addr; }
    @hidden action error_from_outside() { meta.key.remote_addr = hdr.inner_ipv4.dst_addr; }
    @hidden
    table orient {
        key = {
            hdr.bridge.side          : exact;
            hdr.bridge.is_icmp_error : exact;
        }
        actions = { from_inside; from_outside; error_from_inside; error_from_outside; }
        const entries = {
            (SIDE_INSIDE, 0)  : from_inside();
            (SIDE_OUTSIDE, 0) : from_outside();
            (SIDE_INSIDE, 1)  : error_from_inside();
            (SIDE_OUTSIDE, 1) : error_from_outside();
        }
        size = 4;
    }

    @hidden action measure_claim() {
        meta.claim_colour = claim_meter.execute(hdr.bridge.who[CLAIM_METER_BITS - 1:0]);
    }

    @hidden action again() {
        hdr.again.setValid();
        hdr.again.hairpin = hdr.bridge.hairpin;
        hdr.again.overflow = 0;
        hdr.again.has_ids = 0;
        hdr.again.looked = 0;
        hdr.again.origin = hdr.bridge.origin;
        hdr.again.claimed = 0;
        hdr.again.pad = 0;
        hdr.again.slot = 0;
        hdr.again.session = 0;
        hdr.again.in_port = (bit<16>)hdr.bridge.in_port;
        hdr.again.src_id = hdr.bridge.new_id[31:16];
        hdr.again.dst_id = hdr.bridge.new_id[15:0];
    }
    @hidden action again_claimed() {
        hdr.again.claimed = 1;
        hdr.again.slot = meta.slot_tried;
        hdr.again.session = meta.session_tried;
    }
    @hidden action again_overflow() { hdr.again.overflow = 1; }
    @hidden action again_hairpin() { hdr.again.hairpin = 1; }
    @hidden action again_with_ids() {
        hdr.again.looked = 1;
        hdr.again.has_ids = 1;
    }
    @hidden action again_without_ids() { hdr.again.looked = 1; }
    @hidden action too_many() { meta.drop = DROP_CLAIM_METER; }
    @hidden action nothing() { }
    @hidden
    table around {
        key = {
            hdr.bridge.kind      : ternary;
            meta.claim_colour    : ternary;
            meta.slot_op         : ternary;
            meta.slot_won        : ternary;
            meta.session_won     : ternary;
            hdr.bridge.new_id    : ternary;
        }
        actions = { again_claimed; again_overflow; again_hairpin; again_with_ids;
                    again_without_ids; too_many; nothing; }
        const default_action = again_hairpin;
        const entries = {
            (KIND_CLAIM, 3, _, _, _, _) : too_many();
            (KIND_CLAIM, _, _, _, 0, _) : again_overflow();
            (KIND_CLAIM, _, 3, 0, _, _) : again_overflow();
            (KIND_CLAIM, _, _, _, _, _) : again_claimed();
            (KIND_LOOK, _, _, _, _, 0)  : again_without_ids();
            (KIND_LOOK, _, _, _, _, _)  : again_with_ids();
        }
        size = 8;
    }

    @hidden action drop() {
        dprsr.drop_ctl = 1;
        late_drop_counter.count(meta.drop);
    }

    apply {
        if (hdr.bridge.kind != KIND_RAW) {
            orient.apply();
            if (hdr.bridge.translate == 1) { lifetime.apply(hdr, meta); }
            if (hdr.bridge.kind == KIND_PUNT) {
                punt.apply(hdr, meta);
            } else if (hdr.bridge.kind == KIND_FORWARD) {
                if (hdr.bridge.translate == 1) {
                    if (hdr.bridge.correct == 1) { sequence.apply(hdr, meta); }
                    rewrite.apply(hdr, meta);
                }
                if (hdr.bridge.hairpins == 0) { leave.apply(hdr, meta); }
            }
            if (hdr.bridge.kind == KIND_CLAIM) { measure_claim(); }
            if (hdr.bridge.kind == KIND_CLAIM || hdr.bridge.kind == KIND_LOOK
                || hdr.bridge.hairpins == 1) {
                again();
                around.apply();
            }
            if (meta.drop != DROP_NONE) { drop(); }
        }
        hdr.bridge.setInvalid();
    }
}
