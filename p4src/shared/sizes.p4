// Every capacity of the program, in one place. Sizes are guaranteed minimums
// for the entries a controller may install. What is in #ifndef is less where it has to be
// (tna/sizes.p4), or is something else in tests.
#ifndef P4ALG_SIZES
#define P4ALG_SIZES

#define SIZE_PORT_ZONE      256
#define SIZE_LOCAL_ADDR     64
#define SIZE_POOL           64
#ifndef SIZE_POLICY
#define SIZE_POLICY         1024
#endif
#ifndef SIZE_MAPPING
#define SIZE_MAPPING        131072   // one entry per mapping and direction
#endif
#ifndef SIZE_ADDR_MAP
#define SIZE_ADDR_MAP       4096
#endif
#ifndef SIZE_PEER
#define SIZE_PEER           131072
#endif
#ifndef SIZE_IKE
#define SIZE_IKE            4096
#endif
#ifndef SIZE_SESSION
#define SIZE_SESSION        262144
#endif
#ifndef SIZE_PINHOLE
#define SIZE_PINHOLE        8192
#endif
#define SIZE_ALG_SERVICE    256
#ifndef SIZE_SEQUENCE
#define SIZE_SEQUENCE       16384
#endif
#define SIZE_SOURCE         1024
#define SIZE_SUBSCRIBER     8192
#ifndef SIZE_BLOCK
#define SIZE_BLOCK          8192
#endif
#define SIZE_SCRAMBLE       256
#ifndef SIZE_TIMER
#define SIZE_TIMER          256
#endif
#ifndef SIZE_ROUTE
#define SIZE_ROUTE          4096
#endif
#ifndef SIZE_NEXT_HOP
#define SIZE_NEXT_HOP       4096
#endif

// Register arrays, as powers of two. A compiler's -D wins: tests use tiny ones, so that
// collisions and overflow happen all the time.
#ifndef SLOT_BITS
#define SLOT_BITS           17       // cells a way; there are three ways
#endif
#ifndef SESSION_BITS
#define SESSION_BITS        16       // cells a way; there are four ways
#endif
#ifndef WINDOW_BITS
#define WINDOW_BITS         13       // cells a way that one subscriber can reach, at most 16
#endif
#ifndef FRAGMENT_BITS
#define FRAGMENT_BITS       12       // cells a way; there are two ways
#endif
#ifndef PINHOLE_BITS
#define PINHOLE_BITS        13       // cells a way: one for each entry of `pinhole`
#endif
#define SOURCE_METER_BITS   10
#define CLAIM_METER_BITS    10
#define PORT_METER_PORTS    512

#endif
