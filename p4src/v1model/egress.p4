// Egress: when and what. Cells are claimed and prolonged, then the packet is rewritten, and
// leaves: to its next hop, to the controller as it came, or round: as a hairpinned packet,
// which comes back from outside (RFC 4787 REQ-9), or as it came if no cell was free for its
// flow, so that ingress hands it to the controller.

control GatewayEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t std) {
    Lifetime() lifetime;
    Sequence() sequence;
    Rewrite() rewrite;
    Leave() leave;
    Punt() punt;

    apply {
        if (meta.kind != KIND_RAW) {
            if (meta.translate == 1) { lifetime.apply(hdr, meta); }
            if (meta.kind == KIND_PUNT) {
                punt.apply(hdr, meta);
            } else if (meta.lost == 1) {
                meta.overflow = 1;
                recirculate_preserving_field_list(1);
            } else if (meta.drop == DROP_NONE) {
                if (meta.translate == 1) {
                    if (hdr.tcp.isValid()) { sequence.apply(hdr, meta); }
                    rewrite.apply(hdr, meta);
                }
                if (meta.hairpins == 1) {
                    meta.hairpin = 1;
                    meta.overflow = 0;
                    recirculate_preserving_field_list(1);
                } else {
                    leave.apply(hdr, meta);
                }
            }
            if (meta.drop != DROP_NONE) {
                drop_counter.count((bit<32>)meta.drop);
                mark_to_drop(std);
            }
        }
    }
}
