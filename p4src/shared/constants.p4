// Numbers that the program and its controller agree on.
#ifndef P4ALG_CONSTANTS
#define P4ALG_CONSTANTS

#define CPU_PORT 510

// EtherTypes and IP protocols.
const bit<16> ETHERTYPE_IPV4 = 0x0800;
const bit<16> ETHERTYPE_ARP  = 0x0806;
const bit<16> ETHERTYPE_VLAN = 0x8100;
const bit<8> PROTO_ICMP = 1;
const bit<8> PROTO_TCP  = 6;
const bit<8> PROTO_UDP  = 17;
const bit<8> PROTO_GRE  = 47;
const bit<8> PROTO_ESP  = 50;
const bit<16> PORT_IKE = 500;

// A call id may be 0, which in a key stands for "none": with this bit it is not.
const bit<32> CALL_FLAG = 0x10000;

const bit<8> ICMP_UNREACHABLE     = 3;
const bit<8> ICMP_SOURCE_QUENCH   = 4;
const bit<8> ICMP_TIME_EXCEEDED   = 11;
const bit<8> ICMP_PARAM_PROBLEM   = 12;

const bit<8> TCP_FIN = 0x01;
const bit<8> TCP_SYN = 0x02;
const bit<8> TCP_RST = 0x04;
const bit<8> TCP_ACK = 0x10;

typedef bit<8> punt_t;     // reason of a packet-in, and index of its meter
const punt_t PUNT_NONE      = 0;
const punt_t PUNT_NEW_FLOW  = 1;
const punt_t PUNT_ALG       = 2;
const punt_t PUNT_ARP       = 3;
const punt_t PUNT_FRAGMENT  = 4;
const punt_t PUNT_LOCAL     = 5;
const punt_t PUNT_TTL       = 6;
const punt_t PUNT_MTU       = 7;
const punt_t PUNT_NEIGHBOUR = 8;
#define PUNT_CLASSES 16

typedef bit<8> drop_t;     // index of the drop counter
const drop_t DROP_NONE       = 0;
const drop_t DROP_PARSE      = 1;   // truncated or malformed headers
const drop_t DROP_CHECKSUM   = 2;   // IPv4 header checksum
const drop_t DROP_NO_ZONE    = 3;   // port and VLAN belong to no zone
const drop_t DROP_NOT_FOR_US = 4;   // destination MAC is another's
const drop_t DROP_ETHERTYPE  = 5;   // neither IPv4 nor ARP
const drop_t DROP_POLICY     = 6;   // a rule denies it
const drop_t DROP_NO_MAPPING = 7;   // from outside, to no mapping
const drop_t DROP_FILTERED   = 8;   // a mapping exists, its filter refuses
const drop_t DROP_NO_SESSION = 9;   // TCP that is not a SYN, or no entry for a packet-out
const drop_t DROP_METER      = 10;  // the punt meter of its class is red
const drop_t DROP_NO_ROUTE   = 11;
const drop_t DROP_TTL        = 12;  // a packet-out whose TTL ran out
const drop_t DROP_PROTOCOL   = 13;  // a protocol that cannot cross the NAT
const drop_t DROP_FRAGMENT   = 14;  // a packet-out fragment without entry
#define DROP_REASONS 32

typedef bit<1> side_t;
const side_t SIDE_INSIDE  = 0;
const side_t SIDE_OUTSIDE = 1;

typedef bit<2> filter_mode_t;   // RFC 4787 section 5
const filter_mode_t FILTER_ADDRESS_AND_PORT     = 0;
const filter_mode_t FILTER_ADDRESS              = 1;
const filter_mode_t FILTER_ENDPOINT_INDEPENDENT = 2;

// flags of a session entry
const bit<8> SESSION_NOTIFY_ESTABLISHED = 1;  // report the packet that proves the handshake
const bit<8> SESSION_CORRECT_SEQUENCE   = 2;  // the session has an entry in `sequence`
const bit<8> SESSION_WATCH_INSIDE       = 4;  // short datagrams from inside go to the ALG
const bit<8> SESSION_WATCH_OUTSIDE      = 8;  // ... from outside; no other packet does

// flags of a packet-out
const bit<8> OUT_PIPELINE       = 1;  // enter the pipeline at ingress_port
const bit<8> OUT_SEQUENCE_FINAL = 2;  // sequence numbers are final already
const bit<8> OUT_HAIRPIN        = 4;  // source is translated already

#endif
