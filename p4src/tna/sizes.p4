// What fits the pipe of a Tofino, and is less than elsewhere (docs/tofino.md). Guaranteed
// minimums for the entries a controller may install; all others are in shared/sizes.p4.

#define SIZE_POLICY         256
#define SIZE_MAPPING        32768
#define SIZE_ADDR_MAP       2048
#define SIZE_PEER           8192
#define SIZE_IKE            2048
#define SIZE_SESSION        32768
#define SIZE_PINHOLE        2048
#define SIZE_SEQUENCE       8192
#define SIZE_BLOCK          4096
#define SIZE_ROUTE          2048
#define SIZE_NEXT_HOP       2048
#define SIZE_TIMER          128

#ifndef SLOT_BITS
#define SLOT_BITS           14
#endif
#ifndef SESSION_BITS
#define SESSION_BITS        15
#endif
