// Rewrite: carries out what the stages before decided. The deparser puts the checksums right,
// each from what changed: a wrong one stays wrong, a UDP checksum of zero stays zero
// (RFC 768), fragments need no reassembly.

control Rewrite(inout headers_t hdr, inout egress_metadata_t meta) {
#define SOURCE hdr.ipv4.src_addr = hdr.bridge.new_addr; meta.fix_ipv4 = 1;
#define DESTINATION hdr.ipv4.dst_addr = hdr.bridge.new_addr; meta.fix_ipv4 = 1;
    @hidden action tcp_out()  { SOURCE hdr.tcp.src_port = hdr.bridge.new_id[15:0]; meta.fix_tcp = 1; }
    @hidden action tcp_in()   { DESTINATION hdr.tcp.dst_port = hdr.bridge.new_id[15:0]; meta.fix_tcp = 1; }
    @hidden action udp_out()  { SOURCE hdr.udp.src_port = hdr.bridge.new_id[15:0]; meta.fix_udp = 1; }
    @hidden action udp_in()   { DESTINATION hdr.udp.dst_port = hdr.bridge.new_id[15:0]; meta.fix_udp = 1; }
    @hidden action bare_udp_out() { SOURCE hdr.udp.src_port = hdr.bridge.new_id[15:0]; }
    @hidden action bare_udp_in()  { DESTINATION hdr.udp.dst_port = hdr.bridge.new_id[15:0]; }
    @hidden action query_out() { SOURCE hdr.icmp.id = hdr.bridge.new_id[15:0]; meta.fix_icmp = 1; }
    @hidden action query_in()  { DESTINATION hdr.icmp.id = hdr.bridge.new_id[15:0]; meta.fix_icmp = 1; }
    @hidden action gre_in()   { DESTINATION hdr.gre_call.call_id = hdr.bridge.new_id[15:0]; }
    @hidden action esp_in()   { DESTINATION hdr.esp.spi = hdr.bridge.new_id; }
    @hidden action source()   { SOURCE }
    @hidden action destination() { DESTINATION }
    // A router inside that is not the flow's own end is hidden behind the same outside
    // address (RFC 5508 REQ-5).
#define ERROR_OUT SOURCE hdr.inner_ipv4.dst_addr = hdr.bridge.new_addr; \
        meta.fix_icmp = 1; meta.fix_inner = 1;
#define ERROR_IN DESTINATION hdr.inner_ipv4.src_addr = hdr.bridge.new_addr; \
        meta.fix_icmp = 1; meta.fix_inner = 1;
    @hidden action error_ports_out() { ERROR_OUT hdr.inner_l4.word1 = hdr.bridge.new_id[15:0]; }
    @hidden action error_ports_in()  { ERROR_IN hdr.inner_l4.word0 = hdr.bridge.new_id[15:0]; }
    @hidden action error_query_out() { ERROR_OUT hdr.inner_l4.word2 = hdr.bridge.new_id[15:0]; }
    @hidden action error_query_in()  { ERROR_IN hdr.inner_l4.word2 = hdr.bridge.new_id[15:0]; }
    @hidden action nothing() { }

    @hidden
    table rewrite {
        key = {
            hdr.bridge.side           : ternary;
            hdr.tcp.isValid()         : ternary;
            hdr.udp.isValid()         : ternary;
            hdr.udp.checksum          : ternary;
            hdr.icmp.isValid()        : ternary;
            hdr.inner_l4.isValid()    : ternary;
            hdr.inner_ipv4.protocol   : ternary;
            hdr.gre_call.isValid()    : ternary;
            hdr.esp.isValid()         : ternary;
        }
        actions = { tcp_out; tcp_in; udp_out; udp_in; bare_udp_out; bare_udp_in; query_out;
                    query_in; gre_in; esp_in; source; destination; error_ports_out;
                    error_ports_in; error_query_out; error_query_in; nothing; }
        const default_action = nothing;
        const entries = {
            (SIDE_INSIDE, true, _, _, _, _, _, _, _)               : tcp_out();
            (SIDE_OUTSIDE, true, _, _, _, _, _, _, _)              : tcp_in();
            (SIDE_INSIDE, _, true, 0, _, _, _, _, _)               : bare_udp_out();
            (SIDE_OUTSIDE, _, true, 0, _, _, _, _, _)              : bare_udp_in();
            (SIDE_INSIDE, _, true, _, _, _, _, _, _)               : udp_out();
            (SIDE_OUTSIDE, _, true, _, _, _, _, _, _)              : udp_in();
            (SIDE_INSIDE, _, _, _, _, true, PROTO_ICMP, _, _)      : error_query_out();
            (SIDE_OUTSIDE, _, _, _, _, true, PROTO_ICMP, _, _)     : error_query_in();
            (SIDE_INSIDE, _, _, _, _, true, _, _, _)               : error_ports_out();
            (SIDE_OUTSIDE, _, _, _, _, true, _, _, _)              : error_ports_in();
            (SIDE_INSIDE, _, _, _, true, _, _, _, _)               : query_out();
            (SIDE_OUTSIDE, _, _, _, true, _, _, _, _)              : query_in();
            (SIDE_OUTSIDE, _, _, _, _, _, _, true, _)              : gre_in();
            (SIDE_OUTSIDE, _, _, _, _, _, _, _, true)              : esp_in();
            (SIDE_INSIDE, _, _, _, _, _, _, _, _)                  : source();
            (SIDE_OUTSIDE, _, _, _, _, _, _, _, _)                 : destination();
        }
        size = 32;
    }

    apply { rewrite.apply(); }
}
