// Options: which IPv4 options may cross.
//
// Whoever names the way of a packet gets past what filters by its destination (RFC 7126 4.3),
// so that must not be hidden anywhere. One option may cross, of those that name no way: record
// route, timestamp, router alert; at most with a NOP in front, as ping sends it, and with three
// bytes of padding behind it, in which there is no room for another. Others drop DROP_OPTIONS.

control Options(in headers_t hdr, inout metadata_t meta) {
    apply {
        if (hdr.ipv4_options.isValid()) {
            bit<8> option = meta.option_one;
            bit<8> length = meta.option_two;
            bit<8> room = ((bit<8>)hdr.ipv4.ihl - 5) << 2;
            if (option == OPTION_NOP) {
                option = meta.option_two;
                length = meta.option_three;
                room = room - 1;
            }
            bool is_alone = room - length <= 3;   // one that is too long wraps around
            bool is_harmless = option == OPTION_RECORD_ROUTE || option == OPTION_TIMESTAMP
                               || option == OPTION_ROUTER_ALERT;
            if (option != OPTION_END && !(is_harmless && is_alone)) { meta.drop = DROP_OPTIONS; }
        }
    }
}
