// Flow key: the normalised identity of a packet's flow, whatever its protocol. The parser
// writes it; here it is put right for ICMP errors.
//
// Only the first fragment of a datagram has ports. The switch remembers them here. A later
// fragment looks for them here and goes round with them, so that in its second pass it has a
// key from the start like any other packet.

// 15.7 s in units of 2^16 ns.
#define FRAGMENT_STAMPS 240000

control FlowKey(in headers_t hdr, inout metadata_t meta) {
    CRCPolynomial<bit<32>>(CRC_SLOT0, true, false, false, 0xffffffff, 0) crc;
    Hash<bit<FRAGMENT_BITS>>(HashAlgorithm_t.CUSTOM, crc) ends_index;
    Hash<bit<FRAGMENT_BITS>>(HashAlgorithm_t.CUSTOM, crc) src_index;
    Hash<bit<FRAGMENT_BITS>>(HashAlgorithm_t.CUSTOM, crc) dst_index;
    Hash<bit<FRAGMENT_BITS>>(HashAlgorithm_t.CUSTOM, crc) time_index;

    Register<cell_t, bit<FRAGMENT_BITS>>(1 << FRAGMENT_BITS, {0, 0}) fragment_ends;
    RegisterAction<cell_t, bit<FRAGMENT_BITS>, bit<1>>(fragment_ends) learn_ends = {
        void apply(inout cell_t cell, out bit<1> same) {
            same = 0;
            cell.low = hdr.ipv4.src_addr;
            cell.high = hdr.ipv4.dst_addr;
        }
    };
    RegisterAction<cell_t, bit<FRAGMENT_BITS>, bit<1>>(fragment_ends) find_ends = {
        void apply(inout cell_t cell, out bit<1> same) {
            same = 0;
            if (cell.low == hdr.ipv4.src_addr && cell.high == hdr.ipv4.dst_addr) { same = 1; }
        }
    };
    // One operation returns one word, so each end's identifier has an array.
    Register<bit<16>, bit<FRAGMENT_BITS>>(1 << FRAGMENT_BITS, 0) fragment_src;
    RegisterAction<bit<16>, bit<FRAGMENT_BITS>, bit<16>>(fragment_src) learn_src = {
        void apply(inout bit<16> id) { id = meta.key.src_id[15:0]; }
    };
    RegisterAction<bit<16>, bit<FRAGMENT_BITS>, bit<16>>(fragment_src) find_src = {
        void apply(inout bit<16> id, out bit<16> found) { found = id; }
    };
    Register<bit<16>, bit<FRAGMENT_BITS>>(1 << FRAGMENT_BITS, 0) fragment_dst;
    RegisterAction<bit<16>, bit<FRAGMENT_BITS>, bit<16>>(fragment_dst) learn_dst = {
        void apply(inout bit<16> id) { id = meta.key.dst_id[15:0]; }
    };
    RegisterAction<bit<16>, bit<FRAGMENT_BITS>, bit<16>>(fragment_dst) find_dst = {
        void apply(inout bit<16> id, out bit<16> found) { found = id; }
    };
    // The time is the chip's own here: it need not last longer than a datagram.
    Register<cell_t, bit<FRAGMENT_BITS>>(1 << FRAGMENT_BITS, {0, 0}) fragment_time;
    RegisterAction<cell_t, bit<FRAGMENT_BITS>, bit<1>>(fragment_time) learn_time = {
        void apply(inout cell_t cell) {
            cell.low = meta.stamp;
            cell.high = meta.fragment_word;
        }
    };
    RegisterAction<cell_t, bit<FRAGMENT_BITS>, bit<1>>(fragment_time) find_time = {
        void apply(inout cell_t cell, out bit<1> fresh) {
            fresh = 0;
            if (meta.stamp - cell.low < FRAGMENT_STAMPS && cell.high == meta.fragment_word) {
                fresh = 1;
            }
        }
    };

    @hidden action learn_fragment_ends() {
        learn_ends.execute(ends_index.get({ meta.organisation, hdr.ipv4.src_addr,
            hdr.ipv4.dst_addr, hdr.ipv4.protocol, hdr.ipv4.identification }));
    }
    @hidden action find_fragment_ends() {
        meta.same_ends = find_ends.execute(ends_index.get({ meta.organisation,
            hdr.ipv4.src_addr, hdr.ipv4.dst_addr, hdr.ipv4.protocol,
            hdr.ipv4.identification }));
    }
    @hidden action learn_fragment_src() {
        learn_src.execute(src_index.get({ meta.organisation,
            hdr.ipv4.src_addr, hdr.ipv4.dst_addr, hdr.ipv4.protocol,
            hdr.ipv4.identification }));
    }
    @hidden action find_fragment_src() {
        meta.found_src = find_src.execute(src_index.get({ meta.organisation,
            hdr.ipv4.src_addr, hdr.ipv4.dst_addr, hdr.ipv4.protocol,
            hdr.ipv4.identification }));
    }
    @hidden action learn_fragment_dst() {
        learn_dst.execute(dst_index.get({ meta.organisation,
            hdr.ipv4.src_addr, hdr.ipv4.dst_addr, hdr.ipv4.protocol,
            hdr.ipv4.identification }));
    }
    @hidden action find_fragment_dst() {
        meta.found_dst = find_dst.execute(dst_index.get({ meta.organisation,
            hdr.ipv4.src_addr, hdr.ipv4.dst_addr, hdr.ipv4.protocol,
            hdr.ipv4.identification }));
    }
    @hidden action learn_fragment_time() {
        learn_time.execute(time_index.get({ meta.organisation, hdr.ipv4.src_addr,
            hdr.ipv4.dst_addr, hdr.ipv4.protocol, hdr.ipv4.identification }));
    }
    @hidden action find_fragment_time() {
        meta.fresh = find_time.execute(time_index.get({ meta.organisation,
            hdr.ipv4.src_addr, hdr.ipv4.dst_addr, hdr.ipv4.protocol,
            hdr.ipv4.identification }));
    }
    @hidden action fragment_words() {
        meta.fragment_word = meta.organisation ++ hdr.ipv4.protocol ++ hdr.ipv4.identification;
    }

    // The packet inside an ICMP error went the other way: its destination is the flow's
    // source (RFC 5508 section 4). Identifiers go by way of the hash: a plain copy would tie
    // the headers' containers to those of every other identifier.
    @hidden action key_from_ports() {
        meta.key.proto = hdr.inner_ipv4.protocol;
        meta.key.src_addr = hdr.inner_ipv4.dst_addr;
        meta.key.dst_addr = hdr.inner_ipv4.src_addr;
        @in_hash { meta.key.src_id[15:0] = hdr.inner_l4.word1; }
        @in_hash { meta.key.dst_id[15:0] = hdr.inner_l4.word0; }
    }
    @hidden action key_from_query() {
        meta.key.proto = hdr.inner_ipv4.protocol;
        meta.key.src_addr = hdr.inner_ipv4.dst_addr;
        meta.key.dst_addr = hdr.inner_ipv4.src_addr;
        @in_hash { meta.key.src_id[15:0] = hdr.inner_l4.word2; }
        @in_hash { meta.key.dst_id[15:0] = hdr.inner_l4.word2; }
    }

    // How many bytes follow the TCP header. Action data can be added only, so these are
    // negative.
    @hidden action payload(bit<16> headers) { meta.payload_len = hdr.ipv4.total_len + headers; }
    @hidden action bad_offset() { meta.bad_header = 1; }
#define AFTER(words, offset) (words, offset) : payload(65536 - 4 * (words + offset))
#define OFFSETS(words) AFTER(words, 5); AFTER(words, 6); AFTER(words, 7); AFTER(words, 8); \
        AFTER(words, 9); AFTER(words, 10); AFTER(words, 11); AFTER(words, 12); \
        AFTER(words, 13); AFTER(words, 14); AFTER(words, 15)
    @hidden
    table length {
        key = {
            hdr.ipv4.ihl        : exact;
            hdr.tcp.data_offset : exact;
        }
        actions = { payload; bad_offset; }
        const default_action = bad_offset;
        const entries = {
            OFFSETS(5); OFFSETS(6); OFFSETS(7); OFFSETS(8); OFFSETS(9); OFFSETS(10);
        }
        size = 66;
    }

    @hidden action call() { meta.key.dst_id[31:16] = 1; }   // CALL_FLAG

    apply {
        if (hdr.gre_call.isValid()) { call(); }
        if (hdr.inner_l4.isValid()) {
            if (meta.is_query == 1) { key_from_query(); } else { key_from_ports(); }
        }
        if (hdr.tcp.isValid()) { length.apply(); }
        fragment_words();
        if (meta.is_fragment == 1 && meta.looked == 0) {
            find_fragment_ends();
            find_fragment_src();
            find_fragment_dst();
            find_fragment_time();
        } else if (hdr.ipv4.more_fragments == 1 && meta.is_fragment == 0 && meta.has_class == 1
                   && meta.is_icmp_error == 0) {
            learn_fragment_ends();
            learn_fragment_src();
            learn_fragment_dst();
            learn_fragment_time();
        }
    }
}
