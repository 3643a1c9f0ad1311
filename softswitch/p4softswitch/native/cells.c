/* Finding cells of registers without making an object of each: most of them hold nothing. */
#include "runtime.h"

/* The number in `size` bytes, which are 1, 2, 4 or at least 8, of which 8 count. */
static u64 word_at(const u8 *cell, u32 size) {
    u16 half;
    u32 word;
    u64 all;
    switch (size) {
    case 1:
        return *cell;
    case 2:
        memcpy(&half, cell, sizeof half);
        return half;
    case 4:
        memcpy(&word, cell, sizeof word);
        return word;
    default:
        memcpy(&all, cell, sizeof all);
        return all;
    }
}

static int matches(const u64 *cell, const u64 *key, u32 words) {
    for (u32 i = 0; i < words; i++)
        if ((cell[i] & key[words + i]) != key[i])
            return 0;
    return 1;
}

/*
 * The cells from `start` up to but not including `stop` that do not hold 0 and match one of the
 * keys; without keys all that do not hold 0. A key is a value and a mask, `words` words each.
 * A cell is of `size` bytes, its lowest word first. Indices and words of what is found are stored;
 * there must be room for all cells of the range. Returns how many there are. The caller holds the
 * lock.
 */
u32 p4_cells_find(const u8 *cells, u32 size, u32 start, u32 stop, const u64 *keys, u32 n_keys,
                  u32 *indices, u64 *values) {
    u32 n = 0, words = (size + 7) / 8;
    for (u32 index = start; index < stop; index++) {
        u64 *cell = values + (u64)n * words, any = 0;
        for (u32 i = 0; i < words; i++)
            any |= cell[i] = word_at(cells + (u64)index * size + 8 * i, size - 8 * i);
        if (!any)
            continue;
        u32 key = 0;
        while (key < n_keys && !matches(cell, keys + (u64)key * 2 * words, words))
            key++;
        if (!n_keys || key < n_keys)
            indices[n++] = index;
    }
    return n;
}

/* What the program's clock says at `now`, in microseconds; 0 before the first packet. */
u64 p4_switch_time(const struct p4_switch *s, u64 now) {
    return s->started && now > s->origin ? (now - s->origin) / 1000 : 0;
}
