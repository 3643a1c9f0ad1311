// Headers and metadata of a packet in v1model: one structure for ingress and egress.

header ipv4_options_h {
    varbit<320> options;
}

struct headers_t {
    packet_in_h    packet_in;
    packet_out_h   packet_out;
    ethernet_h     ethernet;
    vlan_h         vlan;
    ipv4_h         ipv4;
    ipv4_options_h ipv4_options;
    tcp_h          tcp;
    udp_h          udp;
    icmp_h         icmp;
    gre_h          gre;
    gre_call_h     gre_call;
    esp_h          esp;
    ike_h          ike;
    ipv4_h         inner_ipv4;
    ipv4_options_h inner_options;
    inner_l4_h     inner_l4;
}

struct metadata_t {
    // What survives when a packet goes round.
    @field_list(1) bit<1>  hairpin;
    @field_list(1) bit<1>  overflow;   // there was no free cell for its flow
    @field_list(1) bit<16> in_port;
    @field_list(1) tick_t  now;

    origin_t      origin;
    bit<8>        out_flags;
    bit<12>       vlan_id;
    bit<8>        zone;
    side_t        side;
    mac_t         router_mac;
    bit<8>        organisation;

    bit<8>        option_one;     // the first three bytes of the IPv4 options, if there are any
    bit<8>        option_two;
    bit<8>        option_three;

    bit<1>        is_icmp_error;
    bit<1>        has_ids;
    class_t       class;
    flow_key_t    key;

    // mapping and subscriber
    bit<1>        translate;
    mapping_t     mapping;
    bit<1>        whole_addr;    // of all identifiers of an address (1:1)
    bit<1>        to_pool;
    ipv4_t        new_addr;      // the translated end: address ...
    flow_id_t     new_id;        // ... and identifier
    filter_mode_t filter_mode;
    subscriber_t  subscriber;
    bit<1>        has_block;
    ipv4_t        block_addr;    // the other end's address, by subscriber or block
    bit<16>       scramble;
    bit<16>       port_base;
    bit<16>       port_mask;
    tick_t        rest;
    filter_mode_t slot_filter;

    // slot: the mapping in the registers
    bit<32>       tag;
    bit<32>       slot_index;    // cell of way 0
    bit<32>       slot_cell;     // the cell found
    bit<1>        slot_hit;
    bit<1>        slot_alive;
    bit<16>       slot_port;     // the outside port of that cell

    // session
    bit<1>        in_session;    // by the table
    bit<1>        live;          // by the registers
    bit<80>       session_key;
    bit<32>       session_index0;
    bit<32>       session_index1;
    bit<32>       session_index2;
    bit<32>       session_index3;
    bit<32>       session_cell;  // the cell found
    bit<2>        pinhole;       // PINHOLE_*
    bit<32>       pinhole_id;
    bit<8>        alg_id;
    bit<1>        served;        // an ALG serves what begins here
    bit<1>        for_alg;       // a packet of a session that its ALG reads
    bit<1>        opening;       // a packet that may begin a flow
    bit<1>        admitted;      // the filter lets such a packet in
    bit<8>        session_flags;
    bit<16>       watch_below;   // UDP length below which a datagram is short
    bit<16>       payload_len;

    // lifetime
    bit<8>        phase;
    tick_t        ttl;
    bit<2>        ttl_op;        // TTL_*
    bit<2>        opened;        // OPENED_*
    bit<1>        lost;          // no cell was free

    bit<32>       new_seq;
    bit<32>       new_ack;

    ipv4_t        route_addr;
    bit<32>       next_hop;
    bit<16>       mtu;
    bit<1>        hairpins;      // goes round, and comes back as a packet from outside
    bit<9>        egress_port;
    bit<12>       egress_vlan;
    mac_t         src_mac;
    mac_t         dst_mac;

    kind_t        kind;
    punt_t        punt;
    drop_t        drop;
}
