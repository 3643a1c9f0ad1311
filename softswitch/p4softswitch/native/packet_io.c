/*
 * Ports on Linux interfaces: frames come from the ring of an AF_PACKET socket (packet(7)), are run
 * in batches and sent in batches, by threads that never wait for Python: the workers. Each has a
 * socket of its own on each port, with a ring, and gets whole flows (spread.c). A worker runs a
 * batch under the lock of the runtime, and receives and sends without.
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
#define BLOCKS 32u                 /* of a port: 4096 frames, 8 MB; its workers share them */
#define LEAST_BLOCKS 8u            /* of a worker */
#define LARGEST (65535u + 18u)
#define QUEUE_SIZE (4u << 20)
#define POLL_MS 500

struct port {
    struct p4_port_stats stats; /* read from outside; changed by all workers */
    int fd;                     /* by which other threads send */
    u32 number;
};

/* A port as one worker has it. */
struct lane {
    struct port *port;
    int fd;
    u8 *ring;
    u32 at; /* the next frame of the ring */
    u32 waiting;
    struct mmsghdr messages[P4_BATCH];
    struct iovec parts[P4_BATCH];
};

struct worker {
    struct p4_worker *packets;
    u8 *large; /* a frame that is too large for the ring */
    u64 ran;   /* the generation of the program that made the present outputs */
    struct lane *lanes[MAX_PORTS];
    struct lane *by_number[MAX_PORT];
};

struct record {
    u32 kind, port, length, unused;
    u64 now;
};

struct p4_io {
    /* Read from outside. */
    u64 no_program, no_such_port, queue_overflow, frames_queued;
    int wake, stop; /* eventfds: there is something in the queue; the threads shall end */
    atomic_int ending;
    struct port *ports[MAX_PORTS];
    struct port *by_number[MAX_PORT];
    u32 port_count, worker_count, frames; /* `frames` of each ring */
    struct worker workers[P4_MAX_WORKERS];
    const struct p4_program *program; /* under the lock, as are the switch and its generation */
    struct p4_switch *s;
    u64 generation;
    pthread_mutex_t queue_lock;
    u8 *queue;
    u64 head, tail; /* bytes ever taken and put; the queue is used as a ring */
    u64 wanted;     /* the generation whose outputs are still of use */
};

static u64 now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (u64)t.tv_sec * P4_SECOND + (u64)t.tv_nsec;
}

static void count(u64 *counter, u64 more) { __atomic_fetch_add(counter, more, __ATOMIC_RELAXED); }

static size_t ring_size(const struct p4_io *io) { return (size_t)io->frames * FRAME_SIZE; }

static void lane_free(const struct p4_io *io, struct lane *lane) {
    if (lane && lane->ring != MAP_FAILED)
        munmap(lane->ring, ring_size(io));
    free(lane);
}

void p4_io_free(struct p4_io *io) {
    for (u32 w = 0; w < io->worker_count; w++) {
        struct worker *worker = &io->workers[w];
        for (u32 i = 0; i < io->port_count; i++)
            lane_free(io, worker->lanes[i]);
        if (worker->packets)
            p4_worker_free(worker->packets);
        free(worker->large);
    }
    for (u32 i = 0; i < io->port_count; i++)
        free(io->ports[i]);
    if (io->wake >= 0)
        close(io->wake);
    if (io->stop >= 0)
        close(io->stop);
    free(io->queue);
    free(io);
}

/* For 1 to P4_MAX_WORKERS workers; NULL if there is no memory. */
struct p4_io *p4_io_new(u32 workers) {
    struct p4_io *io = calloc(1, sizeof *io);
    if (!io)
        return NULL;
    u32 blocks = BLOCKS / workers;
    io->frames = (blocks < LEAST_BLOCKS ? LEAST_BLOCKS : blocks) * (BLOCK_SIZE / FRAME_SIZE);
    io->worker_count = workers;
    pthread_mutex_init(&io->queue_lock, NULL);
    io->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    io->stop = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    io->queue = malloc(QUEUE_SIZE);
    int complete = io->wake >= 0 && io->stop >= 0 && io->queue;
    for (u32 w = 0; w < workers; w++) {
        struct worker *worker = &io->workers[w];
        worker->packets = p4_worker_new();
        worker->large = malloc(LARGEST + 4);
        complete = complete && worker->packets && worker->large;
    }
    if (complete)
        return io;
    p4_io_free(io);
    return NULL;
}

int p4_io_wake_fd(const struct p4_io *io) { return io->wake; }

/* Give a socket its ring, whose memory is that of the lane. 0, or an errno. */
static int lane_open(const struct p4_io *io, struct lane *lane) {
    int version = TPACKET_V2, yes = 1;
    struct tpacket_req ring = {.tp_block_size = BLOCK_SIZE,
                               .tp_block_nr = io->frames / (BLOCK_SIZE / FRAME_SIZE),
                               .tp_frame_size = FRAME_SIZE,
                               .tp_frame_nr = io->frames};
    /* Room in front of a frame for the VLAN tag that Linux has taken out of it. */
    int reserve = 16;
    if (setsockopt(lane->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) ||
        setsockopt(lane->fd, SOL_PACKET, PACKET_RESERVE, &reserve, sizeof reserve) ||
        setsockopt(lane->fd, SOL_PACKET, PACKET_COPY_THRESH, &yes, sizeof yes) ||
        setsockopt(lane->fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof ring))
        return errno;
    /* No PACKET_QDISC_BYPASS: who captures on the interface would not see what the switch sends. */
    lane->ring = mmap(NULL, ring_size(io), PROT_READ | PROT_WRITE, MAP_SHARED, lane->fd, 0);
    return lane->ring == MAP_FAILED ? errno : 0;
}

static struct lane *lane_new(struct port *port, int fd) {
    struct lane *lane = calloc(1, sizeof *lane);
    if (!lane)
        return NULL;
    lane->port = port;
    lane->fd = fd;
    lane->ring = MAP_FAILED;
    for (u32 i = 0; i < P4_BATCH; i++) {
        lane->messages[i].msg_hdr.msg_iov = &lane->parts[i];
        lane->messages[i].msg_hdr.msg_iovlen = 1;
    }
    return lane;
}

/*
 * Add a port before the threads run. `fds` are sockets that are not bound yet, one for each worker,
 * which stay open as long as the port is there; 0, or an errno.
 */
int p4_io_add_port(struct p4_io *io, u32 number, const int *fds) {
    if (io->port_count == MAX_PORTS || number >= MAX_PORT)
        return ENOSPC;
    struct port *port = calloc(1, sizeof *port);
    if (!port)
        return ENOMEM;
    port->fd = fds[0];
    port->number = number;
    int error = 0;
    for (u32 w = 0; w < io->worker_count && !error; w++) {
        struct lane *lane = lane_new(port, fds[w]);
        io->workers[w].lanes[io->port_count] = lane;
        error = lane ? lane_open(io, lane) : ENOMEM;
        if (!error && io->worker_count > 1)
            error = p4_spread(fds[w], w, io->worker_count);
    }
    for (u32 w = 0; w < io->worker_count; w++) {
        struct lane **lane = &io->workers[w].lanes[io->port_count];
        if (error) {
            lane_free(io, *lane);
            *lane = NULL;
        } else {
            io->workers[w].by_number[number] = *lane;
        }
    }
    if (error) {
        free(port);
        return error;
    }
    io->ports[io->port_count++] = port;
    io->by_number[number] = port;
    return 0;
}

struct p4_port_stats *p4_io_stats(struct p4_io *io, u32 number) {
    return &io->by_number[number]->stats;
}

/* Count the frames that found a ring full since the last time; how many. One thread at a time. */
u64 p4_io_count_missed(struct p4_io *io) {
    u64 all = 0;
    for (u32 w = 0; w < io->worker_count; w++)
        for (u32 i = 0; i < io->port_count; i++) {
            const struct lane *lane = io->workers[w].lanes[i];
            struct tpacket_stats stats;
            socklen_t size = sizeof stats;
            if (getsockopt(lane->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size))
                continue;
            count(&lane->port->stats.rx_missed, stats.tp_drops);
            all += stats.tp_drops;
        }
    return all;
}

/* Run another program from the next batch on, none with NULL. What waits is forgotten. */
void p4_io_use(struct p4_io *io, const struct p4_program *program, struct p4_switch *s) {
    p4_lock();
    io->program = program;
    io->s = s;
    io->generation++;
    for (u32 w = 0; w < io->worker_count; w++)
        p4_worker_forget_packets(io->workers[w].packets);
    pthread_mutex_lock(&io->queue_lock);
    io->head = io->tail;
    io->wanted = io->generation;
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

static void queue_put(struct p4_io *io, const struct p4_output *out, const u8 *data, u64 ran) {
    struct record record = {out->kind, out->port, out->length, 0, out->now};
    pthread_mutex_lock(&io->queue_lock);
    int empty = io->head == io->tail;
    if (ran != io->wanted) {
        /* Of a program that is not in use any more: its digests would mean something else. */
        empty = 0;
    } else if (QUEUE_SIZE - (io->tail - io->head) < sizeof record + out->length) {
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

static void flush(struct lane *lane) {
    struct p4_port_stats *stats = &lane->port->stats;
    u32 sent = 0;
    while (sent < lane->waiting) {
        int n = sendmmsg(lane->fd, lane->messages + sent, lane->waiting - sent, MSG_DONTWAIT);
        if (n <= 0) {
            if (n < 0 && errno == EINTR)
                continue;
            /* The interface is down, its queue full, or the frame too long for it. */
            count(&stats->tx_dropped, 1);
            sent++;
            continue;
        }
        u64 bytes = 0;
        for (u32 i = sent; i < sent + (u32)n; i++)
            bytes += lane->parts[i].iov_len;
        count(&stats->tx_packets, (u64)n);
        count(&stats->tx_bytes, bytes);
        sent += (u32)n;
    }
    lane->waiting = 0;
}

/* Send one frame; for another thread than those of p4_io_run. */
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

static void dispatch(struct p4_io *io, struct worker *worker) {
    struct p4_worker *w = worker->packets;
    for (u32 i = 0; i < w->count; i++) {
        const struct p4_output *out = &w->outputs[i];
        struct lane *lane =
            out->kind == P4_FRAME && out->port < MAX_PORT ? worker->by_number[out->port] : NULL;
        if (!lane) {
            queue_put(io, out, w->bytes + out->offset, worker->ran);
            continue;
        }
        lane->parts[lane->waiting++] =
            (struct iovec){w->bytes + out->offset, out->length};
        if (lane->waiting == P4_BATCH)
            flush(lane);
    }
    for (u32 i = 0; i < io->port_count; i++)
        if (worker->lanes[i]->waiting)
            flush(worker->lanes[i]);
}

/* --- receiving ---------------------------------------------------------------------------------- */

static struct tpacket2_hdr *frame_at(const struct lane *lane, u32 at) {
    return (struct tpacket2_hdr *)(lane->ring + (size_t)at * FRAME_SIZE);
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

/* What a batch has received. */
struct received {
    u64 packets, bytes, cut_off, no_program;
};

static void run_frame(struct p4_io *io, struct worker *worker, struct lane *lane,
                      struct tpacket2_hdr *header, u32 status, u64 now, struct received *got) {
    const struct sockaddr_ll *from =
        (const struct sockaddr_ll *)((u8 *)header + TPACKET_ALIGN(sizeof *header));
    u8 *data = (u8 *)header + header->tp_mac;
    u32 length = header->tp_len;
    if (status & TP_STATUS_COPY) {
        ssize_t whole = recv(lane->fd, worker->large + 4, LARGEST, MSG_DONTWAIT | MSG_TRUNC);
        if (whole < 0 || whole > (ssize_t)LARGEST) {
            got->cut_off++;
            return;
        }
        data = worker->large + 4;
        length = (u32)whole;
    } else if (header->tp_snaplen < length) {
        got->cut_off++;
        return;
    }
    if (from->sll_pkttype == PACKET_OUTGOING)
        return;
    if (status & TP_STATUS_VLAN_VALID && length >= 12) {
        data = put_tag(data, header, status);
        length += 4;
    }
    got->packets++;
    got->bytes += length;
    if (io->program)
        io->program->run(io->s, worker->packets, lane->port->number, data, length, now);
    else
        got->no_program++;
}

/* Run what is there, at most a batch; how many frames. */
static u32 receive(struct p4_io *io, struct worker *worker, struct lane *lane) {
    if (!(status_of(frame_at(lane, lane->at)) & TP_STATUS_USER))
        return 0;
    u32 n = 0;
    u64 now = now_ns();
    struct received got = {0};
    worker->packets->count = 0;
    worker->packets->used = 0;
    p4_lock_batch();
    worker->ran = io->generation;
    for (; n < P4_BATCH; n++) {
        struct tpacket2_hdr *header = frame_at(lane, lane->at);
        u32 status = status_of(header);
        if (!(status & TP_STATUS_USER))
            break;
        run_frame(io, worker, lane, header, status, now, &got);
        __atomic_store_n(&header->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        lane->at = (lane->at + 1) % io->frames;
    }
    p4_unlock();
    count(&lane->port->stats.rx_packets, got.packets);
    count(&lane->port->stats.rx_bytes, got.bytes);
    if (P4_UNLIKELY(got.cut_off))
        count(&lane->port->stats.rx_cut_off, got.cut_off);
    if (P4_UNLIKELY(got.no_program))
        count(&io->no_program, got.no_program);
    dispatch(io, worker);
    p4_give_way();
    return n;
}

/* Run packets as the worker of that number, until p4_io_stop is called. */
void p4_io_run(struct p4_io *io, u32 number) {
    struct worker *worker = &io->workers[number];
    struct pollfd wait[MAX_PORTS + 1];
    for (u32 i = 0; i < io->port_count; i++)
        wait[i] = (struct pollfd){worker->lanes[i]->fd, POLLIN, 0};
    wait[io->port_count] = (struct pollfd){io->stop, POLLIN, 0};
    while (!atomic_load(&io->ending)) {
        u32 n = 0;
        for (u32 i = 0; i < io->port_count; i++)
            n += receive(io, worker, worker->lanes[i]);
        if (n || poll(wait, io->port_count + 1, POLL_MS) <= 0)
            continue;
        for (u32 i = 0; i < io->port_count; i++)
            if (wait[i].revents & (POLLERR | POLLHUP | POLLNVAL)) {
                /* The interface is down or gone. Reading the error clears it; other ports go on. */
                int error;
                socklen_t size = sizeof error;
                (void)getsockopt(wait[i].fd, SOL_SOCKET, SO_ERROR, &error, &size);
                if (number == 0) /* each worker sees it */
                    count(&io->ports[i]->stats.rx_errors, 1);
            }
    }
}

void p4_io_stop(struct p4_io *io) {
    u64 one = 1;
    atomic_store(&io->ending, 1);
    (void)!write(io->stop, &one, sizeof one);
}
