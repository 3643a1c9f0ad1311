/*
 * What is not on the way of a packet: making a switch and its tables, and changing them.
 *
 * Functions that change or read what packets touch take the lock, which whoever runs packets holds
 * for a batch. So no packet sees half an update.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "runtime.h"

/* --- the lock ----------------------------------------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static atomic_uint waiting;

#define P4_SPINS 200u

static void p4_pause(void) {
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ volatile("yield");
#endif
}

void p4_lock(void) {
    if (pthread_mutex_trylock(&lock) == 0)
        return;
    atomic_fetch_add(&waiting, 1);
    pthread_mutex_lock(&lock);
    atomic_fetch_sub(&waiting, 1);
}

/*
 * The lock for a worker. Another one is soon done with its batch, so that it is tried for some
 * microseconds before the thread goes to sleep, which takes longer. Workers are not waited for by
 * p4_give_way: each leaves the lock alone while it sends.
 */
void p4_lock_batch(void) {
    for (u32 i = 0; i < P4_SPINS; i++) {
        if (pthread_mutex_trylock(&lock) == 0)
            return;
        p4_pause();
    }
    pthread_mutex_lock(&lock);
}

void p4_unlock(void) { pthread_mutex_unlock(&lock); }

/* A thread that runs batches back to back would take the lock again before others wake up. */
void p4_give_way(void) {
    for (int i = 0; i < 100 && atomic_load(&waiting); i++)
        sched_yield();
}

#define HUGE (2ull << 20)

/* --- hashes ------------------------------------------------------------------------------------- */

/*
 * Memory for `size` bytes, in huge pages if it fills some: with many entries, most of a look-up is
 * waiting for memory, and much of that for the tables of small pages. To be freed by free().
 */
static void *large(u64 size) {
    void *found;
    if (size < HUGE)
        return malloc(size);
    if (posix_memalign(&found, HUGE, (size + HUGE - 1) / HUGE * HUGE))
        return NULL;
    (void)madvise(found, size / HUGE * HUGE, MADV_HUGEPAGE);
    return found;
}

static int hash_resize(struct p4_hash *h, u32 slots) {
    struct p4_slot *fresh = large(slots * sizeof *fresh), *old = h->slots;
    if (!fresh)
        return 0;
    for (u32 i = 0; i < slots; i++)
        fresh[i].handle = P4_NONE;
    if (old)
        for (u32 i = 0; i <= h->mask; i++) {
            if (old[i].handle == P4_NONE)
                continue;
            u32 at = old[i].hash & (slots - 1);
            while (fresh[at].handle != P4_NONE)
                at = (at + 1) & (slots - 1);
            fresh[at] = old[i];
        }
    free(old);
    h->slots = fresh;
    h->mask = slots - 1;
    return 1;
}

/* Room for one more; 0 if there is no memory. */
static int hash_make_room(struct p4_hash *h) {
    if (!h->slots)
        return hash_resize(h, 16);
    return (h->used + 1) * 8ull <= (h->mask + 1ull) * 5 || hash_resize(h, (h->mask + 1) * 2);
}

static void hash_add(struct p4_hash *h, u32 hash, u32 handle) {
    u32 at = hash & h->mask;
    while (h->slots[at].handle != P4_NONE)
        at = (at + 1) & h->mask;
    h->slots[at] = (struct p4_slot){hash, handle};
    h->used++;
}

static struct p4_slot *hash_slot(struct p4_hash *h, u32 hash, u32 handle) {
    u32 at = hash & h->mask;
    while (h->slots[at].handle != handle)
        at = (at + 1) & h->mask;
    return &h->slots[at];
}

/* Free a slot, and move those behind it that would not be found any more. */
static void hash_remove(struct p4_hash *h, struct p4_slot *slot) {
    u32 hole = (u32)(slot - h->slots), at = hole;
    for (;;) {
        at = (at + 1) & h->mask;
        if (h->slots[at].handle == P4_NONE)
            break;
        u32 home = h->slots[at].hash & h->mask;
        if (((at - home) & h->mask) >= ((at - hole) & h->mask)) {
            h->slots[hole] = h->slots[at];
            hole = at;
        }
    }
    h->slots[hole].handle = P4_NONE;
    h->used--;
}

/* --- entries ------------------------------------------------------------------------------------ */

static u64 *mask_of(const struct p4_table *t, struct p4_entry *e) {
    return e->words + t->key_words;
}

static u64 *args_of(const struct p4_table *t, struct p4_entry *e) {
    return e->words + (t->kind == P4_EXACT ? 1 : 2) * t->key_words;
}

static struct p4_range *ranges_of(const struct p4_table *t, struct p4_entry *e) {
    return (struct p4_range *)(e->words + 2 * t->key_words + t->arg_words);
}

static struct p4_entry *entry_take(struct p4_table *t) {
    struct p4_entry *e;
    if (t->free != P4_NONE) {
        e = p4_entry_at(t, t->free);
        t->free = e->next;
        u32 handle = e->handle;
        memset(e, 0, t->stride);
        e->handle = handle;
        e->next = P4_NONE;
        return e;
    }
    if (t->taken == t->slab_count * P4_SLAB) {
        u64 size = (u64)P4_SLAB * t->stride;
        /* A table with few entries shall not take a huge page. */
        u8 *slab = t->slab_count ? large(size) : malloc(size);
        u8 **slabs = realloc(t->slabs, (t->slab_count + 1) * sizeof *slabs);
        if (slabs)
            t->slabs = slabs;
        if (!slab || !slabs) {
            free(slab);
            return NULL;
        }
        t->slabs[t->slab_count++] = slab;
    }
    e = p4_entry_at(t, t->taken);
    memset(e, 0, t->stride);
    e->handle = t->taken++;
    e->next = P4_NONE;
    return e;
}

static void entry_give_back(struct p4_table *t, struct p4_entry *e) {
    free(e->meter);
    e->meter = NULL;
    e->seq = 0;
    e->next = t->free;
    t->free = e->handle;
}

static void age_add(struct p4_table *t, struct p4_entry *e) {
    e->older = t->newest;
    e->newer = P4_NONE;
    if (t->newest == P4_NONE)
        t->oldest = e->handle;
    else
        p4_entry_at(t, t->newest)->newer = e->handle;
    t->newest = e->handle;
    e->seq = ++t->next_seq;
    t->count++;
}

static void age_remove(struct p4_table *t, struct p4_entry *e) {
    if (e->older == P4_NONE)
        t->oldest = e->newer;
    else
        p4_entry_at(t, e->older)->newer = e->newer;
    if (e->newer == P4_NONE)
        t->newest = e->older;
    else
        p4_entry_at(t, e->newer)->older = e->older;
    t->count--;
}

static int better(const struct p4_entry *a, const struct p4_entry *b) {
    return a->priority != b->priority ? a->priority > b->priority : a->seq < b->seq;
}

/* --- groups of entries with the same mask ------------------------------------------------------- */

static struct p4_group *group_of(const struct p4_table *t, const u64 *mask) {
    for (u32 i = 0; i < t->group_count; i++)
        if (p4_same(t->groups[i]->mask, mask, t->key_words))
            return t->groups[i];
    return NULL;
}

/* Move a group to its place, which is by its highest priority. */
static void group_sort(struct p4_table *t, struct p4_group *group) {
    u32 at = 0;
    while (t->groups[at] != group)
        at++;
    for (; at > 0 && t->groups[at - 1]->top < group->top; at--)
        t->groups[at] = t->groups[at - 1];
    for (; at + 1 < t->group_count && t->groups[at + 1]->top > group->top; at++)
        t->groups[at] = t->groups[at + 1];
    t->groups[at] = group;
}

static struct p4_group *group_new(struct p4_table *t, const u64 *mask) {
    if (t->group_count == t->group_room) {
        u32 room = t->group_room ? t->group_room * 2 : 16;
        struct p4_group **groups = realloc(t->groups, room * sizeof *groups);
        if (!groups)
            return NULL;
        t->groups = groups;
        t->group_room = room;
    }
    struct p4_group *group = calloc(1, sizeof *group + t->key_words * sizeof *mask);
    if (!group)
        return NULL;
    memcpy(group->mask, mask, t->key_words * sizeof *mask);
    t->groups[t->group_count++] = group;
    return group;
}

static void group_free(struct p4_table *t, struct p4_group *group) {
    u32 at = 0;
    while (t->groups[at] != group)
        at++;
    memmove(&t->groups[at], &t->groups[at + 1], (--t->group_count - at) * sizeof *t->groups);
    free(group->hash.slots);
    free(group);
}

/* The slot of a masked key in its group; NULL if no entry has it. */
static struct p4_slot *group_slot(const struct p4_table *t, struct p4_group *group,
                                  const u64 *value, u32 hash) {
    if (!group->hash.slots)
        return NULL;
    for (u32 at = hash & group->hash.mask; group->hash.slots[at].handle != P4_NONE;
         at = (at + 1) & group->hash.mask) {
        struct p4_slot *slot = &group->hash.slots[at];
        if (slot->hash == hash &&
            p4_same(p4_entry_at(t, slot->handle)->words, value, t->key_words))
            return slot;
    }
    return NULL;
}

/* Few entries are compared one by one: `scan` holds them, the best first. */
static void scan_fill(struct p4_table *t) {
    if (t->count > P4_SCAN)
        return;
    u32 n = 0;
    for (u32 handle = t->oldest; handle != P4_NONE; handle = p4_entry_at(t, handle)->newer) {
        struct p4_entry *e = p4_entry_at(t, handle);
        u32 at = n++;
        for (; at > 0 && better(e, p4_entry_at(t, t->scan[at - 1])); at--)
            t->scan[at] = t->scan[at - 1];
        t->scan[at] = handle;
    }
}

/* Put an entry, or a part of one, into the group of its mask; 0 if there is no memory. */
static int group_add(struct p4_table *t, struct p4_entry *e) {
    struct p4_group *group = group_of(t, mask_of(t, e));
    if (!group && !(group = group_new(t, mask_of(t, e))))
        return 0;
    if (!hash_make_room(&group->hash)) {
        if (!group->entries)
            group_free(t, group);
        return 0;
    }
    u32 hash = p4_hash_key(t->seed, e->words, NULL, t->key_words);
    struct p4_slot *slot = group_slot(t, group, e->words, hash);
    if (!slot) {
        hash_add(&group->hash, hash, e->handle);
    } else {
        struct p4_entry *first = p4_entry_at(t, slot->handle);
        if (better(e, first)) {
            e->next = first->handle;
            slot->handle = e->handle;
        } else {
            while (first->next != P4_NONE && !better(e, p4_entry_at(t, first->next)))
                first = p4_entry_at(t, first->next);
            e->next = first->next;
            first->next = e->handle;
        }
    }
    group->entries++;
    if (group->entries == 1 || e->priority > group->top)
        group->top = e->priority;
    group_sort(t, group);
    return 1;
}

static void group_remove(struct p4_table *t, struct p4_entry *e) {
    struct p4_group *group = group_of(t, mask_of(t, e));
    u32 hash = p4_hash_key(t->seed, e->words, NULL, t->key_words);
    struct p4_slot *slot = group_slot(t, group, e->words, hash);
    if (slot->handle == e->handle) {
        if (e->next == P4_NONE)
            hash_remove(&group->hash, slot);
        else
            slot->handle = e->next;
    } else {
        struct p4_entry *before = p4_entry_at(t, slot->handle);
        while (before->next != e->handle)
            before = p4_entry_at(t, before->next);
        before->next = e->next;
    }
    /* The top of a group may stay too high, which costs a look-up but finds the same. It is put
     * right when all of the group has been deleted. */
    if (!--group->entries)
        group_free(t, group);
}

/* --- parts of entries with ranges ---------------------------------------------------------------- */

static u64 low_bits(u32 count) { return count < 64 ? (1ull << count) - 1 : ~0ull; }

/* The smallest range, which leaves the fewest entries to be compared. */
static struct p4_range smallest(const struct p4_range *ranges, u32 n) {
    u32 at = 0;
    for (u32 i = 1; i < n; i++)
        if (ranges[i].high - ranges[i].low < ranges[at].high - ranges[at].low)
            at = i;
    return ranges[at];
}

/* How many bits of the field are free in the prefix that begins at `low` and ends by `high`. */
static u32 free_bits(u64 low, u64 high) {
    u32 bits = low ? (u32)__builtin_ctzll(low) : 64;
    while (bits && low_bits(bits) > high - low)
        bits--;
    return bits;
}

/* Put `bits` of a field at `shift` into a packed key. */
static void put_field(u64 *words, u32 shift, u64 bits) {
    u32 word = shift / 64, at = shift % 64;
    words[word] |= bits << at;
    if (at && bits >> (64 - at))
        words[word + 1] |= bits >> (64 - at);
}

/* Value and mask of the part whose prefix begins at `low`. */
static void put_prefix(u64 *value, u64 *mask, struct p4_range range, u64 low, u32 bits) {
    put_field(value, range.shift, low);
    put_field(mask, range.shift, low_bits(range.width) & ~low_bits(bits));
}

static void parts_remove(struct p4_table *t, struct p4_entry *e) {
    for (u32 handle = e->next; handle != P4_NONE;) {
        struct p4_entry *part = p4_entry_at(t, handle);
        handle = part->older;
        group_remove(t, part);
        entry_give_back(t, part);
    }
    e->next = P4_NONE;
}

static int parts_add(struct p4_table *t, struct p4_entry *e) {
    struct p4_range range = smallest(ranges_of(t, e), e->ranges);
    for (u64 low = range.low;;) {
        struct p4_entry *part = entry_take(t);
        if (!part) {
            parts_remove(t, e);
            return 0;
        }
        u32 bits = free_bits(low, range.high);
        part->priority = e->priority;
        part->seq = e->seq;
        part->flags = P4_ENTRY_PART;
        part->newer = e->handle;
        part->ranges = e->ranges;
        memcpy(part->words, e->words, t->stride - sizeof *e);
        put_prefix(part->words, mask_of(t, part), range, low, bits);
        if (!group_add(t, part)) {
            entry_give_back(t, part);
            parts_remove(t, e);
            return 0;
        }
        part->older = e->next;
        e->next = part->handle;
        if (range.high - low <= low_bits(bits))
            return 1;
        low += low_bits(bits) + 1;
    }
}

static int masked_add(struct p4_table *t, struct p4_entry *e) {
    age_add(t, e);
    if (!(e->ranges ? parts_add(t, e) : group_add(t, e))) {
        age_remove(t, e);
        return 0;
    }
    scan_fill(t);
    return 1;
}

static void masked_remove(struct p4_table *t, struct p4_entry *e) {
    if (e->ranges)
        parts_remove(t, e);
    else
        group_remove(t, e);
    age_remove(t, e);
    scan_fill(t);
}

/* --- tables, for the control plane -------------------------------------------------------------- */

struct p4_table *p4_table_new(u32 kind, u32 key_words, u32 arg_words, u32 max_ranges, u32 max_size,
                              u64 seed) {
    struct p4_table *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->kind = kind;
    t->key_words = key_words;
    t->arg_words = arg_words;
    t->max_ranges = max_ranges;
    t->max_size = max_size;
    t->seed = seed;
    t->free = t->oldest = t->newest = P4_NONE;
    u64 words = (u64)(kind == P4_EXACT ? 1 : 2) * key_words + arg_words;
    t->stride = (u32)(sizeof(struct p4_entry) + words * sizeof(u64) +
                      max_ranges * sizeof(struct p4_range));
    t->fallback = calloc(1, t->stride);
    if (t->fallback) {
        t->fallback->handle = P4_NONE;
        return t;
    }
    free(t);
    return NULL;
}

void p4_table_free(struct p4_table *t) {
    for (u32 h = t->oldest; h != P4_NONE; h = p4_entry_at(t, h)->newer)
        free(p4_entry_at(t, h)->meter);
    while (t->group_count)
        group_free(t, t->groups[0]);
    for (u32 i = 0; i < t->slab_count; i++)
        free(t->slabs[i]);
    free(t->slabs);
    free(t->groups);
    free(t->exact.slots);
    free(t->fallback);
    free(t);
}

static struct p4_entry *find(struct p4_table *t, const u64 *value, const u64 *mask,
                             const struct p4_range *ranges, u32 n, u32 priority) {
    if (t->kind == P4_EXACT)
        return p4_find_exact(t, value, t->key_words);
    u64 first[2 * t->key_words];
    memcpy(first, value, t->key_words * sizeof *value);
    memcpy(first + t->key_words, mask, t->key_words * sizeof *mask);
    if (n) {
        struct p4_range range = smallest(ranges, n);
        u32 bits = free_bits(range.low, range.high);
        put_prefix(first, first + t->key_words, range, range.low, bits);
    }
    struct p4_group *group = group_of(t, first + t->key_words);
    u32 hash = p4_hash_key(t->seed, first, NULL, t->key_words);
    struct p4_slot *slot = group ? group_slot(t, group, first, hash) : NULL;
    for (u32 h = slot ? slot->handle : P4_NONE; h != P4_NONE; h = p4_entry_at(t, h)->next) {
        struct p4_entry *e = p4_entry_at(t, h);
        if (e->flags & P4_ENTRY_PART)
            e = p4_entry_at(t, e->newer);
        if (e->priority == priority && e->ranges == n &&
            p4_same(e->words, value, t->key_words) && p4_same(mask_of(t, e), mask, t->key_words) &&
            (!n || !memcmp(ranges_of(t, e), ranges, n * sizeof *ranges)))
            return e;
    }
    return NULL;
}

/* The handle of the entry with this very match, P4_NONE if there is none. */
u32 p4_table_find(struct p4_table *t, const u64 *value, const u64 *mask,
                  const struct p4_range *ranges, u32 n, u32 priority) {
    p4_lock();
    struct p4_entry *e = find(t, value, mask, ranges, n, priority);
    u32 handle = e ? e->handle : P4_NONE;
    p4_unlock();
    return handle;
}

/* Add an entry; its handle, or one of P4_INSERT_*. */
s64 p4_table_insert(struct p4_table *t, const u64 *value, const u64 *mask,
                    const struct p4_range *ranges, u32 n, u32 priority, u32 action,
                    const u64 *args, u32 arg_words, u64 now) {
    s64 result = P4_INSERT_NO_MEMORY;
    struct p4_entry *e;
    p4_lock();
    if (find(t, value, mask, ranges, n, priority)) {
        result = P4_INSERT_EXISTS;
    } else if (t->count >= t->max_size) {
        result = P4_INSERT_FULL;
    } else if ((e = entry_take(t))) {
        size_t key_bytes = t->key_words * sizeof *value;
        e->priority = priority;
        e->action = action;
        e->last_hit = now;
        memcpy(e->words, value, key_bytes);
        memcpy(args_of(t, e), args, arg_words * sizeof *args);
        int added;
        if (t->kind == P4_EXACT) {
            added = hash_make_room(&t->exact);
            if (added) {
                age_add(t, e);
                hash_add(&t->exact, p4_hash_key(t->seed, value, NULL, t->key_words), e->handle);
            }
        } else {
            memcpy(mask_of(t, e), mask, key_bytes);
            e->ranges = n;
            if (n)
                memcpy(ranges_of(t, e), ranges, n * sizeof *ranges);
            added = masked_add(t, e);
        }
        if (added)
            result = e->handle;
        else
            entry_give_back(t, e);
    }
    p4_unlock();
    return result;
}

static struct p4_entry *entry_of(struct p4_table *t, u32 handle) {
    return handle == P4_NONE ? t->fallback : p4_entry_at(t, handle);
}

/* Replace the action of an entry, or with P4_NONE of the default entry. */
void p4_table_modify(struct p4_table *t, u32 handle, u32 action, const u64 *args, u32 arg_words) {
    p4_lock();
    struct p4_entry *e = entry_of(t, handle);
    e->action = action;
    memset(args_of(t, e), 0, t->arg_words * sizeof *args);
    memcpy(args_of(t, e), args, arg_words * sizeof *args);
    p4_unlock();
}

void p4_table_delete(struct p4_table *t, u32 handle) {
    p4_lock();
    struct p4_entry *e = p4_entry_at(t, handle);
    if (t->kind == P4_EXACT) {
        u32 hash = p4_hash_key(t->seed, e->words, NULL, t->key_words);
        hash_remove(&t->exact, hash_slot(&t->exact, hash, handle));
        age_remove(t, e);
    } else {
        masked_remove(t, e);
    }
    entry_give_back(t, e);
    p4_unlock();
}

/* The handle of what a packed key hits, P4_NONE if nothing. */
u32 p4_table_lookup(struct p4_table *t, const u64 *key) {
    p4_lock();
    struct p4_entry *e = t->kind == P4_EXACT ? p4_find_exact(t, key, t->key_words)
                                             : p4_find_masked(t, key, t->key_words);
    u32 handle = e ? e->handle : P4_NONE;
    p4_unlock();
    return handle;
}

/* Handles and sequence numbers of all entries, oldest first; how many, at most `room`. */
u32 p4_table_list(struct p4_table *t, u32 *handles, u64 *seqs, u32 room) {
    u32 n = 0;
    p4_lock();
    for (u32 h = t->oldest; h != P4_NONE && n < room; h = p4_entry_at(t, h)->newer, n++) {
        handles[n] = h;
        seqs[n] = p4_entry_at(t, h)->seq;
    }
    p4_unlock();
    return n;
}

u32 p4_table_count(const struct p4_table *t) { return t->count; }

/* Where an entry is, P4_NONE is the default entry; it stays there as long as the table exists. */
struct p4_entry *p4_entry_address(struct p4_table *t, u32 handle) { return entry_of(t, handle); }

/* Set the direct meter of an entry, or with `meter` NULL take it away; 0 if there is no memory. */
int p4_entry_set_meter(struct p4_table *t, u32 handle, const struct p4_meter *meter) {
    struct p4_meter *fresh = NULL;
    if (meter) {
        if (!(fresh = malloc(sizeof *fresh)))
            return 0;
        *fresh = *meter;
    }
    p4_lock();
    struct p4_entry *e = entry_of(t, handle);
    free(e->meter);
    e->meter = fresh;
    p4_unlock();
    return 1;
}

/* The configuration of the direct meter of an entry; 0 if it has none. */
int p4_entry_get_meter(struct p4_table *t, u32 handle, struct p4_meter *to) {
    p4_lock();
    const struct p4_meter *meter = entry_of(t, handle)->meter;
    int has = meter != NULL;
    if (has)
        *to = *meter;
    p4_unlock();
    return has;
}

/*
 * Look through all entries for idle ones that were not reported the last time; how many there
 * are, at most `room`. The lock is given up now and then: only the caller changes the table.
 */
u32 p4_table_sweep(struct p4_table *t, u64 now, u32 *handles, u64 *seqs, u32 room) {
    u32 n = 0, looked = 0;
    p4_lock();
    for (u32 h = t->oldest; h != P4_NONE; looked++) {
        struct p4_entry *e = p4_entry_at(t, h);
        h = e->newer;
        s64 idle = (s64)(now - e->last_hit);
        if (!e->idle_timeout || idle < 0 || (u64)idle < e->idle_timeout ||
            e->flags & P4_ENTRY_NOTIFIED) {
            e->flags &= ~(u32)P4_ENTRY_NOTIFIED;
        } else if (n < room) {
            e->flags |= P4_ENTRY_NOTIFIED;
            handles[n] = e->handle;
            seqs[n++] = e->seq;
        }
        if (looked % 1024 == 1023) {
            p4_unlock();
            p4_lock();
        }
    }
    p4_unlock();
    return n;
}

/* --- switches and workers ----------------------------------------------------------------------- */

struct p4_switch *p4_switch_new(u32 objects, u32 drop_port, u32 max_passes, u32 max_copies,
                                u64 seed) {
    struct p4_switch *s = calloc(1, sizeof *s + objects * sizeof(void *));
    if (!s)
        return NULL;
    s->drop_port = drop_port;
    s->max_passes = max_passes;
    s->max_copies = max_copies;
    s->random = seed ? seed : 1;
    s->groups = calloc(P4_GROUPS, sizeof *s->groups);
    s->sessions = calloc(P4_SESSIONS, sizeof *s->sessions);
    if (s->groups && s->sessions)
        return s;
    free(s->groups);
    free(s->sessions);
    free(s);
    return NULL;
}

void p4_switch_set_object(struct p4_switch *s, u32 index, void *object) {
    s->object[index] = object;
}

void p4_switch_free(struct p4_switch *s) {
    for (u32 i = 0; i < P4_GROUPS; i++)
        free(s->groups[i]);
    for (u32 i = 0; i < P4_SESSIONS; i++)
        free(s->sessions[i]);
    free(s->groups);
    free(s->sessions);
    free(s);
}

/* Set the copies of a group (or session); with `count` 0 there are none. 0: no memory. */
int p4_switch_set_copies(struct p4_switch *s, int session, u32 number, const struct p4_copy *copy,
                         u32 count, u32 truncate_to) {
    struct p4_copies *fresh = NULL;
    if (number >= (session ? P4_SESSIONS : P4_GROUPS))
        return 0;
    if (count) {
        if (!(fresh = malloc(sizeof *fresh + count * sizeof *copy)))
            return 0;
        fresh->count = count;
        fresh->truncate_to = truncate_to;
        memcpy(fresh->copy, copy, count * sizeof *copy);
    }
    p4_lock();
    struct p4_copies **at = &(session ? s->sessions : s->groups)[number];
    free(*at);
    *at = fresh;
    p4_unlock();
    return 1;
}

struct p4_worker *p4_worker_new(void) { return calloc(1, sizeof(struct p4_worker)); }

/* Packets in `spare` begin with p4_core, which links them. */
void p4_worker_free(struct p4_worker *w) {
    while (w->spare) {
        struct p4_core *packet = w->spare;
        w->spare = packet->next;
        free(packet);
    }
    free(w->outputs);
    free(w->bytes);
    free(w->scratch);
    free(w);
}

/* Packets of one program are of no use to another. */
void p4_worker_forget_packets(struct p4_worker *w) {
    while (w->spare) {
        struct p4_core *packet = w->spare;
        w->spare = packet->next;
        free(packet);
    }
}

/* Run one frame; the outputs of the worker are those of this frame alone. */
u32 p4_process(const struct p4_program *program, struct p4_switch *s, struct p4_worker *w,
               u32 port, const u8 *data, u32 length, u64 now) {
    w->count = 0;
    w->used = 0;
    p4_lock();
    program->run(s, w, port, data, length, now);
    p4_unlock();
    return w->count;
}

/* Run the frames of one batch, all at `now`; the outputs of the worker are those of all. */
u32 p4_process_batch(const struct p4_program *program, struct p4_switch *s, struct p4_worker *w,
                     u32 port, const u8 *data, const u64 *offsets, u32 count, u64 now) {
    w->count = 0;
    w->used = 0;
    p4_lock();
    for (u32 i = 0; i < count; i++) {
        if (i % P4_BATCH == P4_BATCH - 1) {
            p4_unlock();
            p4_give_way();
            p4_lock();
        }
        program->run(s, w, port, data + offsets[i], (u32)(offsets[i + 1] - offsets[i]), now);
    }
    p4_unlock();
    return w->count;
}

/* --- meters and counters ------------------------------------------------------------------------ */

u64 p4_meter_run(struct p4_meter *m, u64 amount, u64 now) {
    p4_lock();
    u64 colour = p4_meter_execute(m, amount, now);
    p4_unlock();
    return colour;
}

void p4_meter_configure(struct p4_meter *m, int configured, u64 cir, u64 cburst, u64 pir,
                        u64 pburst, s64 now) {
    p4_lock();
    *m = (struct p4_meter){.configured = (u64)configured,
                           .cir = cir,
                           .cburst = cburst,
                           .pir = pir,
                           .pburst = pburst,
                           .last = now,
                           .peak = (u128)pburst * P4_SECOND,
                           .committed = (u128)cburst * P4_SECOND};
    p4_unlock();
}

u64 p4_size_of(int what) {
    switch (what) {
    case 0: return sizeof(struct p4_entry);
    case 1: return sizeof(struct p4_meter);
    case 2: return sizeof(struct p4_output);
    case 3: return offsetof(struct p4_worker, used);
    case 4: return P4_ABI;
    case 5: return P4_MAX_WORKERS;
    default: return 0;
    }
}
