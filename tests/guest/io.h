/*
 * What all guests of ours share: ports, cycles, text on the debug console.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * For 32-bit and 64-bit code without a C library.
 */
#ifndef PREFAULT_GUEST_IO_H
#define PREFAULT_GUEST_IO_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

/* A function that not every guest uses, and that is not worth two copies */
#define HELPER static __attribute__((unused))

enum {
    PORT_DEBUG = 0x402,
    PAGE = 4096,
};

static inline void outb(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outw(u16 port, u16 value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline u8 inb(u16 port)
{
    u8 value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline void outl(u16 port, u32 value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline void wrmsr(u32 msr, u64 value)
{
    __asm__ volatile("wrmsr" : : "a"((u32)value), "d"((u32)(value >> 32)),
                     "c"(msr) : "memory");
}

static inline u64 rdtsc_ordered(void)
{
    u32 low, high;

    /* mfence drains the store under test, lfence keeps rdtsc in its place */
    __asm__ volatile("mfence; lfence; rdtsc; lfence"
                     : "=a"(low), "=d"(high) : : "memory");
    return (u64)high << 32 | low;
}

HELPER void print(const char *text)
{
    while (*text) {
        outb(PORT_DEBUG, *text++);
    }
}

/* Divide *@value by ten and return the remainder, without libgcc. */
HELPER u32 div10(u64 *value)
{
    u32 high = *value >> 32, low = *value, rest = high % 10;

    __asm__("divl %2" : "+a"(low), "+d"(rest) : "r"(10));
    *value = (u64)(high / 10) << 32 | low;
    return rest;
}

HELPER void print_number(const char *name, u64 value)
{
    char text[21];
    u32 i = sizeof(text);

    text[--i] = 0;
    do {
        text[--i] = '0' + div10(&value);
    } while (value);
    print(name);
    print(text + i);
}

#endif
