// Slot: the mapping of an endpoint that the switch made itself (RFC 4787 REQ-1), looked up
// in the registers. Bits 2..1 of an outside port are its way, bit 0 is the parity of the
// inside port (RFC 4787 REQ-4); the last way belongs to the controller.
//
// Outbound, the inside port names three neighbouring ports of the block, one a way; the
// mapping is the one whose cell says so. Inbound, the port names way and cell, and the cell
// the inside port. A mapping of the tables wins; its endpoint may have a slot nevertheless,
// whose time goes on as long as the mapping is used (lifetime.p4).

control Slot(inout metadata_t meta) {
    bit<48> cell0;
    bit<48> cell1;
    bit<48> cell2;
    bit<48> wanted;
    bit<2>  way;

    @id(0x0100002e)
    action found(in bit<2> in_way) {
        meta.slot_hit = 1;
        meta.slot_cell = meta.slot_index + ((bit<32>)in_way << SLOT_BITS);
        way = in_way;
    }
    @id(0x0100002f)
    action find_own() {
        wanted = meta.tag ++ meta.key.src_id[15:0];
        slot_cell.read(cell0, meta.slot_index);
        slot_cell.read(cell1, meta.slot_index + SLOT_CELLS);
        slot_cell.read(cell2, meta.slot_index + 2 * SLOT_CELLS);
        if (cell0 == wanted) { found(0); }
        else if (cell1 == wanted) { found(1); }
        else if (cell2 == wanted) { found(2); }
    }
    @id(0x01000030)
    action find_given() {
        slot_cell.read(cell0, meta.slot_index + ((bit<32>)way << SLOT_BITS));
        if (cell0[47:16] == meta.tag) { found(way); }
    }

    apply {
        way = 0;
        if (meta.has_block == 1 && meta.class != CLASS_NONE) {
            if (meta.side == SIDE_INSIDE) {
                meta.tag = meta.class ++ meta.subscriber[13:0]
                    ++ (meta.port_base | (meta.scramble & meta.port_mask & 0xfff8)
                        | (meta.key.src_id[15:0] & 1));
            } else {
                meta.tag[31:30] = meta.class;
                meta.tag[15:0] = meta.key.dst_id[15:0] & 0xfff9;
                way = meta.key.dst_id[2:1];
            }
            hash(meta.slot_index, HashAlgorithm.crc32, 32w0, { meta.tag }, SLOT_CELLS);
            if (meta.side == SIDE_INSIDE) {
                find_own();
                meta.slot_port = meta.tag[15:0] | ((bit<16>)way << 1);
                if (meta.slot_hit == 1 && meta.mapping == MAPPING_NONE) {
                    meta.mapping = MAPPING_SLOT;
                    meta.new_addr = meta.block_addr;
                    meta.new_id = (flow_id_t)meta.slot_port;
                }
            } else if (way != WAYS_SLOT) {
                find_given();
                if (meta.slot_hit == 1 && meta.mapping == MAPPING_NONE) {
                    meta.mapping = MAPPING_SLOT;
                    meta.new_addr = meta.block_addr;
                    meta.new_id = (flow_id_t)cell0[15:0];
                    meta.filter_mode = meta.slot_filter;
                } else if (meta.slot_hit == 1 && meta.new_id != (flow_id_t)cell0[15:0]) {
                    meta.slot_hit = 0;
                }
            }
        }
    }
}
