/*
 * Guest memory is mapped on the thread of a vCPU
 *
 * A job is a work item of the vCPU.  The worker that made it waits, but must be
 * able to leave before the job begins: a thread that changes the memory map
 * holds the BQL and waits for the workers, and the vCPU needs the BQL to begin
 * the job.  So worker and vCPU both own the job; the last one frees it.  A vCPU
 * that is unplugged leaves its list of work behind, and its worker owns both.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "hw/core/prefault-backend.h"
#include "qemu/atomic.h"
#include "qemu/lockable.h"
#include "qemu/main-loop.h"
#include "qemu/thread.h"
#include "qemu/timer.h"
#include "qemu/units.h"
#include "system/kvm.h"
#include "system/kvm_int.h"
#include "own-thread.h"
#include "pre-fault.h"
#include "trace.h"

/*
 * A job takes about this long, in pieces that take less time, or 0.2 ms where
 * pages are small.  A smaller piece would map a huge page all the same, and so
 * would the next one again.
 */
#define STEP_NS (100 * SCALE_US)
#define PIECE_SIZE (2 * MiB)

/*
 * A kick interrupts the call before it gets anywhere, even the kick that
 * announced the job.  The thread answers it after as many attempts.
 */
#define STEP_TRIES 3

/* A worker that waits looks this often whether the gate was closed */
#define LOOK_MS 5
/* Unless somebody keeps the BQL, a vCPU has answered long before this */
#define ANSWER_MS 1000

typedef struct OwnThreadJob {
    QemuMutex lock;             /* protects the rest */
    QemuCond cond;              /* @done became true */
    unsigned owners;            /* the worker, and the vCPU's list of work */
    bool done;
    bool abandoned;             /* by its worker */
    unsigned generation;
    hwaddr gpa;
    uint64_t size;
    uint64_t mapped;
    int ret;
} OwnThreadJob;

/*
 * KVM fills the page tables that the vCPU uses now; those of SMM or of a nested
 * guest are of no use.  kvm_run's flags tell which these are, but only once the
 * vCPU has run with its present registers (!vcpu_dirty).
 */
static bool own_thread_can_map(CPUState *cpu)
{
#ifdef TARGET_I386
    return !cpu->vcpu_dirty &&
           !(cpu->kvm_run->flags & (KVM_RUN_X86_SMM | KVM_RUN_X86_GUEST_MODE));
#else
    return true;
#endif
}

/* Map piece by piece, each up to a boundary, until STEP_NS are over */
static int own_thread_pieces(CPUState *cpu, unsigned generation, hwaddr gpa,
                             uint64_t size, uint64_t *mapped)
{
    int64_t until = get_clock() + STEP_NS;
    int ret;

    *mapped = 0;
    do {
        hwaddr start = gpa + *mapped;
        uint64_t piece = ROUND_UP(start + 1, PIECE_SIZE) - start;
        uint64_t done;

        ret = kvm_pre_fault_map(cpu, generation, start,
                                MIN(piece, size - *mapped), &done);
        *mapped += done;
    } while (!ret && *mapped < size && get_clock() < until);
    return ret;
}

static int own_thread_step(CPUState *cpu, unsigned generation, hwaddr gpa,
                           uint64_t size, uint64_t *mapped)
{
    int ret = -EINTR;

    *mapped = 0;
    for (int i = 0; ret == -EINTR && !*mapped && i < STEP_TRIES; i++) {
        ret = own_thread_pieces(cpu, generation, gpa, size, mapped);
    }
    return ret;
}

int kvm_own_thread_map_here(CPUState *cpu, unsigned generation, hwaddr gpa,
                            uint64_t size, uint64_t *mapped)
{
    int ret;

    *mapped = 0;
    if (!own_thread_can_map(cpu)) {
        return -EBUSY;
    }
    ret = own_thread_step(cpu, generation, gpa, size, mapped);
    if (ret == -ETIME && !*mapped) {
        bool dropped;

        bql_lock();
        dropped = kvm_pre_fault_drop_root(cpu);
        bql_unlock();
        ret = dropped ? own_thread_step(cpu, generation, gpa, size, mapped)
                      : ret;
    }
    trace_kvm_own_thread_map(cpu->cpu_index, gpa, size, *mapped, ret);
    return ret;
}

/*
 * An unplugged vCPU's thread has left, which it tells with the BQL.  It may
 * have run the guest since it looked at its list for the last time: what was
 * queued meanwhile stays there.
 */
static bool own_thread_is_gone(const CPUState *cpu)
{
    return qatomic_read(&cpu->unplug) && !qatomic_read(&cpu->created);
}

static OwnThreadJob *own_thread_job_new(unsigned generation, hwaddr gpa,
                                        uint64_t size)
{
    OwnThreadJob *job = g_new0(OwnThreadJob, 1);

    qemu_mutex_init(&job->lock);
    qemu_cond_init(&job->cond);
    job->owners = 2;
    job->generation = generation;
    job->gpa = gpa;
    job->size = size;
    return job;
}

static void own_thread_job_unref(OwnThreadJob *job)
{
    bool last;

    WITH_QEMU_LOCK_GUARD(&job->lock) {
        last = !--job->owners;
    }
    if (last) {
        qemu_cond_destroy(&job->cond);
        qemu_mutex_destroy(&job->lock);
        g_free(job);
    }
}

static bool own_thread_job_abandoned(OwnThreadJob *job)
{
    QEMU_LOCK_GUARD(&job->lock);
    return job->abandoned;
}

static void own_thread_work(CPUState *cpu, run_on_cpu_data data)
{
    OwnThreadJob *job = data.host_ptr;
    uint64_t mapped;
    int ret;

    if (!own_thread_job_abandoned(job)) {
        bql_unlock();
        ret = kvm_own_thread_map_here(cpu, job->generation, job->gpa,
                                      job->size, &mapped);
        bql_lock();
        WITH_QEMU_LOCK_GUARD(&job->lock) {
            job->done = true;
            job->ret = ret;
            job->mapped = mapped;
            qemu_cond_signal(&job->cond);
        }
    }
    own_thread_job_unref(job);
}

/* Returns false if the job is abandoned */
static bool own_thread_wait(const CPUState *cpu, OwnThreadJob *job)
{
    int64_t until = get_clock() + ANSWER_MS * SCALE_MS;

    QEMU_LOCK_GUARD(&job->lock);
    while (!job->done && get_clock() < until && !own_thread_is_gone(cpu) &&
           prefault_gate_is_open(job->generation)) {
        qemu_cond_timedwait(&job->cond, &job->lock, LOOK_MS);
    }
    job->abandoned = !job->done;
    if (job->abandoned && own_thread_is_gone(cpu)) {
        /* Nobody works through the list: the worker is the only owner */
        job->owners--;
    }
    return job->done;
}

int kvm_own_thread_map(CPUState *cpu, unsigned generation, hwaddr gpa,
                       uint64_t size, uint64_t *mapped)
{
    OwnThreadJob *job;
    int ret;

    *mapped = 0;
    if (own_thread_is_gone(cpu)) {
        return -EBUSY;
    }
    job = own_thread_job_new(generation, gpa, size);
    async_run_on_cpu(cpu, own_thread_work, RUN_ON_CPU_HOST_PTR(job));
    if (own_thread_wait(cpu, job)) {
        *mapped = job->mapped;
        ret = job->ret;
    } else {
        ret = prefault_gate_is_open(generation) ? -EBUSY : -ECANCELED;
    }
    own_thread_job_unref(job);
    return ret;
}
