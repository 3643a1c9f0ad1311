/* Packets from files to files: reading classic pcap, running frames in batches, writing pcap. */
#include <errno.h>
#include <unistd.h>

#include "runtime.h"

#define LARGEST_RECORD 262144u
#define PORTS 512u

struct p4_input {
    u64 time; /* ns */
    const u8 *data;
    u32 length, port;
};

/* Where the frames of a port go; `fd` is -1 for a port without a file. */
struct p4_file {
    struct p4_port_stats stats; /* read from outside */
    s64 fd;
    u8 *buffer;
    u64 used, size;
};

/*
 * Find the records of a file behind its header. `swapped` says that it was written on a machine
 * of the other byte order, `unit` how many ns its fractions of a second have. Returns how many
 * there are (of which at most `room` are stored), or -1 - the place where the file is cut off.
 */
s64 p4_pcap_index(const u8 *data, u64 size, int swapped, u64 unit, u32 port,
                  struct p4_input *inputs, u64 room) {
    u64 n = 0, at = 24;
    while (at < size) {
        u32 head[4];
        if (size - at < sizeof head)
            return -1 - (s64)at;
        memcpy(head, data + at, sizeof head);
        if (swapped)
            for (int i = 0; i < 4; i++)
                head[i] = __builtin_bswap32(head[i]);
        at += sizeof head;
        if (head[2] > LARGEST_RECORD || head[2] > size - at)
            return -1 - (s64)at;
        if (n < room)
            inputs[n] = (struct p4_input){head[0] * (u64)P4_SECOND + head[1] * unit, data + at,
                                          head[2], port};
        at += head[2];
        n++;
    }
    return (s64)n;
}

static void put_record(struct p4_file *file, const u8 *data, u32 length, u64 now) {
    u32 head[4] = {(u32)(now / P4_SECOND), (u32)(now % P4_SECOND), length, length};
    if (file->size - file->used < sizeof head + length) {
        u64 size = (file->size + sizeof head + length) * 2;
        u8 *buffer = realloc(file->buffer, size);
        if (!buffer) {
            file->stats.tx_dropped++;
            return;
        }
        file->buffer = buffer;
        file->size = size;
    }
    memcpy(file->buffer + file->used, head, sizeof head);
    memcpy(file->buffer + file->used + sizeof head, data, length);
    file->used += sizeof head + length;
    file->stats.tx_packets++;
    file->stats.tx_bytes += length;
}

static void write_out(struct p4_file *file) {
    for (u64 done = 0; done < file->used;) {
        ssize_t n = write((int)file->fd, file->buffer + done, file->used - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            file->stats.tx_dropped++; /* the disk is full: the rest of this batch is lost */
            break;
        }
        done += (u64)n;
    }
    file->used = 0;
}

/* `files` has PORTS elements. */
void p4_files_free(struct p4_file *files) {
    for (u32 i = 0; i < PORTS; i++)
        free(files[i].buffer);
}

/*
 * Run frames and write what goes to ports with files. The other outputs stay in the worker; how
 * many there are.
 */
u32 p4_run_inputs(const struct p4_program *program, struct p4_switch *s, struct p4_worker *w,
                  const struct p4_input *inputs, u32 count, struct p4_file *files, u64 now) {
    w->count = 0;
    w->used = 0;
    for (u32 i = 0; i < count;) {
        p4_lock();
        for (u32 end = i + P4_BATCH; i < count && i < end; i++) {
            files[inputs[i].port].stats.rx_packets++;
            files[inputs[i].port].stats.rx_bytes += inputs[i].length;
            program->run(s, w, inputs[i].port, inputs[i].data, inputs[i].length, now);
        }
        p4_unlock();
        p4_give_way();
    }
    u32 kept = 0;
    for (u32 i = 0; i < w->count; i++) {
        struct p4_output *out = &w->outputs[i];
        if (out->kind == P4_FRAME && out->port < PORTS && files[out->port].fd >= 0)
            put_record(&files[out->port], w->bytes + out->offset, out->length, now);
        else
            w->outputs[kept++] = *out;
    }
    for (u32 i = 0; i < PORTS; i++)
        if (files[i].used)
            write_out(&files[i]);
    return w->count = kept;
}
