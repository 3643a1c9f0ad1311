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

// IPv4 options (RFC 791 3.1, RFC 2113).
const bit<8> OPTION_END          = 0;
const bit<8> OPTION_NOP          = 1;
const bit<8> OPTION_RECORD_ROUTE = 7;
const bit<8> OPTION_TIMESTAMP    = 68;
const bit<8> OPTION_ROUTER_ALERT = 148;

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
const punt_t PUNT_SUBSCRIBER = 9;   // an inside address that has no block yet
const punt_t PUNT_OVERFLOW  = 10;   // a plain flow that the registers cannot hold
const punt_t PUNT_ESP       = 11;   // ESP from outside with an SPI that nobody knows
const punt_t PUNT_NO_ROUTE  = 12;
const punt_t PUNT_SYN       = 13;   // a SYN from outside that nobody waits for
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
const drop_t DROP_FRAGMENT   = 14;  // a packet-out fragment whose ports are not known
const drop_t DROP_SOURCE     = 15;  // its source address cannot come from this zone
const drop_t DROP_EXPIRED    = 16;  // the time of its flow is over
const drop_t DROP_SOURCE_METER = 17;  // its source sends the controller too much
const drop_t DROP_PORT_METER = 18;  // its port sends the controller too much of one class
const drop_t DROP_CLAIM_METER = 19;  // its subscriber begins too many flows
const drop_t DROP_TAKEN      = 20;  // another flow got the cell in the meantime
const drop_t DROP_ANSWERED   = 21;  // a held SYN whose connection the inside host has opened
const drop_t DROP_OPTIONS    = 22;  // IPv4 options that may name a way for it to go
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
const bit<8> OUT_BEGIN          = 8;  // may begin a plain flow
const bit<8> OUT_LATE           = 16; // a SYN that was held: is it still waited for by nobody?

// Time in the registers counts ticks of 2^17 us, about 0.131 s. 32 bits last 17 years.
#define TICK_SHIFT 17
// Until its first timer a claimed cell is held for so many ticks (4.2 s): a flow that begins
// outside and that the inside host does not answer costs a cell no longer than that.
#define GRACE_TICKS 32
// How long a mapping is kept for the controller's answer, in ticks (33 s).
#define LEND_TICKS 256
// How long the ports of a fragmented datagram are remembered, in ticks (15.7 s).
#define FRAGMENT_TICKS 120

// Protocol class in a cell: protocols whose plain flows the switch sets up. 0: none.
typedef bit<2> class_t;
const class_t CLASS_NONE = 0;
const class_t CLASS_TCP  = 1;
const class_t CLASS_UDP  = 2;
const class_t CLASS_ICMP = 3;

// What has been seen of a session: a set of bits, and the key of `timer`. The two SYNs are the
// highest bits, so that "both" is one comparison.
const bit<8> PHASE_TABLE       = 1;    // an entry of `session` uses the mapping
const bit<8> PHASE_ESTABLISHED = 4;    // after both SYNs inside has sent an ACK
const bit<8> PHASE_INSIDE_FIN  = 8;
const bit<8> PHASE_OUTSIDE_FIN = 16;
const bit<8> PHASE_RESET       = 32;
const bit<8> PHASE_INSIDE_SYN  = 64;   // inside has sent a SYN (UDP, ICMP: anything)
const bit<8> PHASE_OUTSIDE_SYN = 128;  // outside has sent a SYN (UDP, ICMP: anything)

// The way of an outside port, its bits 2..1. The last belongs to the controller.
#define PORT_WAY_MASK 6
#define WAYS_SLOT 3
#define WAYS_SESSION 4
// Flows that a pinhole can be for.
#define WAYS_PINHOLE 4

#endif
