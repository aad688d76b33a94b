/*
 * A fuzzer's input, read piece by piece
 *
 * Behind its end everything is 0, so that each input means something, and a
 * short one means little.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_FUZZ_FUZZ_INPUT_H
#define TESTS_FUZZ_FUZZ_INPUT_H

typedef struct FuzzInput {
    const uint8_t *at;
    size_t left;
} FuzzInput;

/* libFuzzer calls it, for each input */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A number of so many bytes */
static inline uint64_t fuzz_number(FuzzInput *in, unsigned bytes)
{
    uint64_t value = 0;

    for (; bytes; bytes--) {
        value <<= 8;
        if (in->left) {
            value |= *in->at++;
            in->left--;
        }
    }
    return value;
}

/* A number less than @end, which is at most 65536 */
static inline unsigned fuzz_below(FuzzInput *in, unsigned end)
{
    return fuzz_number(in, end > 256 ? 2 : 1) % end;
}

#endif /* TESTS_FUZZ_FUZZ_INPUT_H */
