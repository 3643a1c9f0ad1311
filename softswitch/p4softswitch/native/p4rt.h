/*
 * What generated programs and the runtime share: packets, tables, and the helpers of the data path.
 *
 * A program is compiled to one shared object that includes this file, wide.h if it has fields of
 * more than 128 bits, and v1model.h. The state of a program (tables, counters, registers) is made
 * by runtime.c and reached through `struct p4_switch`. What one thread needs to run packets is in
 * `struct p4_worker`. Times are nanoseconds of the monotonic clock.
 */
#ifndef P4RT_H
#define P4RT_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int64_t s64;
typedef unsigned __int128 u128;
typedef __int128 s128;

#define P4_ABI 1u
#define P4_NONE UINT32_MAX
#define P4_INLINE static inline __attribute__((always_inline, unused))
#define P4_UNUSED __attribute__((unused))
#define P4_LIKELY(x) __builtin_expect(!!(x), 1)
#define P4_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define P4_U128(high, low) ((u128)(high) << 64 | (low))

/* --- numbers ---------------------------------------------------------------------------------
 * P4 leaves a division by 0 undefined; it is 0 here, and a shift by more than the width is 0.
 */

P4_INLINE u64 p4_shl64(u64 a, u64 n) { return n < 64 ? a << n : 0; }
P4_INLINE u64 p4_shr64(u64 a, u64 n) { return n < 64 ? a >> n : 0; }
P4_INLINE u128 p4_shl128(u128 a, u64 n) { return n < 128 ? a << n : 0; }
P4_INLINE u128 p4_shr128(u128 a, u64 n) { return n < 128 ? a >> n : 0; }
P4_INLINE s128 p4_sar128(s128 a, u64 n) { return a >> (n < 127 ? n : 127); }
P4_INLINE u64 p4_div64(u64 a, u64 b) { return b ? a / b : 0; }
P4_INLINE u64 p4_mod64(u64 a, u64 b) { return b ? a % b : 0; }
P4_INLINE u128 p4_div128(u128 a, u128 b) { return b ? a / b : 0; }
P4_INLINE u128 p4_mod128(u128 a, u128 b) { return b ? a % b : 0; }
P4_INLINE u64 p4_min64(u64 a, u64 b) { return a < b ? a : b; }
P4_INLINE s128 p4_clamp(s128 a, s128 low, s128 high) { return a < low ? low : a > high ? high : a; }

/* The low `width` bits read as two's complement. */
P4_INLINE s64 p4_sext64(u64 a, u32 width) { return (s64)(a << (64 - width)) >> (64 - width); }
P4_INLINE s128 p4_sext128(u128 a, u32 width) {
    return (s128)(a << (128 - width)) >> (128 - width);
}

/* --- bytes ------------------------------------------------------------------------------------ */

P4_INLINE u64 p4_load16(const u8 *d) { u16 v; memcpy(&v, d, 2); return __builtin_bswap16(v); }
P4_INLINE u64 p4_load32(const u8 *d) { u32 v; memcpy(&v, d, 4); return __builtin_bswap32(v); }
P4_INLINE u64 p4_load64(const u8 *d) { u64 v; memcpy(&v, d, 8); return __builtin_bswap64(v); }

/* `n` bytes (1 to 8) as a number, in network order. `n` is a constant wherever it matters. */
P4_INLINE u64 p4_load(const u8 *d, u32 n) {
    switch (n) {
    case 1: return d[0];
    case 2: return p4_load16(d);
    case 3: return p4_load16(d) << 8 | d[2];
    case 4: return p4_load32(d);
    case 5: return p4_load32(d) << 8 | d[4];
    case 6: return p4_load32(d) << 16 | p4_load16(d + 4);
    case 7: return p4_load32(d) << 24 | p4_load16(d + 4) << 8 | d[6];
    case 8: return p4_load64(d);
    default: return 0;
    }
}

P4_INLINE void p4_store16(u8 *d, u64 a) { u16 v = __builtin_bswap16((u16)a); memcpy(d, &v, 2); }
P4_INLINE void p4_store32(u8 *d, u64 a) { u32 v = __builtin_bswap32((u32)a); memcpy(d, &v, 4); }
P4_INLINE void p4_store64(u8 *d, u64 a) { u64 v = __builtin_bswap64(a); memcpy(d, &v, 8); }

P4_INLINE void p4_store(u8 *d, u32 n, u64 a) {
    switch (n) {
    case 1: d[0] = (u8)a; break;
    case 2: p4_store16(d, a); break;
    case 3: p4_store16(d, a >> 8); d[2] = (u8)a; break;
    case 4: p4_store32(d, a); break;
    case 5: p4_store32(d, a >> 8); d[4] = (u8)a; break;
    case 6: p4_store32(d, a >> 16); p4_store16(d + 4, a); break;
    case 7: p4_store32(d, a >> 24); p4_store16(d + 4, a >> 8); d[6] = (u8)a; break;
    case 8: p4_store64(d, a); break;
    default: break;
    }
}

/* Put `width` bits (1 to 64) at bit `at` of `d`, whose bits from there on are 0. */
static P4_UNUSED void p4_put_bits(u8 *d, size_t at, u32 width, u64 value) {
    while (width) {
        u32 room = 8 - (u32)(at & 7), take = width < room ? width : room;
        u64 part = value >> (width - take) & ((1u << take) - 1);
        d[at >> 3] |= (u8)(part << (room - take));
        at += take;
        width -= take;
    }
}

/* `width` bits (1 to 64) from bit `at` of `d`, which is `len` bytes long; bits beyond are 0. */
static P4_UNUSED u64 p4_peek(const u8 *d, size_t len, size_t at, u32 width) {
    u64 value = 0;
    while (width) {
        u32 room = 8 - (u32)(at & 7), take = width < room ? width : room;
        u32 byte = at >> 3 < len ? d[at >> 3] : 0;
        value = value << take | (byte >> (room - take) & ((1u << take) - 1));
        at += take;
        width -= take;
    }
    return value;
}

/* --- hashes and checksums --------------------------------------------------------------------- */

/* A number that equals, modulo 65535, the sum of the 16-bit words of `d`, and is 0 only if all
 * bytes are. `odd` says that the bytes begin in the second byte of a word. */
static P4_UNUSED u64 p4_words(const u8 *d, size_t len, int odd) {
    u64 sum = 0;
    if (odd && len) {
        sum = d[0];
        d++, len--;
    }
    for (; len >= 4; d += 4, len -= 4)
        sum += p4_load32(d);
    if (len >= 2) {
        sum += p4_load16(d);
        d += 2, len -= 2;
    }
    if (len)
        sum += (u64)d[0] << 8;
    return (sum >> 32) + (u32)sum;
}

/* A number of at most 33 bits that equals `a` modulo 65535, and is 0 only if `a` is. */
P4_INLINE u64 p4_half64(u64 a) { return (a >> 32) + (u32)a; }
P4_INLINE u64 p4_half128(u128 a) { return p4_half64(p4_half64((u64)(a >> 64)) + p4_half64((u64)a)); }

/* Internet checksum (RFC 1071) of words whose sum, modulo 65535, is `total`. */
P4_INLINE u64 p4_fold(u64 total) {
    u64 rest = total % 65535;
    return rest ? 65535 - rest : total ? 0 : 65535;
}

P4_INLINE u64 p4_csum16(const u8 *d, size_t len) { return p4_fold(p4_words(d, len, 0)); }

/* Tables of the CRCs, filled when the program is loaded: see p4_crc_tables. */
static P4_UNUSED u32 p4_crc32_table[8][256];
static P4_UNUSED u16 p4_crc16_table[256];

static P4_UNUSED void p4_crc_tables(void) {
    for (u32 i = 0; i < 256; i++) {
        u32 wide = i, narrow = i;
        for (int bit = 0; bit < 8; bit++) {
            wide = wide & 1 ? wide >> 1 ^ 0xEDB88320u : wide >> 1;
            narrow = narrow & 1 ? narrow >> 1 ^ 0xA001u : narrow >> 1;
        }
        p4_crc32_table[0][i] = wide;
        p4_crc16_table[i] = (u16)narrow;
    }
    for (u32 i = 0; i < 256; i++)
        for (int k = 1; k < 8; k++) {
            u32 before = p4_crc32_table[k - 1][i];
            p4_crc32_table[k][i] = before >> 8 ^ p4_crc32_table[0][before & 0xFF];
        }
}

/* CRC-32 of Ethernet, eight bytes at a time. */
static P4_UNUSED u64 p4_crc32(const u8 *d, size_t len) {
    u32 crc = 0xFFFFFFFFu;
    for (; len >= 8; d += 8, len -= 8) {
        u32 a, b;
        memcpy(&a, d, 4);
        memcpy(&b, d + 4, 4);
        a ^= crc;
        crc = p4_crc32_table[7][a & 0xFF] ^ p4_crc32_table[6][a >> 8 & 0xFF] ^
              p4_crc32_table[5][a >> 16 & 0xFF] ^ p4_crc32_table[4][a >> 24] ^
              p4_crc32_table[3][b & 0xFF] ^ p4_crc32_table[2][b >> 8 & 0xFF] ^
              p4_crc32_table[1][b >> 16 & 0xFF] ^ p4_crc32_table[0][b >> 24];
    }
    for (; len; d++, len--)
        crc = crc >> 8 ^ p4_crc32_table[0][(crc ^ *d) & 0xFF];
    return crc ^ 0xFFFFFFFFu;
}

/* CRC-16/ARC. */
static P4_UNUSED u64 p4_crc16(const u8 *d, size_t len) {
    u32 crc = 0;
    for (; len; d++, len--)
        crc = crc >> 8 ^ p4_crc16_table[(crc ^ *d) & 0xFF];
    return crc;
}

/* CRC-16/CCITT-FALSE. */
static P4_UNUSED u64 p4_crcCCITT(const u8 *d, size_t len) {
    u32 crc = 0xFFFF;
    for (; len; d++, len--) {
        crc ^= (u32)*d << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 0x8000 ? (crc << 1 ^ 0x1021) & 0xFFFF : crc << 1 & 0xFFFF;
    }
    return crc;
}

/* XOR of the 16-bit words, padded with a zero byte. */
static P4_UNUSED u64 p4_xor16(const u8 *d, size_t len) {
    u64 result = 0;
    for (; len >= 2; d += 2, len -= 2)
        result ^= p4_load16(d);
    return len ? result ^ (u64)d[0] << 8 : result;
}

/* The first eight bytes as a number. */
static P4_UNUSED u64 p4_identity(const u8 *d, size_t len) {
    return p4_load(d, len < 8 ? (u32)len : 8);
}

/* --- meters ------------------------------------------------------------------------------------
 * Two rates, three colours, colour-blind, as BMv2 executes them. Each rate is a bucket that starts
 * full, in units of 1/1e9, so that no rate is too low for integer arithmetic. A packet that the
 * peak bucket cannot take is red and takes nothing; one that the committed bucket cannot take is
 * yellow.
 */

enum { P4_GREEN, P4_YELLOW, P4_RED };
#define P4_SECOND 1000000000u

struct p4_meter {
    u64 configured;
    u64 cir, cburst, pir, pburst;
    s64 last;
    u128 peak, committed;
};

static P4_UNUSED u64 p4_meter_execute(struct p4_meter *m, u64 amount, u64 now) {
    if (!m->configured)
        return P4_GREEN;
    s64 since = (s64)now - m->last;
    u64 elapsed = since > 0 ? (u64)since : 0;
    u128 cost = (u128)amount * P4_SECOND;
    u128 most_peak = (u128)m->pburst * P4_SECOND, most_committed = (u128)m->cburst * P4_SECOND;
    m->last = (s64)now;
    m->peak += (u128)elapsed * m->pir;
    if (m->peak > most_peak)
        m->peak = most_peak;
    m->committed += (u128)elapsed * m->cir;
    if (m->committed > most_committed)
        m->committed = most_committed;
    if (m->peak < cost)
        return P4_RED;
    m->peak -= cost;
    if (m->committed < cost)
        return P4_YELLOW;
    m->committed -= cost;
    return P4_GREEN;
}

/* --- tables -------------------------------------------------------------------------------------
 * A key is a row of 64-bit words, least significant word first, into which all fields are packed.
 * Exact tables have one hash of keys. In the others an entry also has a mask, and entries of the
 * same mask are a group with a hash of masked keys. An entry with ranges stands in groups by its
 * parts: the smallest of its ranges is cut into prefixes, and each part has one of them in its mask.
 * The other ranges are compared part by part, the best first. Few entries are compared one after
 * the other, which is faster than a hash for each mask.
 */

enum { P4_EXACT, P4_LPM, P4_TERNARY };

struct p4_range {
    u32 shift, width; /* where the field is in the key */
    u64 low, high;
};

/* Words of an entry: its key, in tables that are not exact its mask, arguments, ranges. */
struct p4_entry {
    u64 packets, bytes;
    u64 last_hit;
    u64 idle_timeout;
    u64 seq; /* in order of insertion; 0: not in use */
    u64 controller_metadata;
    struct p4_meter *meter;
    u32 action;
    u32 priority; /* in tables of longest prefixes the length of the prefixes */
    u32 handle;
    u32 next;         /* the next best entry of the same masked key; its first part, if it has any */
    u32 older, newer; /* neighbours by age; of a part, the next part and the entry itself */
    u32 ranges;
    u32 flags;
    u64 words[];
};

enum { P4_ENTRY_CONSTANT = 1, P4_ENTRY_NOTIFIED = 2, P4_ENTRY_PART = 4 };

struct p4_slot {
    u32 hash;
    u32 handle; /* P4_NONE: free */
};

struct p4_hash {
    struct p4_slot *slots;
    u32 mask; /* number of slots - 1 */
    u32 used;
};

struct p4_group {
    struct p4_hash hash;
    u32 top;     /* the highest priority of an entry; never too low */
    u32 entries;
    u64 mask[];
};

#define P4_SLAB 16384u /* entries allocated at once; memory is taken as they are used */
#define P4_SCAN 32u   /* entries that are compared one after the other */

struct p4_table {
    u32 kind, key_words, arg_words, max_ranges;
    u32 stride; /* bytes of an entry */
    u32 count, capacity, max_size;
    u64 seed;
    u8 **slabs;
    u32 slab_count, taken; /* entries that were ever in use */
    u32 free;              /* the last one that was given back */
    u32 oldest, newest;
    u64 next_seq;
    struct p4_entry *fallback; /* the default entry */
    struct p4_hash exact;
    struct p4_group **groups; /* the one with the highest priority first */
    u32 group_count, group_room;
    u32 scan[P4_SCAN]; /* all entries, best first, if there are so few */
    u32 sweep_at;
};

P4_INLINE struct p4_entry *p4_entry_at(const struct p4_table *t, u32 handle) {
    return (struct p4_entry *)(t->slabs[handle / P4_SLAB] + (size_t)(handle % P4_SLAB) * t->stride);
}

P4_INLINE u64 p4_mix(u64 a, u64 b) {
    u128 product = (u128)a * b;
    return (u64)product ^ (u64)(product >> 64);
}

P4_INLINE u32 p4_hash_key(u64 seed, const u64 *key, const u64 *mask, u32 n) {
    u64 h = seed;
    for (u32 i = 0; i < n; i++)
        h = p4_mix(h ^ (mask ? key[i] & mask[i] : key[i]) ^ 0x9E3779B97F4A7C15u,
                   0xE7037ED1A0B428DBu + i);
    return (u32)(h ^ h >> 32);
}

P4_INLINE int p4_same(const u64 *a, const u64 *b, u32 n) {
    u64 different = 0;
    for (u32 i = 0; i < n; i++)
        different |= a[i] ^ b[i];
    return !different;
}

P4_INLINE int p4_same_masked(const u64 *key, const u64 *mask, const u64 *value, u32 n) {
    u64 different = 0;
    for (u32 i = 0; i < n; i++)
        different |= (key[i] & mask[i]) ^ value[i];
    return !different;
}

/* The entry of an exact table whose key is `key`; NULL if there is none. */
P4_INLINE struct p4_entry *p4_find_exact(const struct p4_table *t, const u64 *key, u32 n) {
    if (!t->count)
        return NULL;
    u32 hash = p4_hash_key(t->seed, key, NULL, n);
    for (u32 at = hash & t->exact.mask;; at = (at + 1) & t->exact.mask) {
        struct p4_slot slot = t->exact.slots[at];
        if (slot.handle == P4_NONE)
            return NULL;
        if (slot.hash == hash) {
            struct p4_entry *e = p4_entry_at(t, slot.handle);
            if (P4_LIKELY(p4_same(e->words, key, n)))
                return e;
        }
    }
}

static P4_UNUSED __attribute__((noinline)) int
p4_in_ranges(const struct p4_table *t, const struct p4_entry *e, const u64 *key,
                           u32 n) {
    const struct p4_range *range = (const struct p4_range *)(e->words + 2 * n + t->arg_words);
    for (u32 i = 0; i < e->ranges; i++, range++) {
        u32 word = range->shift / 64, bit = range->shift % 64;
        u64 value = key[word] >> bit;
        if (bit && bit + range->width > 64)
            value |= key[word + 1] << (64 - bit);
        if (range->width < 64)
            value &= (1ull << range->width) - 1;
        if (value < range->low || value > range->high)
            return 0;
    }
    return 1;
}

/* The best entry that `key` matches. Among equal priorities the one inserted first wins. */
P4_INLINE struct p4_entry *p4_find_masked(const struct p4_table *t, const u64 *key, u32 n) {
    if (t->count <= P4_SCAN) {
        for (u32 i = 0; i < t->count; i++) {
            struct p4_entry *e = p4_entry_at(t, t->scan[i]);
            if (p4_same_masked(key, e->words + n, e->words, n) &&
                (!e->ranges || p4_in_ranges(t, e, key, n)))
                return e;
        }
        return NULL;
    }
    struct p4_entry *best = NULL;
    for (u32 g = 0; g < t->group_count; g++) {
        const struct p4_group *group = t->groups[g];
        if (best && group->top < best->priority)
            break;
        u32 hash = p4_hash_key(t->seed, key, group->mask, n);
        for (u32 at = hash & group->hash.mask;; at = (at + 1) & group->hash.mask) {
            struct p4_slot slot = group->hash.slots[at];
            if (slot.handle == P4_NONE)
                break;
            if (slot.hash != hash)
                continue;
            struct p4_entry *e = p4_entry_at(t, slot.handle);
            if (!p4_same_masked(key, group->mask, e->words, n))
                continue;
            for (; e->ranges && !p4_in_ranges(t, e, key, n); e = p4_entry_at(t, e->next))
                if (e->next == P4_NONE) {
                    e = NULL;
                    break;
                }
            if (e && (!best || e->priority > best->priority ||
                      (e->priority == best->priority && e->seq < best->seq)))
                best = e;
            break;
        }
    }
    return best && best->flags & P4_ENTRY_PART ? p4_entry_at(t, best->newer) : best;
}

/* --- the state of a program, and what runs packets ---------------------------------------------- */

struct p4_copy {
    u32 port, instance;
};

/* The copies that a multicast group or a clone session makes. */
struct p4_copies {
    u32 count;
    u32 truncate_to; /* bytes, 0: whole */
    struct p4_copy copy[];
};

#define P4_GROUPS 65536u
#define P4_SESSIONS 32768u

struct p4_counter {
    u64 packets, bytes;
};

struct p4_switch {
    /* The statistics come first: they are read from outside. */
    u64 packets, dropped_ingress, dropped_egress, parser_errors, loop_limit, failed_assertions;
    u64 origin; /* time of the first packet */
    u64 random; /* state of the generator, never 0 */
    u32 started;
    u32 drop_port, max_passes, max_copies;
    struct p4_copies **groups;   /* P4_GROUPS, by number */
    struct p4_copies **sessions; /* P4_SESSIONS, by number */
    void *object[];              /* tables, counters, ... in the order of the program */
};

P4_INLINE u64 p4_random(struct p4_switch *s) {
    s->random ^= s->random >> 12;
    s->random ^= s->random << 25;
    s->random ^= s->random >> 27;
    return s->random * 0x2545F4914F6CDD1Du;
}

/* A number from `low` to `high`, both included. */
P4_INLINE u64 p4_random_between(struct p4_switch *s, u64 low, u64 high) {
    u64 span = high - low + 1, value = p4_random(s);
    return span ? low + (u64)(((u128)value * span) >> 64) : value;
}

/* What comes out: a frame for a port, a sample of a digest, or a report of a packet's way, which only
 * a program that was translated for it gives. */
enum { P4_FRAME, P4_DIGEST, P4_REPORT };

struct p4_output {
    u32 kind;
    u32 port; /* or the number of the digest, or of the point that reports */
    u32 length;
    u32 unused;
    u64 offset; /* into the bytes of the worker */
    u64 now;
};

struct p4_buffer {
    struct p4_buffer *next;
    u8 data[];
};

/* Used by one thread at a time. `error` is set when memory ran out; the packet is then lost. */
struct p4_worker {
    struct p4_output *outputs;
    u32 count, room;
    u8 *bytes;
    u64 used, size;
    u8 *scratch;
    u64 scratch_size;
    void *spare;               /* packets not in use */
    struct p4_buffer *buffers; /* frames that went round while the present packet was run */
    u64 buffered;
    u32 first;  /* the first output of the present packet */
    u32 passes; /* of the present packet through ingress */
    u64 error;
};

/* Room for `more` bytes behind those in use; NULL if there is none. */
P4_INLINE u8 *p4_reserve(struct p4_worker *w, u64 more) {
    if (P4_UNLIKELY(w->size - w->used < more)) {
        u64 size = (w->size + more) * 2;
        u8 *bytes = realloc(w->bytes, size);
        if (!bytes) {
            w->error++;
            return NULL;
        }
        w->bytes = bytes;
        w->size = size;
    }
    return w->bytes + w->used;
}

/* Note that the next `length` bytes are an output. */
P4_INLINE void p4_emit(struct p4_worker *w, u32 kind, u32 port, u32 length, u64 now) {
    if (P4_UNLIKELY(w->count == w->room)) {
        u32 room = w->room ? w->room * 2 : 256;
        struct p4_output *outputs = realloc(w->outputs, room * sizeof *outputs);
        if (!outputs) {
            w->error++;
            return;
        }
        w->outputs = outputs;
        w->room = room;
    }
    w->outputs[w->count++] = (struct p4_output){kind, port, length, 0, w->used, now};
    w->used += length;
}

/* Note words: a sample of a digest, or a report. */
static P4_UNUSED void p4_emit_words(struct p4_worker *w, u32 kind, u32 number, const u64 *words,
                                    u32 count, u64 now) {
    u8 *out = p4_reserve(w, count * sizeof *words);
    if (!out)
        return;
    memcpy(out, words, count * sizeof *words);
    p4_emit(w, kind, number, (u32)(count * sizeof *words), now);
}

/* `size` bytes that are used until the next call; NULL if there is no memory. */
P4_INLINE u8 *p4_scratch(struct p4_worker *w, u64 size) {
    if (P4_UNLIKELY(w->scratch_size < size)) {
        u8 *scratch = realloc(w->scratch, size * 2);
        if (!scratch) {
            w->error++;
            return NULL;
        }
        w->scratch = scratch;
        w->scratch_size = size * 2;
    }
    return w->scratch;
}

/* Bytes inside a frame: a varbit field, or the payload. */
struct p4_bytes {
    const u8 *data;
    u32 length;
};

/* What v1model keeps for a packet beside its fields. */
struct p4_core {
    struct p4_worker *worker;
    void *next; /* the next packet that waits, or is spare */
    struct p4_bytes frame, payload;
    u64 now;
    s64 length; /* of the packet as it is now: headers come and go */
    u32 ingress_length;
    u32 truncate_to;
    u32 parser_error, checksum_error;
    u32 clone, clone_list, digest, resubmit, recirculate;
    u32 depth; /* of copies of copies */
    u8 exit_;
};

/* Standard metadata that v1model sets and reads. A program's field of one of these is kept here. */
struct p4_standard {
    u32 ingress_port, egress_spec, egress_port, packet_length, instance_type, mcast_grp;
    u32 egress_rid, parser_error, checksum_error, enq_timestamp;
    u64 ingress_global_timestamp, egress_global_timestamp;
};

typedef void p4_run_fn(struct p4_switch *s, struct p4_worker *w, u32 port, const u8 *data,
                       u32 length, u64 now);

/* What a compiled program gives to the runtime. */
struct p4_program {
    u32 abi;
    u32 objects;
    p4_run_fn *run;
};

#endif
