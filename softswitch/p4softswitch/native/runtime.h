/* What the runtime offers to Python, which calls it by ctypes, and to packet_io.c. */
#ifndef P4_RUNTIME_H
#define P4_RUNTIME_H

#include "p4rt.h"

enum { P4_INSERT_EXISTS = -1, P4_INSERT_FULL = -2, P4_INSERT_NO_MEMORY = -3 };

/* Frames and bytes of a port, in the order of PortStats in library.py. */
struct p4_port_stats {
    u64 rx_packets, rx_bytes, tx_packets, tx_bytes;
    u64 tx_dropped, rx_errors, rx_cut_off;
    u64 rx_missed; /* the ring was full; p4_io_count_missed adds them up */
};

#define P4_BATCH 64u /* packets run before others may take the lock */
#define P4_MAX_WORKERS 16u

int p4_spread(int fd, u32 worker, u32 workers);

void p4_lock(void);
void p4_lock_batch(void);
void p4_unlock(void);
void p4_give_way(void);

struct p4_table *p4_table_new(u32 kind, u32 key_words, u32 arg_words, u32 max_ranges, u32 max_size,
                              u64 seed);
void p4_table_free(struct p4_table *t);
u32 p4_table_find(struct p4_table *t, const u64 *value, const u64 *mask,
                  const struct p4_range *ranges, u32 n, u32 priority);
s64 p4_table_insert(struct p4_table *t, const u64 *value, const u64 *mask,
                    const struct p4_range *ranges, u32 n, u32 priority, u32 action,
                    const u64 *args, u32 arg_words, u64 now);
void p4_table_modify(struct p4_table *t, u32 handle, u32 action, const u64 *args, u32 arg_words);
void p4_table_delete(struct p4_table *t, u32 handle);
u32 p4_table_lookup(struct p4_table *t, const u64 *key);
u32 p4_table_count(const struct p4_table *t);
struct p4_entry *p4_entry_address(struct p4_table *t, u32 handle);
u32 p4_table_list(struct p4_table *t, u32 *handles, u64 *seqs, u32 room);
u32 p4_table_sweep(struct p4_table *t, u64 now, u32 *handles, u64 *seqs, u32 room);

int p4_entry_set_meter(struct p4_table *t, u32 handle, const struct p4_meter *meter);
int p4_entry_get_meter(struct p4_table *t, u32 handle, struct p4_meter *to);

struct p4_switch *p4_switch_new(u32 objects, u32 drop_port, u32 max_passes, u32 max_copies,
                                u64 seed);
void p4_switch_set_object(struct p4_switch *s, u32 index, void *object);
int p4_switch_set_copies(struct p4_switch *s, int session, u32 number, const struct p4_copy *copy,
                         u32 count, u32 truncate_to);
void p4_switch_free(struct p4_switch *s);

struct p4_worker *p4_worker_new(void);
void p4_worker_free(struct p4_worker *w);
void p4_worker_forget_packets(struct p4_worker *w);
u32 p4_process(const struct p4_program *program, struct p4_switch *s, struct p4_worker *w,
               u32 port, const u8 *data, u32 length, u64 now);
u32 p4_process_batch(const struct p4_program *program, struct p4_switch *s, struct p4_worker *w,
                     u32 port, const u8 *data, const u64 *offsets, u32 count, u64 now);

u64 p4_meter_run(struct p4_meter *m, u64 amount, u64 now);
void p4_meter_configure(struct p4_meter *m, int configured, u64 cir, u64 cburst, u64 pir,
                        u64 pburst, s64 now);
u64 p4_size_of(int what);

u32 p4_cells_find(const u8 *cells, u32 size, u32 start, u32 stop, const u64 *keys, u32 n_keys,
                  u32 *indices, u64 *values);
u64 p4_switch_time(const struct p4_switch *s, u64 now);

#endif
