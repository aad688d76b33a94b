/*
 * Gate: memory is mapped only while the memory map is the one of the plan
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/thread.h"
#include "hw/core/prefault-backend.h"
#include "gate.h"

static struct {
    QemuMutex lock;             /* protects the rest */
    QemuCond cond;              /* @inside became 0 */
    unsigned generation;
    unsigned inside;
} gate;

__attribute__((constructor))
static void gate_init(void)
{
    qemu_mutex_init(&gate.lock);
    qemu_cond_init(&gate.cond);
}

unsigned prefault_gate_generation(void)
{
    QEMU_LOCK_GUARD(&gate.lock);
    return gate.generation;
}

bool prefault_gate_is_open(unsigned generation)
{
    return prefault_gate_generation() == generation;
}

bool prefault_gate_enter(unsigned generation)
{
    QEMU_LOCK_GUARD(&gate.lock);

    if (gate.generation != generation) {
        return false;
    }
    gate.inside++;
    return true;
}

void prefault_gate_leave(void)
{
    QEMU_LOCK_GUARD(&gate.lock);

    assert(gate.inside);
    if (!--gate.inside) {
        qemu_cond_broadcast(&gate.cond);
    }
}

void prefault_gate_close(void)
{
    QEMU_LOCK_GUARD(&gate.lock);

    gate.generation++;
    while (gate.inside) {
        qemu_cond_wait(&gate.cond, &gate.lock);
    }
}
