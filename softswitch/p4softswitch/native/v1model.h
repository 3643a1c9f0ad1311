/*
 * The v1model architecture around a compiled program, as simple_switch implements it.
 *
 * After ingress, in this order: clone, digest, resubmit, multicast, drop, unicast. After egress:
 * clone, drop, deparse, recirculate, send. A clone at ingress carries the packet as it came in; a
 * clone at egress carries it as it leaves.
 *
 * Included behind the generated functions of a program: p4_parse, p4_verify_checksums, p4_ingress,
 * p4_egress, p4_deparse and those declared here. `struct p4_packet` has the parts `c` (p4_core),
 * `m` (metadata, with `std`) and `h` (headers).
 */
#ifndef P4_V1MODEL_H
#define P4_V1MODEL_H

enum { P4_NORMAL, P4_INGRESS_CLONE, P4_EGRESS_CLONE, P4_COALESCED, P4_RECIRCULATED, P4_REPLICATED,
       P4_RESUBMITTED };

/* What a program that reports tells of the architecture, see executor/reports.py; others tell nothing. */
enum { P4_AT_INGRESS, P4_AT_EGRESS, P4_AT_INGRESS_DROP, P4_AT_EGRESS_DROP, P4_AT_CLONE,
       P4_AT_RESUBMIT, P4_AT_RECIRCULATE, P4_AT_MULTICAST };
#ifndef P4_AT
#define P4_AT(p, what, value) ((void)0)
#endif

#define P4_MAX_DEPTH 64u           /* of copies that make copies */
#define P4_MAX_BUFFERED (16u << 20) /* bytes that may go round at once */
#define P4_MAX_FRAME 131072u       /* bytes of a packet that goes round */
#define P4_48_BITS 0xFFFFFFFFFFFFull

static void p4_run_egress(struct p4_switch *s, struct p4_packet *p, u32 port,
                          struct p4_packet **waiting);

/* A packet whose fields are all 0; NULL if there is no memory. */
static struct p4_packet *p4_packet_new(struct p4_worker *w) {
    struct p4_packet *p = w->spare;
    if (p)
        w->spare = p->c.next;
    else if (!(p = malloc(sizeof *p))) {
        w->error++;
        return NULL;
    }
    memset(p, 0, sizeof *p);
    p->c.worker = w;
    return p;
}

static void p4_packet_free(struct p4_packet *p) {
    struct p4_worker *w = p->c.worker;
    p->c.next = w->spare;
    w->spare = p;
}

static void p4_wait(struct p4_packet **waiting, struct p4_packet *p) {
    while (*waiting)
        waiting = (struct p4_packet **)&(*waiting)->c.next;
    p->c.next = NULL;
    *waiting = p;
}

/* A new packet of the bytes with which `p` came in; its metadata is not kept. */
static struct p4_packet *p4_fresh(struct p4_packet *p, s64 length) {
    struct p4_packet *q = p4_packet_new(p->c.worker);
    if (q) {
        q->c.frame = p->c.frame;
        q->c.length = length;
        q->c.ingress_length = p->c.ingress_length;
        q->c.now = p->c.now;
        q->c.depth = p->c.depth;
    }
    return q;
}

/* Send a copy of `p`, truncated as its own session says and not as the original is. */
static void p4_copy_to(struct p4_switch *s, struct p4_packet *p, struct p4_copy copy,
                       struct p4_packet **waiting, u32 limit) {
    struct p4_worker *w = p->c.worker;
    if (w->count - w->first >= s->max_copies || p->c.depth >= P4_MAX_DEPTH) {
        s->loop_limit++;
        return;
    }
    struct p4_packet *q = p4_packet_new(w);
    if (!q)
        return;
    *q = *p;
    q->c.clone = q->c.clone_list = q->c.digest = q->c.resubmit = q->c.recirculate = 0;
    q->c.truncate_to = limit;
    q->c.depth = p->c.depth + 1;
    q->m.std.egress_rid = copy.instance;
    p4_run_egress(s, q, copy.port, waiting);
    p4_packet_free(q);
}

static const struct p4_copies *p4_session(struct p4_switch *s, struct p4_packet *p) {
    const struct p4_copies *copies = s->sessions[p->c.clone & (P4_SESSIONS - 1)];
    P4_AT(p, P4_AT_CLONE, p->c.clone & (P4_SESSIONS - 1));
    p->c.clone = 0;
    return copies && copies->count ? copies : NULL;
}

static void p4_clone_at_ingress(struct p4_switch *s, struct p4_packet *p, s64 received_length,
                                struct p4_packet **waiting) {
    u32 fields = p->c.clone_list;
    const struct p4_copies *copies = p4_session(s, p);
    p->c.clone_list = 0;
    struct p4_packet *q = copies ? p4_fresh(p, received_length) : NULL;
    if (!q)
        return;
    q->m.std.ingress_port = p->m.std.ingress_port;
    p4_parse(s, q, q->c.frame.data, q->c.frame.length);
    memset(&q->m, 0, sizeof q->m);
    p4_keep(q, p, fields);
    q->m.std.instance_type = P4_INGRESS_CLONE;
    for (u32 i = 0; i < copies->count; i++)
        p4_copy_to(s, q, copies->copy[i], waiting, copies->truncate_to);
    p4_packet_free(q);
}

static void p4_clone_at_egress(struct p4_switch *s, struct p4_packet *p,
                               struct p4_packet **waiting) {
    u32 fields = p->c.clone_list;
    const struct p4_copies *copies = p4_session(s, p);
    p->c.clone_list = 0;
    struct p4_packet *q = copies ? p4_packet_new(p->c.worker) : NULL;
    if (!q)
        return;
    *q = *p;
    memset(&q->m, 0, sizeof q->m);
    p4_keep(q, p, fields);
    q->m.std.instance_type = P4_EGRESS_CLONE;
    for (u32 i = 0; i < copies->count; i++)
        p4_copy_to(s, q, copies->copy[i], waiting, copies->truncate_to);
    p4_packet_free(q);
}

/* The packet leaves egress for ingress, as it would have been sent. */
static void p4_recirculate(struct p4_switch *s, struct p4_packet *p, struct p4_bytes cut_off,
                           struct p4_packet **waiting) {
    struct p4_worker *w = p->c.worker;
    u64 most = p4_deparsed_bound(p) + cut_off.length;
    if (most > P4_MAX_FRAME || w->buffered + most > P4_MAX_BUFFERED) {
        s->loop_limit++;
        return;
    }
    struct p4_buffer *buffer = malloc(sizeof *buffer + most);
    struct p4_packet *q = buffer ? p4_packet_new(w) : NULL;
    if (!q) {
        w->error++;
        free(buffer);
        return;
    }
    buffer->next = w->buffers;
    w->buffers = buffer;
    w->buffered += most;
    u32 length = p4_deparse(s, p, buffer->data);
    if (cut_off.length)
        memcpy(buffer->data + length, cut_off.data, cut_off.length);
    length += cut_off.length; /* truncation does not outlive this pass */
    p4_keep(q, p, p->c.recirculate);
    q->m.std.instance_type = P4_RECIRCULATED;
    q->m.std.packet_length = length;
    q->c.frame = (struct p4_bytes){buffer->data, length};
    q->c.now = p->c.now;
    q->c.length = q->c.ingress_length = length;
    p4_wait(waiting, q);
}

static void p4_run_egress(struct p4_switch *s, struct p4_packet *p, u32 port,
                          struct p4_packet **waiting) {
    struct p4_worker *w = p->c.worker;
    u64 timestamp = (p->c.now - s->origin) / 1000;
    p->m.std.enq_timestamp = (u32)timestamp;
    p->m.std.egress_global_timestamp = timestamp & P4_48_BITS;
    p->m.std.egress_port = port;
    p->m.std.egress_spec = (s->drop_port + 1) & 0x1FF;
    p->m.std.packet_length = (u32)p->c.length;
    P4_AT(p, P4_AT_EGRESS, port);
    p4_egress(s, p);
    if (p->c.clone)
        p4_clone_at_egress(s, p, waiting);
    if (p->m.std.egress_spec == s->drop_port) {
        s->dropped_egress++;
        P4_AT(p, P4_AT_EGRESS_DROP, 0);
        return;
    }
    struct p4_bytes cut_off = {NULL, 0};
    u32 limit = p->c.truncate_to;
    if (limit && p->c.payload.length > limit) {
        /* BMv2 lets a checksum over the payload see no more of it than this either. */
        cut_off = (struct p4_bytes){p->c.payload.data + limit, p->c.payload.length - limit};
        p->c.payload.length = limit;
    }
    if (p->c.recirculate) {
        P4_AT(p, P4_AT_RECIRCULATE, 0);
        p4_recirculate(s, p, cut_off, waiting);
        return;
    }
    u8 *out = p4_reserve(w, p4_deparsed_bound(p));
    if (!out)
        return;
    u32 length = p4_deparse(s, p, out);
    p4_emit(w, P4_FRAME, port, limit && length > limit ? limit : length, p->c.now);
}

/* One pass through ingress; packets that go back to ingress are added to `waiting`. */
static void p4_run_ingress(struct p4_switch *s, struct p4_packet *p, struct p4_packet **waiting) {
    P4_AT(p, P4_AT_INGRESS, p->m.std.ingress_port);
    p4_parse(s, p, p->c.frame.data, p->c.frame.length);
    p4_verify_checksums(s, p);
    if (p->c.parser_error != P4_NO_ERROR)
        s->parser_errors++;
    p->m.std.parser_error = p->c.parser_error;
    p->m.std.checksum_error = p->c.checksum_error;
    s64 received_length = p->c.length;
    p4_ingress(s, p);
    if (p->c.clone)
        p4_clone_at_ingress(s, p, received_length, waiting);
    if (p->c.digest)
        p4_sample(s, p);
    if (p->c.resubmit) {
        P4_AT(p, P4_AT_RESUBMIT, 0);
        struct p4_packet *q = p4_fresh(p, received_length);
        if (q) {
            p4_keep(q, p, p->c.resubmit);
            q->m.std.instance_type = P4_RESUBMITTED;
            q->m.std.packet_length = (u32)received_length;
            p4_wait(waiting, q);
        }
        return;
    }
    if (p->m.std.mcast_grp) {
        P4_AT(p, P4_AT_MULTICAST, p->m.std.mcast_grp);
        const struct p4_copies *copies = s->groups[p->m.std.mcast_grp & (P4_GROUPS - 1)];
        p->m.std.instance_type = P4_REPLICATED;
        for (u32 i = 0; copies && i < copies->count; i++)
            p4_copy_to(s, p, copies->copy[i], waiting, 0);
        return;
    }
    if (p->m.std.egress_spec == s->drop_port) {
        s->dropped_ingress++;
        P4_AT(p, P4_AT_INGRESS_DROP, 0);
        return;
    }
    p->m.std.instance_type = P4_NORMAL;
    p4_run_egress(s, p, p->m.std.egress_spec, waiting);
}

/* Run one frame; what comes of it is added to the outputs of the worker. */
static void p4_run(struct p4_switch *s, struct p4_worker *w, u32 port, const u8 *data, u32 length,
                   u64 now) {
    if (!s->started) {
        s->started = 1;
        s->origin = now;
    }
    s->packets++;
    w->first = w->count;
    struct p4_packet *p = p4_packet_new(w), *waiting = NULL;
    if (!p)
        return;
    p->c.frame = (struct p4_bytes){data, length};
    p->c.length = p->c.ingress_length = length;
    p->c.now = now;
    p->m.std.ingress_port = port;
    p->m.std.packet_length = length;
    p->m.std.ingress_global_timestamp = (now - s->origin) / 1000 & P4_48_BITS;
    p4_run_ingress(s, p, &waiting);
    p4_packet_free(p);
    for (u32 passes = 2; P4_UNLIKELY(waiting != NULL); passes++) {
        p = waiting;
        waiting = p->c.next;
        if (passes <= s->max_passes)
            p4_run_ingress(s, p, &waiting);
        else
            s->loop_limit++;
        p4_packet_free(p);
    }
    while (P4_UNLIKELY(w->buffers != NULL)) {
        struct p4_buffer *next = w->buffers->next;
        free(w->buffers);
        w->buffers = next;
        w->buffered = 0;
    }
}

#endif
