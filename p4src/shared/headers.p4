// Headers on the wire, the flow key, and the values of metadata: the same for every architecture.
#ifndef P4ALG_HEADERS
#define P4ALG_HEADERS

#include "constants.p4"

typedef bit<48> mac_t;
typedef bit<32> ipv4_t;
typedef bit<32> flow_id_t;   // port, ICMP query id, GRE call id (with CALL_FLAG), ESP SPI

@controller_header("packet_in")
header packet_in_h {
    bit<16> ingress_port;
    bit<8>  reason;      // punt_t
    bit<8>  alg_id;      // 0: none
    bit<8>  hairpin;     // 1: second pass, source already translated
    bit<16> mapped_id;   // outside port the switch has for the sender's endpoint; 0: none
}

@controller_header("packet_out")
header packet_out_h {
    bit<16> port;        // ingress port with OUT_PIPELINE, else egress port
    bit<8>  flags;       // OUT_*
}

header ethernet_h {
    mac_t   dst_addr;
    mac_t   src_addr;
    bit<16> ether_type;
}

header vlan_h {
    bit<3>  pcp;
    bit<1>  dei;
    bit<12> vlan_id;
    bit<16> ether_type;
}

header ipv4_h {
    bit<4>  version;
    bit<4>  ihl;
    bit<8>  tos;
    bit<16> total_len;
    bit<16> identification;
    bit<1>  reserved;
    bit<1>  dont_fragment;
    bit<1>  more_fragments;
    bit<13> frag_offset;
    bit<8>  ttl;
    bit<8>  protocol;
    bit<16> hdr_checksum;
    ipv4_t  src_addr;
    ipv4_t  dst_addr;
}

header tcp_h {
    bit<16> src_port;
    bit<16> dst_port;
    bit<32> seq_no;
    bit<32> ack_no;
    bit<4>  data_offset;
    bit<4>  reserved;
    bit<8>  flags;
    bit<16> window;
    bit<16> checksum;
    bit<16> urgent_ptr;
}

header udp_h {
    bit<16> src_port;
    bit<16> dst_port;
    bit<16> length;
    bit<16> checksum;
}

header icmp_h {
    bit<8>  type;
    bit<8>  code;
    bit<16> checksum;
    bit<16> id;          // queries: identifier; errors: unused or pointer
    bit<16> seq;         // queries: sequence; frag-needed: next-hop MTU
}

// The first eight bytes of the transport header inside an ICMP error: all that
// RFC 792 promises. For UDP the last two are the checksum; for ICMP `word1` is.
header inner_l4_h {
    bit<16> word0;       // source port; ICMP: type and code
    bit<16> word1;       // destination port; ICMP: checksum
    bit<16> word2;       // ICMP: identifier
    bit<16> word3;       // UDP: checksum
}

header gre_h {
    bit<16> flags_version;
    bit<16> protocol;
}

// RFC 2637 section 4.1: what follows in enhanced (version 1) GRE.
header gre_call_h {
    bit<16> payload_len;
    bit<16> call_id;
}

header esp_h {
    bit<32> spi;
    bit<32> seq;
}

// RFC 7296 section 3.1: how an IKE header begins. The initiator's SPI (the
// cookie of IKEv1) tells exchanges apart whose ports are the same.
header ike_h {
    bit<64> initiator_spi;
}

// The normalised flow key: every table keys on these fields, never on a header.
struct flow_key_t {
    bit<8>    proto;
    ipv4_t    src_addr;
    flow_id_t src_id;
    ipv4_t    dst_addr;
    flow_id_t dst_id;
    // The same flow by its ends, whichever of them sent the packet.
    ipv4_t    inside_addr;
    flow_id_t inside_id;
    ipv4_t    remote_addr;
    flow_id_t remote_id;
}

typedef bit<16> subscriber_t;   // 1..16383; 0: none
typedef bit<32> tick_t;

// What becomes of a packet.
typedef bit<3> kind_t;
const kind_t KIND_DROP    = 0;
const kind_t KIND_FORWARD = 1;
const kind_t KIND_CLAIM   = 2;   // forward, as the first packet of a plain flow
const kind_t KIND_PUNT    = 3;
const kind_t KIND_RAW     = 4;   // a packet-out that leaves as it is

// What a packet's endpoint is translated by.
typedef bit<2> mapping_t;
const mapping_t MAPPING_NONE    = 0;
const mapping_t MAPPING_STATIC  = 1;   // tables; its plain flows are the switch's
const mapping_t MAPPING_MANAGED = 2;   // tables; its flows are the controller's
const mapping_t MAPPING_SLOT    = 3;   // registers

typedef bit<2> origin_t;
const origin_t ORIGIN_WIRE  = 0;
const origin_t ORIGIN_CPU   = 1;
const origin_t ORIGIN_BEGIN = 2;       // from the controller, with OUT_BEGIN
const origin_t ORIGIN_LATE  = 3;       // from the controller, with OUT_LATE

const bit<2> PINHOLE_NONE    = 0;
const bit<2> PINHOLE_PERMIT  = 1;
const bit<2> PINHOLE_INSPECT = 2;   // its ALG wants to see what begins

const bit<2> TTL_KEEP = 0;
const bit<2> TTL_SET  = 1;
const bit<2> TTL_CUT  = 2;          // only ever shortens

// What a packet does to the number of open sessions of a mapping.
const bit<2> OPENED_SAME  = 0;
const bit<2> OPENED_ONE   = 1;
const bit<2> CLOSED_ONE   = 2;
const bit<2> OPENED_STICK = 3;      // a session of the tables: the mapping is never cut short

// Digest: FIN, RST or the end of the handshake of a session of the table.
struct tcp_event_t {
    bit<8>    proto;
    ipv4_t    inside_addr;
    flow_id_t inside_id;
    ipv4_t    remote_addr;
    flow_id_t remote_id;
    bit<8>    flags;
    bit<8>    outbound;
    bit<8>    established;
    bit<8>    organisation;
}

// Digest: a packet was forwarded by a pinhole.
struct pinhole_hit_t {
    bit<8>    proto;
    ipv4_t    inside_addr;
    flow_id_t inside_id;
    ipv4_t    remote_addr;
    flow_id_t remote_id;
    bit<32>   pinhole_id;
    bit<8>    organisation;
}

#endif
