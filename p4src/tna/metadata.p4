// Headers and metadata of a packet in TNA: ingress and egress each have a structure of their
// own, and `bridge` is what the one tells the other.

// Ports inside the chip, of its first pipe.
#if __TARGET_TOFINO__ == 2
const PortId_t PORT_CPU = 2;
const PortId_t PORT_AGAIN = 6;
#else
const PortId_t PORT_CPU = 64;
const PortId_t PORT_AGAIN = 68;
#endif

header option_h { bit<32> word; }

// In front of a packet that goes round: what its first pass found out.
header again_h {
    bit<1>  has_ids;     // ids of a later fragment follow
    bit<1>  looked;      // they were looked for
    bit<1>  claimed;
    bit<1>  overflow;
    bit<1>  pad;
    bit<1>  hairpin;     // at the place of OUT_HAIRPIN: a parser cannot shift
    bit<2>  origin;
    bit<8>  slot;        // CLAIMED | way: a cell of that way is reserved
    bit<8>  session;
    bit<16> in_port;
    bit<16> src_id;
    bit<16> dst_id;
}
const bit<8> CLAIMED = 4;

// From ingress to egress; the compiler orders the fields.
@flexible header bridge_h {
    kind_t       kind;
    punt_t       punt;
    bit<8>       alg_id;
    bit<1>       hairpin;
    bit<1>       hairpins;
    origin_t     origin;
    side_t       side;
    bit<1>       translate;
    bit<1>       claimed;
    bit<1>       slot_hit;
    bit<2>       slot_way;
    bit<1>       live;
    bit<2>       session_way;
    bit<1>       in_session;
    bit<1>       is_icmp_error;
    bit<1>       opening;
    bit<1>       admitted;
    bit<1>       correct;         // TCP numbers
    bit<2>       mapping;
    PortId_t     in_port;
    ipv4_t       new_addr;
    flow_id_t    new_id;          // KIND_LOOK: both identifiers, 0: not known
    bit<32>      tag;
    bit<32>      who;
    bit<16>      session_remote;
    bit<8>       organisation;
    bit<32>      next_hop;
    bit<16>      server_id;
}

struct headers_t {
    bridge_h     bridge;
    packet_in_h  packet_in;
    again_h      again;
    packet_out_h packet_out;
    ethernet_h   ethernet;
    vlan_h       vlan;
    ipv4_h       ipv4;
    option_h     option0;         // 20 of 40 bytes: the egress parser sees no more
    option_h     option1;
    option_h     option2;
    option_h     option3;
    option_h     option4;
    tcp_h        tcp;
    udp_h        udp;
    icmp_h       icmp;
    gre_h        gre;
    gre_call_h   gre_call;
    esp_h        esp;
    ike_h        ike;
    ipv4_h       inner_ipv4;
    inner_l4_h   inner_l4;
}

// Beside those of shared/headers.p4: a later fragment goes round with its identifiers.
const kind_t KIND_LOOK = 5;

// Digests, as the deparser of ingress chooses them.
const bit<3> DIGEST_PINHOLE = 1;
const bit<3> DIGEST_TCP     = 2;

// A cell of a register array: two words of 32 bits, which is what one operation can reach.
struct cell_t {
    bit<32> low;
    bit<32> high;
}

// Ingress.
struct metadata_t {
    bit<1>        hairpin;
    bit<1>        overflow;
    PortId_t      in_port;        // a parser cannot widen it
    origin_t      origin;
    bit<1>        claimed;
    bit<1>        raw;            // a packet-out that leaves as it is
    bit<12>       vlan_id;

    // What the parser found.
    bit<1>        is_ipv4;
    bit<1>        is_arp;
    bit<1>        broadcast;
    bit<1>        bad_header;
    bit<1>        bad_checksum;
    bit<1>        bad_options;
    bit<8>        option_one;
    bit<8>        option_two;
    bit<8>        option_three;
    bit<1>        has_options;
    bit<1>        is_icmp_error;
    bit<1>        is_query;
    bit<1>        is_fragment;    // not the first one
    bit<1>        is_esp;
    bit<1>        is_gre;
    bit<1>        is_tcp_syn;
    bit<1>        has_ids;
    bit<1>        needs_ids;
    bit<1>        looked;
    bit<1>        opening;
    bit<1>        low_port;
    bit<1>        has_class;
    class_t       class;
    bit<16>       class_bits;     // the class at its place in the tag
    bit<16>       who_bits;       // ... and in `who`, with a bit of the remote id
    bit<8>        low_byte;       // of the identifier that is scrambled
    bit<8>        high_byte;
    bit<1>        parity;
    flow_key_t    key;

    // Each refusal has a bit of its own, so that the stages need not wait for each other.
    bit<8>        zone;
    side_t        side;
    mac_t         mac_change;     // 0: the packet is for the router of its zone
    bit<1>        no_zone;
    bit<1>        not_ours;
    bit<1>        bad_source;
    bit<1>        denied;
    bit<1>        is_local;
    bit<8>        organisation;

    bit<1>        translate;
    mapping_t     mapping;
    bit<1>        in_table;       // a table has a mapping
    bit<1>        managed;
    bit<1>        bare_mapping;   // ... of a whole address
    bit<1>        is_bare_gre;
    bit<1>        to_pool;
    ipv4_t        new_addr;
    flow_id_t     new_id;
    filter_mode_t filter_mode;
    subscriber_t  subscriber;
    bit<1>        has_number;
    bit<1>        has_block;
    ipv4_t        block_addr;
    bit<8>        block_organisation;
    subscriber_t  block_subscriber;
    bit<16>       scramble_low;
    bit<16>       scramble_high;
    bit<16>       port_base;
    bit<16>       port_odd;
    bit<16>       port_mask;
    bit<16>       salt;
    filter_mode_t slot_filter;

    bit<32>       tag;
    bit<32>       owner;          // inside id, 1
    bit<8>        slot_claim;
    bit<1>        hit0;
    bit<1>        hit1;
    bit<1>        hit2;
    bit<32>       found0;
    bit<32>       found1;
    bit<32>       found2;
    bit<1>        slot_hit;
    bit<2>        slot_way;

    bit<1>        in_session;
    bit<1>        live;
    bit<2>        session_way;
    bit<32>       who;            // inside id, class, subscriber
    bit<16>       session_remote; // remote id, or 0 where the filter does not look at it
    bit<8>        session_claim;
    bit<1>        a0;
    bit<1>        a1;
    bit<1>        a2;
    bit<1>        a3;
    bit<2>        pinhole;
    bit<1>        pinhole_taken;
    bit<32>       pinhole_id;
    bit<32>       pinhole_flow;
    bit<8>        pinhole_flows;
    bit<8>        pinhole_alg;
    bit<8>        alg_id;
    bit<8>        service_alg;
    bit<1>        served;
    bit<1>        for_alg;
    bit<1>        admitted;
    bit<8>        session_flags;
    bit<1>        correct;        // TCP numbers
    bit<16>       watch_room;     // how much shorter a datagram is than `watch_below`
    bit<16>       payload_len;
    flow_id_t     server_id;
    bit<8>        tcp_flags;
    bit<2>        report;
    bit<8>        established;
    bit<8>        outbound;

    ipv4_t        route_addr;
    bit<1>        routed;
    bit<1>        resolved;
    bit<32>       next_hop;
    bit<16>       mtu_excess;
    bit<16>       mtu;
    PortId_t      egress_port;

    bit<32>       stamp;
    bit<16>       found_src;      // identifiers of a later fragment
    bit<16>       found_dst;
    bit<32>       fragment_word;
    bit<1>        same_ends;
    bit<1>        fresh;

    kind_t        kind;
    punt_t        punt;
    drop_t        drop;
    bit<1>        hairpins;
}

// Egress.
struct egress_metadata_t {
    tick_t        now;
    tick_t        rested;         // now, less the time for which freed ports rest
    flow_key_t    key;
    flow_id_t     server_id;
    bit<1>        outbound;
    bit<8>        tcp_flags;

    // lifetime
    bit<2>        slot_op;        // LIFE_*
    bit<3>        session_op;
    bit<2>        phase_op;
    tick_t        slot_now;
    bit<32>       slot_operand;
    bit<32>       session_operand;
    bit<SESSION_BITS> cell;       // within its way
    bit<8>        event;
    bit<8>        event_open;
    bit<8>        reset;
    bit<8>        phase;
    tick_t        ttl;
    bit<2>        ttl_op;
    bit<1>        slot_won;       // a cell is reserved: of the way that was tried last
    bit<1>        session_won;
    bit<8>        slot_tried;     // CLAIMED | way
    bit<8>        session_tried;
    bit<1>        slot_alive;
    bit<1>        session_alive;
    bit<8>        claim_colour;
    drop_t        drop;

    // sequence
    bit<32>       out_position;
    bit<32>       out_before;
    bit<32>       out_after;
    bit<32>       in_position;
    bit<32>       in_before;
    bit<32>       in_after;
    bit<32>       distance;
    bit<32>       ack_distance;
    bit<1>        correct;

    // punt
    bit<1>        source_alg;
    bit<SOURCE_METER_BITS> source_hash;
    bit<8>        source_colour;
    bit<8>        port_colour;
    bit<8>        colour;

    // rewrite and leave
    bit<12>       egress_vlan;
    bit<16>       residual;
    bit<16>       inner_residual;
    bit<1>        fix_ipv4;
    bit<1>        fix_tcp;
    bit<1>        fix_udp;
    bit<1>        fix_icmp;
    bit<1>        fix_inner;
}
