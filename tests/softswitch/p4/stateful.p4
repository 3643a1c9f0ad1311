/* Flow state in registers, as a data plane keeps it that sets up flows by itself: a test object
 * with tiny arrays, so that collisions, overflow and expiry happen all the time. It has what
 * `l2switch.p4` has not: actions with conditions and several accesses to a register, cells of 1 to
 * 80 bits, CRCs reduced to a range, clock ticks, exact and lpm in one key, a table without key
 * whose default action is written, meters by index, and recirculation in the middle of it.
 *
 * A packet is one request, and comes back with the answer.
 */
#include <core.p4>
#include <v1model.p4>

const bit<9> CPU_PORT = 510;
const bit<16> REQUEST = 0x88B6;
const bit<16> SENTINEL = 0x88B5;
const bit<8> CLAIM = 1;
const bit<8> SESSION = 2;
const bit<8> PEEK = 3;
const bit<8> POKE = 4;
const bit<8> HASH = 5;
const bit<8> LOOKUP = 6;
const bit<8> METER = 7;
const bit<8> ROUND = 8;

@controller_header("packet_in")
header packet_in_t {
    @id(1) bit<9> ingress_port;
    @id(2) bit<7> pad;
}

header ethernet_t {
    bit<48> dst;
    bit<48> src;
    bit<16> type;
}

header request_t {
    bit<8> op;
    bit<8> result;
    bit<32> tag;
    bit<32> index;
    bit<16> number;
    bit<80> wide;
    bit<72> state;
    bit<48> cell;
    bit<32> crc32;
    bit<16> crc16;
    bit<32> range32;
    bit<16> range16;
    bit<8> bits;
}

struct headers_t {
    packet_in_t packet_in;
    ethernet_t ethernet;
    request_t request;
}

struct metadata_t {
    @field_list(1) bit<8> round;
    @field_list(1) bit<32> carried;
    bit<32> now;
    bit<32> rest;
    bit<32> index;
    bit<32> hash;
    bit<2> colour;
    bit<8> found;
}

parser StateParser(packet_in packet, out headers_t hdr, inout metadata_t meta,
                   inout standard_metadata_t std) {
    state start {
        packet.extract(hdr.ethernet);
        transition select(hdr.ethernet.type) {
            REQUEST: parse_request;
            default: accept;
        }
    }
    state parse_request {
        packet.extract(hdr.request);
        transition accept;
    }
}

control NoChecksums(inout headers_t hdr, inout metadata_t meta) {
    apply { }
}

control StateIngress(inout headers_t hdr, inout metadata_t meta,
                     inout standard_metadata_t std) {
    meter(8, MeterType.packets) request_meter;
    direct_counter(CounterType.packets) prefix_counter;

    action drop() {
        mark_to_drop(std);
    }
    action flood(bit<16> group) {
        std.mcast_grp = group;
    }
    table sentinel {
        key = { hdr.ethernet.dst: exact; }
        actions = { flood; drop; }
        const default_action = drop();
        size = 4;
    }

    action set_rest(bit<32> rest) {
        meta.rest = rest;
    }
    table settings {
        actions = { set_rest; }
        default_action = set_rest(0);
    }

    action found(bit<8> result) {
        hdr.request.result = result;
    }
    action missed() {
        hdr.request.result = 255;
    }
    table prefix {
        key = { hdr.request.index: lpm; hdr.request.bits: exact; }
        actions = { found; missed; }
        const default_action = missed();
        counters = prefix_counter;
        size = 64;
    }

    apply {
        if (hdr.ethernet.type == SENTINEL) {
            sentinel.apply();
        } else if (hdr.request.isValid()) {
            settings.apply();
            meta.index = hdr.request.index & 15;
            meta.now = (bit<32>) (std.ingress_global_timestamp >> 17);
            std.egress_spec = std.ingress_port;
            if (meta.round != 0) {
                std.egress_spec = (bit<9>) meta.carried;
            }
            if (hdr.request.op == HASH) {
                hash(hdr.request.crc32, HashAlgorithm.crc32, 32w0, { hdr.request.tag },
                     33w0x100000000);
                hash(hdr.request.crc16, HashAlgorithm.crc16, 16w0,
                     { hdr.request.tag, hdr.request.number }, 17w0x10000);
                hash(hdr.request.range32, HashAlgorithm.crc32, 32w1000,
                     { hdr.request.wide, hdr.request.bits, 3w5 }, (bit<32>) hdr.request.number);
                hash(hdr.request.range16, HashAlgorithm.crc16, 16w7,
                     { hdr.request.state }, 16w1001);
            } else if (hdr.request.op == LOOKUP) {
                prefix.apply();
            } else if (hdr.request.op == METER) {
                request_meter.execute_meter(hdr.request.index, meta.colour);
                hdr.request.result = (bit<8>) meta.colour;
            }
        } else {
            drop();
        }
    }
}

control StateEgress(inout headers_t hdr, inout metadata_t meta,
                    inout standard_metadata_t std) {
    register<bit<48>>(16) slot_cell;
    register<bit<48>>(16) slot_state;
    register<bit<80>>(16) session_cell;
    register<bit<72>>(16) session_state;
    register<bit<16>>(16) number;
    register<bit<1>>(16) bits;
    register<bit<64>>(5) last;

    /* Mine, else the first free of three; refreshed for as many ticks as the request says. */
    action claim() {
        bit<32> first = meta.hash & 3;
        bit<48> cell0;
        bit<48> cell1;
        bit<48> cell2;
        bit<48> state0;
        bit<48> state1;
        bit<48> state2;
        slot_cell.read(cell0, first);
        slot_cell.read(cell1, 4 + first);
        slot_cell.read(cell2, 8 + first);
        slot_state.read(state0, first);
        slot_state.read(state1, 4 + first);
        slot_state.read(state2, 8 + first);
        bit<48> mine = hdr.request.tag ++ hdr.request.number;
        hdr.request.result = 3;
        if (cell0 == mine && state0[31:0] + meta.rest >= meta.now) {
            hdr.request.result = 0;
        } else if (cell1 == mine && state1[31:0] + meta.rest >= meta.now) {
            hdr.request.result = 1;
        } else if (cell2 == mine && state2[31:0] + meta.rest >= meta.now) {
            hdr.request.result = 2;
        } else if (cell0 == 0 || state0[31:0] + meta.rest < meta.now) {
            hdr.request.result = 0;
            slot_cell.write(first, mine);
            state0 = 0;
        } else if (cell1 == 0 || state1[31:0] + meta.rest < meta.now) {
            hdr.request.result = 1;
            slot_cell.write(4 + first, mine);
            state1 = 0;
        } else if (cell2 == 0 || state2[31:0] + meta.rest < meta.now) {
            hdr.request.result = 2;
            slot_cell.write(8 + first, mine);
            state2 = 0;
        }
        bit<32> ends = meta.now + hdr.request.index;
        if (hdr.request.result == 0) {
            slot_state.write(first, (state0[47:32] |+| 1) ++ ends);
        }
        if (hdr.request.result == 1) {
            slot_state.write(4 + first, (state1[47:32] |+| 1) ++ ends);
        }
        if (hdr.request.result == 2) {
            slot_state.write(8 + first, (state2[47:32] |+| 1) ++ ends);
        }
    }

    /* A session: phases are gathered, and time is cut short by a phase with its highest bit set. */
    action session() {
        bit<80> cell;
        bit<72> state;
        session_cell.read(cell, meta.index);
        session_state.read(state, meta.index);
        bit<32> ends = state[71:40];
        bit<8> phase = state[39:32];
        hdr.request.result = 0;
        if (cell == hdr.request.wide) {
            hdr.request.result = 1;
            if (ends < meta.now) {
                hdr.request.result = 2;
                phase = 0;
            }
            phase = phase | hdr.request.bits;
            if (phase & 0x80 == 0) {
                ends = meta.now + (bit<32>) hdr.request.number;
            } else if (ends > meta.now + 4) {
                ends = meta.now + 4;
            }
        } else if (cell == 0 || ends < meta.now) {
            hdr.request.result = 3;
            phase = hdr.request.bits & 0x7f;
            ends = meta.now + (bit<32>) hdr.request.number;
            session_cell.write(meta.index, hdr.request.wide);
        }
        if (hdr.request.result != 0) {
            session_state.write(meta.index, ends ++ phase ++ hdr.request.tag);
        }
        hdr.request.bits = phase;
    }

    /* What is there, but for times, which differ from switch to switch. */
    action peek() {
        bit<1> bit_read = 0;
        bit<48> state = 0;
        bit<72> times = 0;
        slot_cell.read(hdr.request.cell, meta.index);
        slot_state.read(state, meta.index);
        session_cell.read(hdr.request.wide, meta.index);
        session_state.read(times, meta.index);
        number.read(hdr.request.number, meta.index);
        bits.read(bit_read, meta.index);
        hdr.request.bits = (bit<8>) bit_read;
        hdr.request.crc16 = state[47:32];
        hdr.request.crc32 = times[31:0];
        hdr.request.result = times[39:32];
    }

    /* Values that do not fit, an index outside of the array, the same cell twice. */
    action poke() {
        bit<16> before = 0;
        bit<64> long = 77;
        number.read(before, meta.index);
        number.write(meta.index, before + hdr.request.number);
        number.read(before, meta.index);
        number.write(meta.index, before ^ hdr.request.crc16);
        bits.write(meta.index, hdr.request.bits[0:0] ^ before[0:0]);
        last.read(long, hdr.request.index & 7);
        last.write(hdr.request.index & 7, long + hdr.request.wide[63:0]);
        hdr.request.wide[63:0] = long;
        hdr.request.result = (bit<8>) (before >> 8);
    }

    apply {
        if (hdr.request.isValid()) {
            if (hdr.request.op == CLAIM) {
                hash(meta.hash, HashAlgorithm.crc32, 32w0, { hdr.request.tag }, 33w0x100000000);
                claim();
            } else if (hdr.request.op == SESSION) {
                session();
            } else if (hdr.request.op == PEEK) {
                peek();
            } else if (hdr.request.op == POKE) {
                poke();
            } else if (hdr.request.op == ROUND) {
                poke();
                /* A packet that goes round has no time of arrival but the first. */
                hdr.request.cell = hdr.request.cell[46:0] ++ (meta.now == 0 ? 1w1 : 1w0);
                if (meta.round < 3) {
                    meta.round = meta.round + 1;
                    meta.carried = (bit<32>) std.egress_port;
                    hdr.request.number = hdr.request.number + 1;
                    recirculate_preserving_field_list(1);
                }
            }
        }
        if (std.egress_port == CPU_PORT) {
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = std.ingress_port;
            hdr.packet_in.pad = 0;
        }
    }
}

control StateDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr);
    }
}

V1Switch(StateParser(), NoChecksums(), StateIngress(), StateEgress(), NoChecksums(),
         StateDeparser()) main;
