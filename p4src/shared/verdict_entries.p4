// The decision itself, the same for every architecture: the entries of `verdict`. The first one
// that matches decides; a column that an entry does not name is not looked at.

// The columns of the entries, by their letters: T translate, N needs ids, P to pool, S in the
// session table, A for its ALG, E ICMP error, L live in the registers, O opening, D admitted,
// V served by an ALG, C has a class, Z ESP, U has a number, B has a block, W low port,
// F overflow, Y a SYN, X GRE without a call.

#define IN SIDE_INSIDE
#define OUT SIDE_OUTSIDE
#define WIRE ORIGIN_WIRE
#define CPU ORIGIN_CPU
#define BEGIN ORIGIN_BEGIN
#define LATE ORIGIN_LATE
#define NONE MAPPING_NONE
#define STATIC MAPPING_STATIC
#define MANAGED MAPPING_MANAGED
#define SLOT MAPPING_SLOT
#define PERMIT PINHOLE_PERMIT
#define INSPECT PINHOLE_INSPECT

// T  side  origin  N  P  S  A  E  pinhole  L  mapping  O  D  V  C  Z  U  B  W  F  Y  X
// Exempt from translation by a rule (RFC 6888 REQ-6).
( 0, _,    _,      _, _, _, _, _, _,       _, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : forward();
// Plain GRE has no identifiers to tell hosts apart by: it crosses 1:1 mappings only.
( _, _,    _,      _, _, _, _, 0, _,       _, _,       _, 1, _, _, _, _, _, _, _, _, 1 )
    : forward();
// A later fragment whose first one is not known. To nobody's address it costs nothing.
( _, _,    CPU,    1, _, _, _, _, _,       _, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : refuse(DROP_FRAGMENT);
( _, _,    BEGIN,  1, _, _, _, _, _,       _, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : refuse(DROP_FRAGMENT);
( _, IN,   _,      1, _, _, _, _, _,       _, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : to_controller(PUNT_FRAGMENT);
( _, _,    _,      1, 1, _, _, _, _,       _, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : to_controller(PUNT_FRAGMENT);
( _, _,    _,      1, _, _, _, _, _,       _, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : refuse(DROP_NO_MAPPING);
// A SYN that was held: the inside host has opened the connection in the meantime.
( _, _,    LATE,   _, _, 1, _, _, _,       _, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : refuse(DROP_ANSWERED);
( _, _,    LATE,   _, _, _, _, _, _,       1, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : refuse(DROP_ANSWERED);
( _, _,    LATE,   _, _, _, _, _, PERMIT,  _, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : refuse(DROP_ANSWERED);
( _, _,    LATE,   _, _, _, _, _, INSPECT, _, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : refuse(DROP_ANSWERED);
// A session of the table.
( _, _,    WIRE,   _, _, 1, 1, _, _,       _, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : to_controller(PUNT_ALG);
( _, _,    _,      _, _, 1, _, _, _,       _, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : forward();
// An ICMP error belongs to a session or to nobody (RFC 5508 REQ-4).
( _, _,    _,      _, _, _, _, 1, _,       1, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : forward();
( _, _,    _,      _, _, _, _, 1, _,       _, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : refuse(DROP_NO_SESSION);
// A plain flow.
( _, _,    _,      _, _, _, _, _, _,       1, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : forward();
// A pinhole.
( _, _,    _,      _, _, _, _, _, PERMIT,  _, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : forward_by_pinhole();
( _, _,    WIRE,   _, _, _, _, _, INSPECT, _, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : to_controller(PUNT_NEW_FLOW);
// What begins. Nobody announces an SPI where a NAT can read it: its ALG, if it is on,
// learns whose it is from the first packet.
( _, OUT,  WIRE,   _, _, _, _, _, _,       _, NONE,    _, _, 1, _, 1, _, _, _, _, _, _ )
    : to_controller(PUNT_ESP);
// A SYN that nobody waits for is answered later (RFC 5382 REQ-4).
( _, OUT,  WIRE,   _, 1, _, _, _, _,       _, NONE,    _, _, _, _, _, _, _, _, _, 1, _ )
    : to_controller(PUNT_SYN);
( _, OUT,  LATE,   _, 1, _, _, _, _,       _, NONE,    _, _, _, _, _, _, _, _, _, 1, _ )
    : to_controller(PUNT_SYN);
( _, OUT,  _,      _, _, _, _, _, _,       _, NONE,    _, _, _, _, _, _, _, _, _, _, _ )
    : refuse(DROP_NO_MAPPING);
( _, _,    CPU,    _, _, _, _, _, _,       _, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : refuse(DROP_NO_SESSION);
( _, _,    _,      _, _, _, _, _, _,       _, _,       0, _, _, _, _, _, _, _, _, _, _ )
    : refuse(DROP_NO_SESSION);
( _, OUT,  WIRE,   _, _, _, _, _, _,       _, _,       _, 0, _, _, _, _, _, _, _, 1, _ )
    : to_controller(PUNT_SYN);
( _, OUT,  LATE,   _, _, _, _, _, _,       _, _,       _, 0, _, _, _, _, _, _, _, 1, _ )
    : to_controller(PUNT_SYN);
( _, _,    _,      _, _, _, _, _, _,       _, _,       _, 0, _, _, _, _, _, _, _, _, _ )
    : refuse(DROP_FILTERED);
( _, _,    LATE,   _, _, _, _, _, _,       _, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : refuse(DROP_ANSWERED);
( _, _,    WIRE,   _, _, _, _, _, _,       _, _,       _, _, 1, _, _, _, _, _, _, _, _ )
    : to_controller(PUNT_NEW_FLOW);
// Nothing but an ALG can begin a flow without ports.
( _, _,    _,      _, _, _, _, _, _,       _, _,       _, _, _, 0, _, _, _, _, _, _, _ )
    : refuse(DROP_PROTOCOL);
( _, _,    WIRE,   _, _, _, _, _, _,       _, MANAGED, _, _, _, _, _, _, _, _, _, _, _ )
    : to_controller(PUNT_OVERFLOW);
( _, _,    _,      _, _, _, _, _, _,       _, MANAGED, _, _, _, _, _, _, _, _, _, _, _ )
    : refuse(DROP_NO_SESSION);
( _, _,    _,      _, _, _, _, _, _,       _, _,       _, _, _, _, _, _, _, _, 1, _, _ )
    : to_controller(PUNT_OVERFLOW);
( _, _,    _,      _, _, _, _, _, _,       _, SLOT,    _, _, _, _, _, _, _, _, _, _, _ )
    : claim();
( _, _,    _,      _, _, _, _, _, _,       _, STATIC,  _, _, _, _, _, 1, _, _, _, _, _ )
    : claim();
( _, _,    _,      _, _, _, _, _, _,       _, STATIC,  _, _, _, _, _, _, _, _, _, _, _ )
    : to_controller(PUNT_OVERFLOW);
( _, IN,   _,      _, _, _, _, _, _,       _, _,       _, _, _, _, _, _, 1, 0, _, _, _ )
    : claim();
( _, IN,   _,      _, _, _, _, _, _,       _, _,       _, _, _, _, _, _, 1, _, _, _, _ )
    : to_controller(PUNT_OVERFLOW);
// An address that has no block yet.
( _, IN,   WIRE,   _, _, _, _, _, _,       _, _,       _, _, _, _, _, _, _, _, _, _, _ )
    : to_controller(PUNT_SUBSCRIBER);

#undef IN
#undef OUT
#undef WIRE
#undef CPU
#undef BEGIN
#undef LATE
#undef NONE
#undef STATIC
#undef MANAGED
#undef SLOT
#undef PERMIT
#undef INSPECT
