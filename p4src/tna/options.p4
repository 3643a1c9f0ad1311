// Options: which IPv4 options may cross.
//
// Whoever names the way of a packet gets past what filters by its destination (RFC 7126 4.3),
// so that must not be hidden anywhere. One option may cross, of those that name no way: record
// route, timestamp, router alert; at most with a NOP in front, as ping sends it, and with three
// bytes of padding behind it, in which there is no room for another. Others drop DROP_OPTIONS.
// More than 20 bytes of options do not fit the parsers: they are refused as well.

// An option of these lengths fills `words` words but for three bytes at most.
#define ALONE(words, option) \
    (words, option, 4 * (words - 5) - 3 .. 4 * (words - 5), _) : harmless()
#define AFTER_NOP(words, option) \
    (words, OPTION_NOP, option .. option, 4 * (words - 5) - 4 .. 4 * (words - 5) - 1) : harmless()
#define ONE(option) \
    ALONE(6, option); ALONE(7, option); ALONE(8, option); ALONE(9, option); ALONE(10, option); \
    AFTER_NOP(6, option); AFTER_NOP(7, option); AFTER_NOP(8, option); AFTER_NOP(9, option); \
    AFTER_NOP(10, option)

control Options(in headers_t hdr, inout metadata_t meta) {
    @hidden action harmless() { }
    @hidden action refused() { meta.bad_options = 1; }
    @hidden
    table options {
        key = {
            hdr.ipv4.ihl      : exact;
            meta.option_one   : exact;
            meta.option_two   : range;
            meta.option_three : range;
        }
        actions = { harmless; refused; }
        const default_action = refused;
        const entries = {
            ONE(OPTION_RECORD_ROUTE);
            ONE(OPTION_TIMESTAMP);
            ONE(OPTION_ROUTER_ALERT);
            (6, OPTION_END, _, _) : harmless();
            (7, OPTION_END, _, _) : harmless();
            (8, OPTION_END, _, _) : harmless();
            (9, OPTION_END, _, _) : harmless();
            (10, OPTION_END, _, _) : harmless();
        }
        size = 64;
    }

    apply {
        if (meta.has_options == 1) { options.apply(); }
    }
}
