/*
 * Ports on Linux interfaces: frames come from the ring of an AF_PACKET socket (packet(7)), are run
 * in batches and sent in batches, by one thread that never waits for Python.
 *
 * What is not for one of these ports (packets for the controller, samples of digests) goes into a
 * bounded queue, which Python empties in batches; what does not fit is counted and lost.
 */
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "runtime.h"

#define MAX_PORTS 64u
#define MAX_PORT 512u
#define FRAME_SIZE 2048u           /* of the ring; longer frames come by the socket's queue */
#define BLOCK_SIZE (1u << 18)
#define BLOCKS 32u                 /* 4096 frames, 8 MB */
#define LARGEST (65535u + 18u)
#define QUEUE_SIZE (4u << 20)
#define POLL_MS 500

/* Read from outside: the order is that of io/native.py. */
struct port {
    struct p4_port_stats stats;
    int fd;
    u32 number;
    u8 *ring;
    u32 at; /* the next frame of the ring */
    u32 waiting;
    struct mmsghdr messages[P4_BATCH];
    struct iovec parts[P4_BATCH];
};

struct record {
    u32 kind, port, length, unused;
    u64 now;
};

struct p4_io {
    /* Read from outside. */
    u64 no_program, no_such_port, queue_overflow, frames_queued;
    int wake, stop; /* eventfds: there is something in the queue; the thread shall end */
    atomic_int ending;
    struct port *ports[MAX_PORTS];
    struct port *by_number[MAX_PORT];
    u32 port_count;
    const struct p4_program *program; /* under the lock, as is the switch */
    struct p4_switch *s;
    struct p4_worker *worker;
    u8 *large; /* a frame that is too large for the ring */
    pthread_mutex_t queue_lock;
    u8 *queue;
    u64 head, tail; /* bytes ever taken and put; the queue is used as a ring */
};

static u64 now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * P4_SECOND + (u64)t.tv_nsec;
}

static void count(u64 *counter, u64 more) { __atomic_fetch_add(counter, more, __ATOMIC_RELAXED); }

void p4_io_free(struct p4_io *io) {
    for (u32 i = 0; i < io->port_count; i++) {
        munmap(io->ports[i]->ring, (size_t)BLOCK_SIZE * BLOCKS);
        free(io->ports[i]);
    }
    if (io->wake >= 0)
        close(io->wake);
    if (io->stop >= 0)
        close(io->stop);
    if (io->worker)
        p4_worker_free(io->worker);
    free(io->large);
    free(io->queue);
    free(io);
}

struct p4_io *p4_io_new(void) {
    struct p4_io *io = calloc(1, sizeof *io);
    if (!io)
        return NULL;
    pthread_mutex_init(&io->queue_lock, NULL);
    io->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    io->stop = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    io->worker = p4_worker_new();
    io->large = malloc(LARGEST + 4);
    io->queue = malloc(QUEUE_SIZE);
    if (io->wake >= 0 && io->stop >= 0 && io->worker && io->large && io->queue)
        return io;
    p4_io_free(io);
    return NULL;
}

int p4_io_wake_fd(const struct p4_io *io) { return io->wake; }

/* Add a port before the thread runs. `fd` is a socket that is not bound yet; 0, or an errno. */
int p4_io_add_port(struct p4_io *io, u32 number, int fd) {
    if (io->port_count == MAX_PORTS || number >= MAX_PORT)
        return ENOSPC;
    int version = TPACKET_V2, yes = 1;
    struct tpacket_req ring = {.tp_block_size = BLOCK_SIZE,
                               .tp_block_nr = BLOCKS,
                               .tp_frame_size = FRAME_SIZE,
                               .tp_frame_nr = BLOCK_SIZE / FRAME_SIZE * BLOCKS};
    /* Room in front of a frame for the VLAN tag that Linux has taken out of it. */
    int reserve = 16;
    if (setsockopt(fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) ||
        setsockopt(fd, SOL_PACKET, PACKET_RESERVE, &reserve, sizeof reserve) ||
        setsockopt(fd, SOL_PACKET, PACKET_COPY_THRESH, &yes, sizeof yes) ||
        setsockopt(fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring))
        return errno;
    /* No PACKET_QDISC_BYPASS: who captures on the interface would not see what the switch sends. */
    struct port *port = calloc(1, sizeof *port);
    if (!port)
        return ENOMEM;
    port->ring = mmap(NULL, (size_t)BLOCK_SIZE * BLOCKS, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (port->ring == MAP_FAILED) {
        free(port);
        return errno;
    }
    port->fd = fd;
    port->number = number;
    for (u32 i = 0; i < P4_BATCH; i++) {
        port->messages[i].msg_hdr.msg_iov = &port->parts[i];
        port->messages[i].msg_hdr.msg_iovlen = 1;
    }
    io->ports[io->port_count++] = port;
    io->by_number[number] = port;
    return 0;
}

struct p4_port_stats *p4_io_stats(struct p4_io *io, u32 number) {
    return &io->by_number[number]->stats;
}

/* Run another program from the next batch on, none with NULL. What waits is forgotten. */
void p4_io_use(struct p4_io *io, const struct p4_program *program, struct p4_switch *s) {
    p4_lock();
    io->program = program;
    io->s = s;
    p4_worker_forget_packets(io->worker);
    pthread_mutex_lock(&io->queue_lock);
    io->head = io->tail;
    pthread_mutex_unlock(&io->queue_lock);
    p4_unlock();
}

/* --- the queue to Python ------------------------------------------------------------------------ */

static void queue_copy_in(struct p4_io *io, const void *from, u64 size) {
    u64 at = io->tail % QUEUE_SIZE, first = QUEUE_SIZE - at < size ? QUEUE_SIZE - at : size;
    memcpy(io->queue + at, from, first);
    memcpy(io->queue, (const u8 *)from + first, size - first);
    io->tail += size;
}

static void queue_copy_out(struct p4_io *io, u64 from, void *to, u64 size) {
    u64 at = from % QUEUE_SIZE, first = QUEUE_SIZE - at < size ? QUEUE_SIZE - at : size;
    memcpy(to, io->queue + at, first);
    memcpy((u8 *)to + first, io->queue, size - first);
}

static void queue_put(struct p4_io *io, const struct p4_output *out, const u8 *data) {
    struct record record = {out->kind, out->port, out->length, 0, out->now};
    pthread_mutex_lock(&io->queue_lock);
    int empty = io->head == io->tail;
    if (QUEUE_SIZE - (io->tail - io->head) < sizeof record + out->length) {
        io->queue_overflow++;
    } else {
        queue_copy_in(io, &record, sizeof record);
        queue_copy_in(io, data, out->length);
        io->frames_queued++;
    }
    pthread_mutex_unlock(&io->queue_lock);
    u64 one = 1;
    if (empty)
        (void)!write(io->wake, &one, sizeof one);
}

/* Take whole records, each a `struct record` and its bytes; how many bytes, at most `room`. */
u64 p4_io_take(struct p4_io *io, u8 *to, u64 room) {
    u64 taken = 0, ignored;
    (void)!read(io->wake, &ignored, sizeof ignored);
    pthread_mutex_lock(&io->queue_lock);
    while (io->head != io->tail) {
        struct record record;
        queue_copy_out(io, io->head, &record, sizeof record);
        u64 size = sizeof record + record.length;
        if (size > room - taken)
            break;
        queue_copy_out(io, io->head, to + taken, size);
        io->head += size;
        taken += size;
    }
    int more = io->head != io->tail;
    pthread_mutex_unlock(&io->queue_lock);
    u64 one = 1;
    if (more)
        (void)!write(io->wake, &one, sizeof one);
    return taken;
}

/* --- sending ------------------------------------------------------------------------------------ */

static void flush(struct port *port) {
    u32 sent = 0;
    while (sent < port->waiting) {
        int n = sendmmsg(port->fd, port->messages + sent, port->waiting - sent, MSG_DONTWAIT);
        if (n <= 0) {
            if (n < 0 && errno == EINTR)
                continue;
            /* The interface is down, its queue full, or the frame too long for it. */
            count(&port->stats.tx_dropped, 1);
            sent++;
            continue;
        }
        u64 bytes = 0;
        for (u32 i = sent; i < sent + (u32)n; i++)
            bytes += port->parts[i].iov_len;
        count(&port->stats.tx_packets, (u64)n);
        count(&port->stats.tx_bytes, bytes);
        sent += (u32)n;
    }
    port->waiting = 0;
}

/* Send one frame; for another thread than that of p4_io_run. */
void p4_io_send(struct p4_io *io, u32 number, const u8 *data, u32 length) {
    struct port *port = number < MAX_PORT ? io->by_number[number] : NULL;
    if (!port) {
        count(&io->no_such_port, 1);
    } else if (send(port->fd, data, length, MSG_DONTWAIT) < 0) {
        count(&port->stats.tx_dropped, 1);
    } else {
        count(&port->stats.tx_packets, 1);
        count(&port->stats.tx_bytes, length);
    }
}

static void dispatch(struct p4_io *io) {
    struct p4_worker *w = io->worker;
    for (u32 i = 0; i < w->count; i++) {
        const struct p4_output *out = &w->outputs[i];
        struct port *port =
            out->kind == P4_FRAME && out->port < MAX_PORT ? io->by_number[out->port] : NULL;
        if (!port) {
            queue_put(io, out, w->bytes + out->offset);
            continue;
        }
        port->parts[port->waiting++] =
            (struct iovec){w->bytes + out->offset, out->length};
        if (port->waiting == P4_BATCH)
            flush(port);
    }
    for (u32 i = 0; i < io->port_count; i++)
        if (io->ports[i]->waiting)
            flush(io->ports[i]);
}

/* --- receiving ---------------------------------------------------------------------------------- */

static struct tpacket2_hdr *frame_at(const struct port *port, u32 at) {
    return (struct tpacket2_hdr *)(port->ring + (size_t)at * FRAME_SIZE);
}

static u32 status_of(struct tpacket2_hdr *header) {
    return __atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE);
}

/* Put the VLAN tag back in front of which there are 4 bytes of room; the new beginning. */
static u8 *put_tag(u8 *data, const struct tpacket2_hdr *header, u32 status) {
    u16 tpid = status & TP_STATUS_VLAN_TPID_VALID ? header->tp_vlan_tpid : ETHERTYPE_VLAN;
    memmove(data - 4, data, 12);
    p4_store16(data + 8, tpid);
    p4_store16(data + 10, header->tp_vlan_tci);
    return data - 4;
}

static void run_frame(struct p4_io *io, struct port *port, struct tpacket2_hdr *header,
                      u32 status, u64 now) {
    const struct sockaddr_ll *from =
        (const struct sockaddr_ll *)((u8 *)header + TPACKET_ALIGN(sizeof *header));
    u8 *data = (u8 *)header + header->tp_mac;
    u32 length = header->tp_len;
    if (status & TP_STATUS_COPY) {
        ssize_t whole = recv(port->fd, io->large + 4, LARGEST, MSG_DONTWAIT | MSG_TRUNC);
        if (whole < 0 || whole > (ssize_t)LARGEST) {
            port->stats.rx_cut_off++;
            return;
        }
        data = io->large + 4;
        length = (u32)whole;
    } else if (header->tp_snaplen < length) {
        port->stats.rx_cut_off++;
        return;
    }
    if (from->sll_pkttype == PACKET_OUTGOING)
        return;
    if (status & TP_STATUS_VLAN_VALID && length >= 12) {
        data = put_tag(data, header, status);
        length += 4;
    }
    port->stats.rx_packets++;
    port->stats.rx_bytes += length;
    if (io->program)
        io->program->run(io->s, io->worker, port->number, data, length, now);
    else
        io->no_program++;
}

/* Run what is there, at most a batch; how many frames. */
static u32 receive(struct p4_io *io, struct port *port) {
    const u32 frames = BLOCK_SIZE / FRAME_SIZE * BLOCKS;
    if (!(status_of(frame_at(port, port->at)) & TP_STATUS_USER))
        return 0;
    u32 n = 0;
    u64 now = now_ns();
    io->worker->count = 0;
    io->worker->used = 0;
    p4_lock();
    for (; n < P4_BATCH; n++) {
        struct tpacket2_hdr *header = frame_at(port, port->at);
        u32 status = status_of(header);
        if (!(status & TP_STATUS_USER))
            break;
        run_frame(io, port, header, status, now);
        __atomic_store_n(&header->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        port->at = (port->at + 1) % frames;
    }
    p4_unlock();
    dispatch(io);
    p4_give_way();
    return n;
}

/* Run packets until p4_io_stop is called. */
void p4_io_run(struct p4_io *io) {
    struct pollfd wait[MAX_PORTS + 1];
    for (u32 i = 0; i < io->port_count; i++)
        wait[i] = (struct pollfd){io->ports[i]->fd, POLLIN, 0};
    wait[io->port_count] = (struct pollfd){io->stop, POLLIN, 0};
    while (!atomic_load(&io->ending)) {
        u32 n = 0;
        for (u32 i = 0; i < io->port_count; i++)
            n += receive(io, io->ports[i]);
        if (n || poll(wait, io->port_count + 1, POLL_MS) <= 0)
            continue;
        for (u32 i = 0; i < io->port_count; i++)
            if (wait[i].revents & (POLLERR | POLLHUP | POLLNVAL)) {
                /* The interface is down or gone. Reading the error clears it; other ports go on. */
                int error;
                socklen_t size = sizeof error;
                (void)getsockopt(io->ports[i]->fd, SOL_SOCKET, SO_ERROR, &error, &size);
                io->ports[i]->stats.rx_errors++;
            }
    }
}

void p4_io_stop(struct p4_io *io) {
    u64 one = 1;
    atomic_store(&io->ending, 1);
    (void)!write(io->stop, &one, sizeof one);
}
