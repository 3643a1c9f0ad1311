// Slot: the mapping of an endpoint that the switch made itself (RFC 4787 REQ-1), looked up
// in the registers. Bits 2..1 of an outside port are its way, bit 0 is the parity of the
// inside port (RFC 4787 REQ-4); the last way belongs to the controller.
//
// Outbound, the inside port names three neighbouring ports of the block, one a way; the
// mapping is the one whose cell says so. Inbound, the port names way and cell, and the cell
// the inside port. A mapping of the tables wins; its endpoint may have a slot nevertheless,
// whose time goes on as long as the mapping is used (lifetime.p4).

// One way of cells: tag; inside id and 1, so that what was found is never 0.
control SlotWay(in metadata_t meta, inout bit<1> hit, inout bit<32> found)
               (bit<2> way, bit<32> polynomial) {
    CRCPolynomial<bit<32>>(polynomial, true, false, false, 0xffffffff, 0) crc;
    Hash<bit<SLOT_BITS>>(HashAlgorithm_t.CUSTOM, crc) index;
    Register<cell_t, bit<SLOT_BITS>>(1 << SLOT_BITS, {0, 0}) cells;
    RegisterAction<cell_t, bit<SLOT_BITS>, bit<1>>(cells) own = {
        void apply(inout cell_t cell, out bit<1> same) {
            same = 0;
            if (cell.low == meta.tag && cell.high == meta.owner) { same = 1; }
        }
    };
    RegisterAction<cell_t, bit<SLOT_BITS>, bit<32>>(cells) find = {
        void apply(inout cell_t cell, out bit<32> owner) {
            owner = 0;
            if (cell.low == meta.tag) { owner = cell.high; }
        }
    };
    RegisterAction<cell_t, bit<SLOT_BITS>, bit<1>>(cells) claim = {
        void apply(inout cell_t cell, out bit<1> same) {
            cell.low = meta.tag;
            cell.high = meta.owner;
            same = 1;
        }
    };
    @hidden action find_own() { hit = own.execute(index.get({ meta.tag })); }
    @hidden action find_given() { found = find.execute(index.get({ meta.tag })); }
    @hidden action claim_slot() { hit = claim.execute(index.get({ meta.tag })); }
    @hidden action none() { }
    @hidden
    table access {
        key = {
            meta.has_block  : ternary;
            meta.has_class  : ternary;
            meta.side       : ternary;
            meta.slot_claim : ternary;
            meta.key.dst_id : ternary;
        }
        actions = { find_own; find_given; claim_slot; none; }
        const default_action = none;
        const entries = {
            (1, 1, SIDE_INSIDE, CLAIMED | (bit<8>)way, _)           : claim_slot();
            (1, 1, SIDE_INSIDE, _, _)                               : find_own();
            // The port itself names the way; a slice of it would split its containers.
            (1, 1, SIDE_OUTSIDE, _, (bit<32>)way << 1 &&& 32w6)     : find_given();
        }
        size = 4;
    }
    apply { access.apply(); }
}

control Slot(inout metadata_t meta) {
    Hash<bit<16>>(HashAlgorithm_t.XOR16) sum;
    Hash<bit<16>>(HashAlgorithm_t.XOR16) odd_sum;
    SlotWay(0, CRC_SLOT0) way0;
    SlotWay(1, CRC_SLOT1) way1;
    SlotWay(2, CRC_SLOT2) way2;

    @hidden action mask_port() {
        meta.scramble_low = meta.scramble_low & meta.port_mask;
        meta.scramble_high = meta.scramble_high & meta.port_mask;
        meta.salt = meta.salt & meta.port_mask;
        meta.tag[31:16] = meta.tag[31:16] | meta.class_bits;
    }
    // Bits 2..0 are way and parity: the mask clears them, and `port_odd` has parity 1. What is
    // hashed has no constants, with which the compiler ends.
    @hidden action even_port() {
        meta.tag[15:0] = sum.get({ meta.scramble_low, meta.scramble_high, meta.salt,
                                   meta.port_base });
    }
    @hidden action odd_port() {
        meta.tag[15:0] = odd_sum.get({ meta.scramble_low, meta.scramble_high, meta.salt,
                                       meta.port_odd });
    }
    @hidden action no_port() { }
    @hidden
    table own_port {
        key = { meta.parity : exact; }
        actions = { even_port; odd_port; @defaultonly no_port; }
        const default_action = no_port;
        const entries = {
            0 : even_port();
            1 : odd_port();
        }
        size = 2;
    }
    @hidden action given_port() {
        meta.tag[15:0] = meta.key.dst_id[15:0] & 0xfff9;
        meta.tag[31:16] = meta.tag[31:16] | meta.class_bits;
    }

    // What an endpoint is translated to, and whose it is.
    @hidden action by_static() {
        meta.mapping = MAPPING_STATIC;
        meta.who[15:0] = meta.who_bits | meta.subscriber;
    }
    @hidden action by_managed() {
        meta.mapping = MAPPING_MANAGED;
        meta.who[15:0] = meta.who_bits | meta.subscriber;
    }
    @hidden action by_static_in() {
        meta.mapping = MAPPING_STATIC;
        meta.who[15:0] = meta.who_bits | meta.subscriber;
        meta.who[31:16] = meta.new_id[15:0];
        meta.key.inside_addr = meta.new_addr;
        meta.key.inside_id = meta.new_id;
        meta.server_id = meta.new_id;
        meta.route_addr = meta.new_addr;
    }
    @hidden action by_managed_in() {
        meta.mapping = MAPPING_MANAGED;
        meta.who[15:0] = meta.who_bits | meta.subscriber;
        meta.who[31:16] = meta.new_id[15:0];
        meta.key.inside_addr = meta.new_addr;
        meta.key.inside_id = meta.new_id;
        meta.server_id = meta.new_id;
        meta.route_addr = meta.new_addr;
    }
    @hidden action by_slot(bit<16> way_bits) {
        meta.mapping = MAPPING_SLOT;
        meta.who[15:0] = meta.who_bits | meta.subscriber;
        meta.new_addr = meta.block_addr;
        meta.new_id[31:16] = 0;
        meta.new_id[15:0] = meta.tag[15:0] | way_bits;
    }
#define FOUND(cell) \
        meta.mapping = MAPPING_SLOT; \
        meta.who[31:16] = cell[31:16]; \
        meta.who[15:0] = meta.who_bits | meta.block_subscriber; \
        meta.organisation = meta.block_organisation; \
        meta.filter_mode = meta.slot_filter; \
        meta.new_addr = meta.block_addr; \
        meta.new_id[31:16] = 0; \
        meta.new_id[15:0] = cell[31:16]; \
        meta.key.inside_addr = meta.block_addr; \
        meta.key.inside_id[31:16] = 0; \
        meta.key.inside_id[15:0] = cell[31:16]; \
        meta.server_id[31:16] = 0; \
        meta.server_id[15:0] = cell[31:16]; \
        meta.route_addr = meta.block_addr;
    @hidden action by_cell0() { FOUND(meta.found0) }
    @hidden action by_cell1() { FOUND(meta.found1) }
    @hidden action by_cell2() { FOUND(meta.found2) }
    @hidden action unmapped() { meta.who[15:0] = meta.who_bits | meta.subscriber; }
    @hidden
    table resolve {
        key = {
            meta.translate     : ternary;
            meta.side          : ternary;
            meta.in_table      : ternary;
            meta.managed       : ternary;
            meta.hit0          : ternary;
            meta.hit1          : ternary;
            meta.hit2          : ternary;
            meta.found0[0:0]   : ternary;
            meta.found1[0:0]   : ternary;
            meta.found2[0:0]   : ternary;
        }
        actions = { by_static; by_managed; by_static_in; by_managed_in; by_slot; by_cell0;
                    by_cell1; by_cell2; unmapped; }
        const default_action = unmapped;
        const entries = {
            (0, _, _, _, _, _, _, _, _, _)            : unmapped();
            (_, SIDE_INSIDE, 1, 0, _, _, _, _, _, _)  : by_static();
            (_, SIDE_INSIDE, 1, 1, _, _, _, _, _, _)  : by_managed();
            (_, SIDE_OUTSIDE, 1, 0, _, _, _, _, _, _) : by_static_in();
            (_, SIDE_OUTSIDE, 1, 1, _, _, _, _, _, _) : by_managed_in();
            (_, SIDE_INSIDE, 0, _, 1, _, _, _, _, _)  : by_slot(0);
            (_, SIDE_INSIDE, 0, _, _, 1, _, _, _, _)  : by_slot(2);
            (_, SIDE_INSIDE, 0, _, _, _, 1, _, _, _)  : by_slot(4);
            (_, SIDE_OUTSIDE, 0, _, _, _, _, 1, _, _) : by_cell0();
            (_, SIDE_OUTSIDE, 0, _, _, _, _, _, 1, _) : by_cell1();
            (_, SIDE_OUTSIDE, 0, _, _, _, _, _, _, 1) : by_cell2();
        }
        size = 16;
    }
    // A slot of its own, or beneath a mapping of the tables: only the inside end knows the
    // latter, since of a port that a table has, the way need not be the switch's.
    @hidden action slot_is(bit<2> way) {
        meta.slot_hit = 1;
        meta.slot_way = way;
    }
    @hidden action no_slot() { }
    @hidden
    table which_slot {
        key = {
            meta.in_table      : ternary;
            meta.hit0          : ternary;
            meta.hit1          : ternary;
            meta.hit2          : ternary;
            meta.found0[0:0]   : ternary;
            meta.found1[0:0]   : ternary;
            meta.found2[0:0]   : ternary;
        }
        actions = { slot_is; no_slot; }
        const default_action = no_slot;
        const entries = {
            (_, 1, _, _, _, _, _) : slot_is(0);
            (_, _, 1, _, _, _, _) : slot_is(1);
            (_, _, _, 1, _, _, _) : slot_is(2);
            (0, _, _, _, 1, _, _) : slot_is(0);
            (0, _, _, _, _, 1, _) : slot_is(1);
            (0, _, _, _, _, _, 1) : slot_is(2);
        }
        size = 8;
    }
    @hidden action bare_gre() { meta.is_bare_gre = 1; }
    @hidden action numbered() { meta.has_number = 1; }
    @hidden action not_numbered() { }
    @hidden
    table number {
        key = {
            meta.in_table         : ternary;
            meta.side             : ternary;
            meta.subscriber       : ternary;
            meta.block_subscriber : ternary;
        }
        actions = { numbered; not_numbered; }
        const default_action = numbered;
        const entries = {
            (1, _, 0, _)            : not_numbered();
            (0, SIDE_INSIDE, 0, _)  : not_numbered();
            (0, SIDE_OUTSIDE, _, 0) : not_numbered();
        }
        size = 4;
    }

    apply {
        if (meta.side == SIDE_INSIDE) {
            mask_port();
            own_port.apply();
        } else {
            given_port();
        }
        way0.apply(meta, meta.hit0, meta.found0);
        way1.apply(meta, meta.hit1, meta.found1);
        way2.apply(meta, meta.hit2, meta.found2);
        resolve.apply();
        which_slot.apply();
        number.apply();
        if (meta.is_gre == 1 && meta.has_ids == 0 && meta.bare_mapping == 1) { bare_gre(); }
    }
}
