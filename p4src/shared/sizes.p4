// Every capacity of the program, in one place. Sizes are guaranteed minimums
// for the entries a controller may install.
#ifndef P4ALG_SIZES
#define P4ALG_SIZES

#define SIZE_PORT_ZONE      256
#define SIZE_LOCAL_ADDR     64
#define SIZE_POOL           64
#define SIZE_POLICY         1024
#define SIZE_MAPPING        131072   // one entry per mapping and direction
#define SIZE_ADDR_MAP       4096
#define SIZE_PEER           131072
#define SIZE_IKE            4096
#define SIZE_SESSION        262144
#define SIZE_PINHOLE        8192
#define SIZE_ALG_SERVICE    256
#define SIZE_SEQUENCE       16384
#define SIZE_FRAGMENT       4096
#define SIZE_ROUTE          4096
#define SIZE_NEXT_HOP       4096

#endif
