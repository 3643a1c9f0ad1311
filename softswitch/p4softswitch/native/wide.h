/*
 * Numbers of more than 128 bits: P4_LIMBS words, least significant first, in two's complement.
 *
 * The generator makes P4_LIMBS so large that no operation of the program overflows.
 */
#ifndef P4_WIDE_H
#define P4_WIDE_H

#include "p4rt.h"

typedef struct {
    u64 w[P4_LIMBS];
} wide;

P4_INLINE wide wide_s128(s128 a) {
    wide r;
    u64 sign = a < 0 ? ~0ull : 0;
    for (int i = 0; i < P4_LIMBS; i++)
        r.w[i] = i == 0 ? (u64)a : i == 1 ? (u64)(a >> 64) : sign;
    return r;
}

P4_INLINE wide wide_u128(u128 a) {
    wide r;
    for (int i = 0; i < P4_LIMBS; i++)
        r.w[i] = i == 0 ? (u64)a : i == 1 ? (u64)(a >> 64) : 0;
    return r;
}

/* From words, least significant first; `n` is at most P4_LIMBS. */
P4_INLINE wide wide_words(const u64 *words, int n) {
    wide r;
    for (int i = 0; i < P4_LIMBS; i++)
        r.w[i] = i < n ? words[i] : 0;
    return r;
}

P4_INLINE u64 wide_low64(wide a) { return a.w[0]; }
P4_INLINE u128 wide_low128(wide a) { return P4_U128(a.w[1], a.w[0]); }

P4_INLINE wide wide_and(wide a, wide b) {
    for (int i = 0; i < P4_LIMBS; i++)
        a.w[i] &= b.w[i];
    return a;
}

P4_INLINE wide wide_or(wide a, wide b) {
    for (int i = 0; i < P4_LIMBS; i++)
        a.w[i] |= b.w[i];
    return a;
}

P4_INLINE wide wide_xor(wide a, wide b) {
    for (int i = 0; i < P4_LIMBS; i++)
        a.w[i] ^= b.w[i];
    return a;
}

P4_INLINE wide wide_not(wide a) {
    for (int i = 0; i < P4_LIMBS; i++)
        a.w[i] = ~a.w[i];
    return a;
}

P4_INLINE wide wide_add(wide a, wide b) {
    u64 carry = 0;
    for (int i = 0; i < P4_LIMBS; i++) {
        u128 sum = (u128)a.w[i] + b.w[i] + carry;
        a.w[i] = (u64)sum;
        carry = (u64)(sum >> 64);
    }
    return a;
}

P4_INLINE wide wide_neg(wide a) { return wide_add(wide_not(a), wide_u128(1)); }
P4_INLINE wide wide_sub(wide a, wide b) { return wide_add(a, wide_neg(b)); }

P4_INLINE wide wide_mul(wide a, wide b) {
    wide r = {{0}};
    for (int i = 0; i < P4_LIMBS; i++) {
        u64 carry = 0;
        for (int k = 0; i + k < P4_LIMBS; k++) {
            u128 product = (u128)a.w[i] * b.w[k] + r.w[i + k] + carry;
            r.w[i + k] = (u64)product;
            carry = (u64)(product >> 64);
        }
    }
    return r;
}

P4_INLINE wide wide_shl(wide a, u64 n) {
    wide r = {{0}};
    u64 words = n / 64, bits = n % 64;
    for (u64 i = words; i < P4_LIMBS; i++) {
        r.w[i] = a.w[i - words] << bits;
        if (bits && i > words)
            r.w[i] |= a.w[i - words - 1] >> (64 - bits);
    }
    return r;
}

/* Arithmetic: the sign comes in from above. */
P4_INLINE wide wide_shr(wide a, u64 n) {
    wide r;
    u64 words = n / 64, bits = n % 64, sign = a.w[P4_LIMBS - 1] >> 63 ? ~0ull : 0;
    for (u64 i = 0; i < P4_LIMBS; i++) {
        u64 low = words < P4_LIMBS && i + words < P4_LIMBS ? a.w[i + words] : sign;
        u64 high = words < P4_LIMBS && i + words + 1 < P4_LIMBS ? a.w[i + words + 1] : sign;
        r.w[i] = bits ? low >> bits | high << (64 - bits) : low;
    }
    return r;
}

/* The low `width` bits; with `sign` read as two's complement. */
P4_INLINE wide wide_cut(wide a, u32 width, int sign) {
    u64 above = sign && a.w[(width - 1) / 64] >> ((width - 1) % 64) & 1 ? ~0ull : 0;
    for (u32 i = 0; i < P4_LIMBS; i++) {
        if (64 * i >= width)
            a.w[i] = above;
        else if (width - 64 * i < 64) {
            u64 mask = (1ull << (width - 64 * i)) - 1;
            a.w[i] = (a.w[i] & mask) | (above & ~mask);
        }
    }
    return a;
}

P4_INLINE int wide_eq(wide a, wide b) { return p4_same(a.w, b.w, P4_LIMBS); }

/* Below 0, 0 or above 0, as `a` is below, equal to or above `b`. */
P4_INLINE int wide_cmp(wide a, wide b) {
    s64 x = (s64)a.w[P4_LIMBS - 1], y = (s64)b.w[P4_LIMBS - 1];
    if (x != y)
        return x < y ? -1 : 1;
    for (int i = P4_LIMBS - 2; i >= 0; i--)
        if (a.w[i] != b.w[i])
            return a.w[i] < b.w[i] ? -1 : 1;
    return 0;
}

P4_INLINE wide wide_clamp(wide a, wide low, wide high) {
    return wide_cmp(a, low) < 0 ? low : wide_cmp(a, high) > 0 ? high : a;
}

P4_INLINE u64 wide_half(wide a) {
    u64 sum = 0;
    for (int i = 0; i < P4_LIMBS; i++)
        sum += p4_half64(a.w[i]);
    return p4_half64(sum);
}

#endif
