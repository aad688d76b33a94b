/*
 * Pages that are converted again and again
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/error-report.h"
#include "qemu/timer.h"
#include "flips.h"

/* FLIPS_MAX conversions of one page within FLIPS_MS are worth a warning */
#define FLIPS_MAX 1000
#define FLIPS_MS 10000
/* At least this long between two warnings */
#define WARN_MS 10000
/* Pages that are watched at a time; a power of two */
#define FLIPS_WATCHED 256

typedef struct Flip {
    hwaddr gpa;
    unsigned count;
    int64_t since_ms;
} Flip;

/* Protected by the BQL */
static Flip flips_watched[FLIPS_WATCHED];

/*
 * Two vCPUs that do not agree about a page keep QEMU and the host busy.  QEMU
 * cannot stop that, but a user who looks for the cause finds this warning.
 * Pages that share an entry of flips_watched push each other out, so that some
 * warnings are missed and none is wrong.
 */
void kvm_flips_watch(hwaddr gpa)
{
    static int64_t warned_ms = -WARN_MS;
    Flip *f =
        &flips_watched[(gpa / qemu_real_host_page_size()) % FLIPS_WATCHED];
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);

    assert(bql_locked());
    if (f->gpa != gpa || now - f->since_ms > FLIPS_MS) {
        *f = (Flip) { .gpa = gpa, .since_ms = now };
    }
    if (++f->count == FLIPS_MAX && now - warned_ms >= WARN_MS) {
        warned_ms = now;
        warn_report("guest address 0x%" HWADDR_PRIx " was converted between "
                    "private and shared %u times in %u seconds", gpa, f->count,
                    FLIPS_MS / 1000);
    }
}
