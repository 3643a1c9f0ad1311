/*
 * Which of several workers gets a frame: a classic BPF filter (bpf(4), linux/filter.h) for the
 * socket of each, so that exactly one of them takes it. All packets of a flow go to the same
 * worker, those of both directions too unless addresses or ports are translated in between:
 *
 *   IPv4 and IPv6 with ports   both addresses and both ports
 *   fragments                  both addresses, as only the first of them has ports
 *   other IPv4 and IPv6        both addresses, so that tunnels stay in order
 *   all else, cut off headers  the first worker
 *
 * Not PACKET_FANOUT, though it would hash once and not once for each worker: a socket of a group
 * cannot be bound again when its interface has come back, and older kernels let none join while
 * its interface is down.
 */
#include <errno.h>
#include <linux/filter.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "runtime.h"

#define ETHERTYPE_QINQ 0x88A8u
#define IPV6_HEADER 40u
#define MORE_OR_OFFSET 0x3FFFu /* of an IPv4 fragment */
#define FILTER_SIZE 192u

/* Words of the filter's memory. */
enum { SUM, NETWORK, TRANSPORT, ASIDE };

struct filter {
    struct sock_filter code[FILTER_SIZE];
    u32 count;
};

/* Jumps forward to a place that is not known yet. */
struct jumps {
    u32 from[16];
    u32 count;
};

static void add(struct filter *f, u16 code, u32 k) {
    f->code[f->count++] = (struct sock_filter)BPF_STMT(code, k);
}

static void jump_if(struct filter *f, u16 how, u32 k, struct jumps *to) {
    to->from[to->count++] = f->count;
    add(f, BPF_JMP | how, k);
}

static void jump(struct filter *f, struct jumps *to) { jump_if(f, BPF_JA, 0, to); }

static void land(struct filter *f, const struct jumps *from) {
    for (u32 i = 0; i < from->count; i++) {
        struct sock_filter *at = &f->code[from->from[i]];
        u32 over = f->count - from->from[i] - 1;
        if (BPF_OP(at->code) == BPF_JA)
            at->k = over;
        else
            at->jt = (u8)over;
    }
}

/* Jump if the frame has less than X + `more` bytes; X is lost. */
static void jump_if_shorter(struct filter *f, u32 more, struct jumps *to) {
    struct jumps enough = {.count = 0};
    add(f, BPF_MISC | BPF_TXA, 0);
    add(f, BPF_ALU | BPF_ADD | BPF_K, more);
    add(f, BPF_MISC | BPF_TAX, 0);
    add(f, BPF_LD | BPF_W | BPF_LEN, 0);
    jump_if(f, BPF_JGE | BPF_X, 0, &enough);
    jump(f, to);
    land(f, &enough);
}

/* Add the word at `at` of the network header to the sum. */
static void sum_word(struct filter *f, u32 at) {
    add(f, BPF_LDX | BPF_MEM, NETWORK);
    add(f, BPF_LD | BPF_W | BPF_IND, at);
    add(f, BPF_LDX | BPF_MEM, SUM);
    add(f, BPF_ALU | BPF_ADD | BPF_X, 0);
    add(f, BPF_ST, SUM);
}

/* A *= `factor`, A ^= A >> 16 */
static void mix(struct filter *f, u32 factor) {
    add(f, BPF_ALU | BPF_MUL | BPF_K, factor);
    add(f, BPF_ST, ASIDE);
    add(f, BPF_ALU | BPF_RSH | BPF_K, 16);
    add(f, BPF_MISC | BPF_TAX, 0);
    add(f, BPF_LD | BPF_MEM, ASIDE);
    add(f, BPF_ALU | BPF_XOR | BPF_X, 0);
}

static void jump_if_ports(struct filter *f, struct jumps *to) {
    static const u32 protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_DCCP, IPPROTO_SCTP,
                                    IPPROTO_UDPLITE};
    for (u32 i = 0; i < sizeof protocols / sizeof *protocols; i++)
        jump_if(f, BPF_JEQ | BPF_K, protocols[i], to);
}

/* Leaves the sum of the addresses, and goes on behind the header if there are ports. */
static void ipv4(struct filter *f, struct jumps *none, struct jumps *done, struct jumps *ports) {
    struct jumps has_ports = {.count = 0};
    jump_if_shorter(f, 20, none);
    sum_word(f, 12);
    sum_word(f, 16);
    add(f, BPF_LDX | BPF_MEM, NETWORK);
    add(f, BPF_LD | BPF_H | BPF_IND, 6);
    jump_if(f, BPF_JSET | BPF_K, MORE_OR_OFFSET, done);
    add(f, BPF_LD | BPF_B | BPF_IND, 9);
    jump_if_ports(f, &has_ports);
    jump(f, done);
    land(f, &has_ports);
    add(f, BPF_LD | BPF_B | BPF_IND, 0);
    add(f, BPF_ALU | BPF_AND | BPF_K, 15);
    add(f, BPF_ALU | BPF_LSH | BPF_K, 2);
    add(f, BPF_ALU | BPF_ADD | BPF_X, 0);
    jump(f, ports);
}

/* As ipv4. Ports behind extension headers are not looked for. */
static void ipv6(struct filter *f, struct jumps *none, struct jumps *done) {
    struct jumps has_ports = {.count = 0};
    jump_if_shorter(f, IPV6_HEADER, none);
    for (u32 at = 8; at < IPV6_HEADER; at += 4)
        sum_word(f, at);
    add(f, BPF_LDX | BPF_MEM, NETWORK);
    add(f, BPF_LD | BPF_B | BPF_IND, 6);
    jump_if_ports(f, &has_ports);
    jump(f, done);
    land(f, &has_ports);
    add(f, BPF_MISC | BPF_TXA, 0);
    add(f, BPF_ALU | BPF_ADD | BPF_K, IPV6_HEADER);
}

static void build(struct filter *f, u32 worker, u32 workers) {
    struct jumps none = {.count = 0}, done = {.count = 0};
    struct jumps tagged = {.count = 0}, untagged = {.count = 0}, is_ipv4 = {.count = 0};
    struct jumps is_ipv6 = {.count = 0}, ports = {.count = 0}, ours = {.count = 0};
    add(f, BPF_LD | BPF_IMM, 0);
    add(f, BPF_ST, SUM);
    add(f, BPF_LDX | BPF_IMM, ETH_HLEN);
    add(f, BPF_LD | BPF_H | BPF_ABS, 12);
    /* The outer tag has been taken out of the frame; this is that of a customer behind it. */
    jump_if(f, BPF_JEQ | BPF_K, ETHERTYPE_VLAN, &tagged);
    jump_if(f, BPF_JEQ | BPF_K, ETHERTYPE_QINQ, &tagged);
    jump(f, &untagged);
    land(f, &tagged);
    jump_if_shorter(f, 4, &none);
    add(f, BPF_LDX | BPF_IMM, ETH_HLEN + 4);
    add(f, BPF_LD | BPF_H | BPF_ABS, 16);
    land(f, &untagged);
    add(f, BPF_STX, NETWORK);
    jump_if(f, BPF_JEQ | BPF_K, ETHERTYPE_IP, &is_ipv4);
    jump_if(f, BPF_JEQ | BPF_K, ETHERTYPE_IPV6, &is_ipv6);
    jump(f, &none);
    land(f, &is_ipv4);
    ipv4(f, &none, &done, &ports);
    land(f, &is_ipv6);
    ipv6(f, &none, &done);
    land(f, &ports);
    add(f, BPF_MISC | BPF_TAX, 0);
    add(f, BPF_STX, TRANSPORT);
    jump_if_shorter(f, 4, &done);
    /* sum = mixed(sum) + source + destination port */
    add(f, BPF_LD | BPF_MEM, SUM);
    mix(f, 0x9E3779B1u);
    add(f, BPF_LDX | BPF_MEM, TRANSPORT);
    for (u32 at = 0; at < 4; at += 2) {
        add(f, BPF_ST, SUM);
        add(f, BPF_LDX | BPF_MEM, TRANSPORT);
        add(f, BPF_LD | BPF_H | BPF_IND, at);
        add(f, BPF_LDX | BPF_MEM, SUM);
        add(f, BPF_ALU | BPF_ADD | BPF_X, 0);
    }
    add(f, BPF_ST, SUM);
    land(f, &done);
    add(f, BPF_LD | BPF_MEM, SUM);
    mix(f, 0x85EBCA6Bu);
    mix(f, 0xC2B2AE35u);
    add(f, BPF_ALU | BPF_MOD | BPF_K, workers);
    jump_if(f, BPF_JEQ | BPF_K, worker, &ours);
    add(f, BPF_RET | BPF_K, 0);
    land(f, &none);
    if (worker)
        add(f, BPF_RET | BPF_K, 0);
    land(f, &ours);
    add(f, BPF_RET | BPF_K, UINT32_MAX);
}

/* Let a socket of frames get only those of a worker, of which there are `workers`; an errno, or 0. */
int p4_spread(int fd, u32 worker, u32 workers) {
    struct filter filter = {.count = 0};
    build(&filter, worker, workers);
    struct sock_fprog program = {(unsigned short)filter.count, filter.code};
    if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program))
        return errno;
    return 0;
}
