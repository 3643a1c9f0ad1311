// The registers: plain flows as the switch itself keeps them. Tables win over them.
//
// slot_cell      tag (32: class, subscriber, outside port without its way), inside id (16)
// slot_state     open sessions (16; 0xffff sticks), end (32, ticks)
//                Index: way, hash of the tag. A cell is the mapping of one outside port.
// session_cell   remote address (32), remote id (16), inside id (16), class (2),
//                subscriber (14): all of the key, so that no two flows share a cell
// session_state  end (32, ticks), phase (8), what inside acknowledged last (32)
//                Index: way, window of the subscriber, hash of the key.
// fragment_cell  organisation of the sender, source, destination, protocol, identification (96),
//                ids (32 + 32), end (32)
// pinhole_cell   number of the pinhole (32), remote address (32), remote id (16), inside id (16)
//                Index: way, number of the pinhole. A flow that has claimed the pinhole.
//
// A cell is alive as long as its end is not before now. Whatever reads a cell and writes it
// does so in one action, for BMv2 locks the arrays of an action while it runs; ingress
// looks only, egress claims and changes (lifetime.p4). But a pinhole is claimed in ingress,
// for the digest about it can be sent only there, and so are fragments remembered
// (flow_key.p4), for the next one may be right behind.

#define SLOT_CELLS     (32w1 << SLOT_BITS)
#define SESSION_CELLS  (32w1 << SESSION_BITS)
#define WINDOW_CELLS   (32w1 << WINDOW_BITS)
#define FRAGMENT_CELLS (32w1 << FRAGMENT_BITS)
#define PINHOLE_CELLS  (32w1 << PINHOLE_BITS)
#define FRAGMENT_KEY(realm, ip) \
    (realm ++ ip.src_addr ++ ip.dst_addr ++ ip.protocol ++ ip.identification)

@id(0x16000001) register<bit<48>>(3 * (1 << SLOT_BITS)) slot_cell;
@id(0x16000002) register<bit<48>>(3 * (1 << SLOT_BITS)) slot_state;
@id(0x16000003) register<bit<80>>(4 * (1 << SESSION_BITS)) session_cell;
@id(0x16000004) register<bit<72>>(4 * (1 << SESSION_BITS)) session_state;
@id(0x16000005) register<bit<192>>(2 * (1 << FRAGMENT_BITS)) fragment_cell;
@id(0x16000006) register<bit<96>>(WAYS_PINHOLE * (1 << PINHOLE_BITS)) pinhole_cell;

// Every drop is counted here, by its reason.
@id(0x12000002) counter((bit<32>)DROP_REASONS, CounterType.packets_and_bytes) drop_counter;
