/*
 * Requests by KVM and the guest to convert guest memory
 *
 * All state is protected by the BQL, but for that of each vCPU's thread.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "exec/target_page.h"
#include "hw/core/prefault-compat.h"
#include "hw/core/prefault-backend.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "standard-headers/linux/kvm_para.h"
#include "system/kvm.h"
#include "system/kvm_int.h"
#include "system/kvm-prefault.h"
#include "conversion.h"
#include "convert.h"
#include "flips.h"
#include "poison.h"
#include "stop.h"
#include "trace/trace-accel_kvm.h"
#ifdef TARGET_I386
#include "standard-headers/asm-x86/kvm_para.h"
#endif

/*
 * How long a vCPU that left the guest prefaults the pages that it converted;
 * the rest is owed.  A guest expects an explicit conversion to take a while,
 * and QEMU 10.2 maps all of its pages at once: a tenth of a second is some
 * 100 MiB.  A guest does not notice an implicit one, which is of one page and
 * takes a few microseconds.
 */
#define EXPLICIT_BUDGET_NS (100 * SCALE_MS)
#define IMPLICIT_BUDGET_NS (1 * SCALE_MS)

/*
 * How often in a row a vCPU may report an address where converting changes
 * nothing; then the guest is stopped.  Once or twice is usual: another vCPU
 * converted the page first, or the host was short of memory for a moment.
 * Eight leave room for more of that, and are over before anybody notices.
 */
#define TRIES_MAX 8
/*
 * A fault that comes later than that after the last one begins another row: the
 * guest has run in between.  A try alone takes less, even if the host looks for
 * memory first.
 */
#define TRIES_APART_MS 10000

typedef enum Request {
    REQUEST_IMPLICIT,
    REQUEST_EXPLICIT,
} Request;

/* Memory faults of a vCPU */
typedef struct Fault {
    /* convert_may_be_over(): the last one, and the conversions it knew of */
    unsigned generation;
    hwaddr gpa;
    /* convert_try_again(): those that converting changed nothing about */
    hwaddr tried_gpa;
    int64_t tried_ms;
    unsigned tries;
} Fault;

static PrefaultConversions convert_counts;
/* Each conversion begins a new generation */
static unsigned convert_generation;
static __thread Fault convert_fault;    /* of the vCPU whose thread this is */

static void convert_count(Request request, bool to_private,
                          const KvmConversionResult *result)
{
    uint64_t *conversions = to_private ? &convert_counts.to_private
                                       : &convert_counts.to_shared;
    uint64_t *bytes = to_private ? &convert_counts.to_private_bytes
                                 : &convert_counts.to_shared_bytes;

    *conversions += 1;
    *bytes += result->changed;
    convert_counts.kept += result->kept;
    switch (request) {
    case REQUEST_IMPLICIT:
        convert_counts.implicit++;
        break;
    case REQUEST_EXPLICIT:
        convert_counts.q_explicit++;
        break;
    }
}

/* Returns NULL after kvm_stop_report(); the caller stops the guest */
static KvmConversion *convert_begin(Request request, hwaddr gpa, uint64_t size,
                                    bool to_private, uint64_t flags)
{
    static const char *const names[] = {
        [REQUEST_IMPLICIT] = "KVM_EXIT_MEMORY_FAULT",
        [REQUEST_EXPLICIT] = "KVM_HC_MAP_GPA_RANGE",
    };
    Error *err = NULL;
    KvmConversion *c;

    prefault_withdrawing(gpa, size);
    c = kvm_conversion_begin(gpa, size, to_private, &err);
    if (!c) {
        convert_counts.failures++;
        kvm_stop_report(names[request], gpa, size, flags,
                        error_get_pretty(err));
        error_free(err);
        return NULL;
    }
    convert_generation++;
    return c;
}

/* Returns the bytes that changed sides */
static uint64_t convert_end(KvmConversion *c, Request request, hwaddr gpa,
                            bool to_private)
{
    KvmConversionResult result;

    kvm_conversion_end(c, &result);
    convert_count(request, to_private, &result);
    if (result.changed) {
        kvm_flips_watch(gpa);
    }
    return result.changed;
}

/* @c may be of hundreds of MiB: let other threads have the BQL between calls */
static void convert_give_back(KvmConversion *c)
{
    while (kvm_conversion_give_back(c)) {
        bql_unlock();
        bql_lock();
    }
}

/*
 * Did another vCPU convert memory after this one's fault?  With
 * KVM_X86_SW_PROTECTED_VM KVM reports an access by the state that the page had
 * when it faulted, so the report may be out of date, and to follow it would
 * undo the other vCPU's conversion.  So the vCPU tries again first: a fault
 * that still holds is reported a second time, at the same address, and served.
 */
static bool convert_may_be_over(hwaddr gpa)
{
    BQL_LOCK_GUARD();
    Fault *f = &convert_fault;
    bool over = f->generation != convert_generation && f->gpa != gpa;

    f->generation = convert_generation;
    f->gpa = over ? gpa : -1;
    return over;
}

/*
 * Returns the bytes that changed sides, which are to be prefaulted; or -1 after
 * kvm_stop_report()
 */
static int64_t convert_serve(Request request, hwaddr gpa, uint64_t size,
                             bool to_private, uint64_t flags)
{
    BQL_LOCK_GUARD();
    KvmConversion *c = convert_begin(request, gpa, size, to_private, flags);

    if (!c) {
        return -1;
    }
    /* convert_may_be_over(): later conversions are news to this vCPU */
    convert_fault.generation = convert_generation;
    convert_give_back(c);
    return convert_end(c, request, gpa, to_private);
}

/* Refuse a request that has no meaning, or no effect; returns -1 */
static int convert_refuse(const char *what, hwaddr gpa, uint64_t size,
                          uint64_t flags, const char *problem)
{
    BQL_LOCK_GUARD();
    convert_counts.failures++;
    kvm_stop_report(what, gpa, size, flags, problem);
    return -1;
}

/* Returns false once, and then counts from the start: the guest may be reset */
static bool convert_try_again(hwaddr gpa)
{
    Fault *f = &convert_fault;
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);

    if (f->tried_gpa != gpa || now - f->tried_ms > TRIES_APART_MS) {
        f->tries = 0;
    }
    f->tried_gpa = gpa;
    f->tried_ms = now;
    f->tries = (f->tries + 1) % TRIES_MAX;
    return f->tries;
}

#define PAGE_NOT_SUPPLIED \
    "the host could not supply the page (a limit such as memory.max, a file " \
    "cut short, userfaultfd, a device that is off), which Linux 7.4 and " \
    "later report in this way"

/* In words that end a sentence; @mr is what is there, or NULL */
static const char *convert_cause(MemoryRegion *mr, uint64_t flags)
{
    bool both = mr && memory_region_has_guest_memfd(mr);

    if (!mr || !mr->ram_block ||
        (flags & KVM_MEMORY_EXIT_FLAG_PRIVATE && !both)) {
        return "there is no such memory: QEMU and KVM do not agree about the "
               "guest's memory";
    }
    return both ? "converting it changes nothing; " PAGE_NOT_SUPPLIED
                : PAGE_NOT_SUPPLIED;
}

/* A memory fault that no conversion cures; returns -1 */
static int convert_give_up(hwaddr gpa, uint64_t size, uint64_t flags)
{
    BQL_LOCK_GUARD();
    MemoryRegionSection found = memory_region_find(get_system_memory(), gpa, 1);
    const char *cause = convert_cause(found.mr, flags);

    if (found.mr) {
        memory_region_unref(found.mr);
    }
    return convert_refuse("KVM_EXIT_MEMORY_FAULT", gpa, size, flags, cause);
}

/* @size may be more than a page, and KVM does not say which page is broken */
static int convert_serve_poison(CPUState *cpu, hwaddr gpa, uint64_t size,
                                uint64_t flags)
{
    BQL_LOCK_GUARD();
    if (kvm_poison_tell_guest(cpu, gpa)) {
        /* The machine check is delivered when the vCPU is entered again */
        return EXCP_INTERRUPT;
    }
    kvm_poison_tell_fatal();
    kvm_stop_report("KVM_EXIT_MEMORY_FAULT", gpa, size, flags, POISON_NOT_TOLD);
    return -1;
}

/* Requests */

static int convert_serve_fault(CPUState *cpu, int run_ret)
{
    hwaddr gpa = cpu->kvm_run->memory_fault.gpa;
    uint64_t size = cpu->kvm_run->memory_fault.size;
    uint64_t flags = cpu->kvm_run->memory_fault.flags;
    int64_t changed;

    trace_kvm_memory_fault(gpa, size, flags);
    if (flags & ~(uint64_t)KVM_MEMORY_EXIT_FLAG_PRIVATE) {
        return convert_refuse("KVM_EXIT_MEMORY_FAULT", gpa, size, flags,
                              "unknown flags");
    }
    if (run_ret == -EHWPOISON) {
        return convert_serve_poison(cpu, gpa, size, flags);
    }
    if (convert_may_be_over(gpa)) {
        return 0;
    }
    changed = convert_serve(REQUEST_IMPLICIT, gpa, size,
                            flags & KVM_MEMORY_EXIT_FLAG_PRIVATE, flags);
    if (changed > 0) {
        convert_fault.tries = 0;
        prefault_converted(gpa, size, IMPLICIT_BUDGET_NS);
        return 0;
    }
    if (changed == 0 && !convert_try_again(gpa)) {
        return convert_give_up(gpa, size, flags);
    }
    return changed;
}

bool kvm_convert_on_exit(CPUState *cpu, int run_ret, int *ret)
{
    if (cpu->kvm_run->exit_reason != KVM_EXIT_MEMORY_FAULT ||
        !(machine_require_guest_memfd(current_machine) ||
          prefault_is_wanted())) {
        return false;
    }
    if (run_ret >= 0) {
        error_report("KVM_EXIT_MEMORY_FAULT: KVM_RUN did not fail, so what it "
                     "says means nothing");
        *ret = -1;
        return true;
    }
    if (run_ret != -EFAULT && run_ret != -EHWPOISON) {
        return false;
    }
    *ret = convert_serve_fault(cpu, run_ret);
    return true;
}

#ifdef TARGET_I386
/* Bits of the page size, a hint, and of the direction; others are reserved */
#define MAP_GPA_RANGE_KNOWN (0xf | KVM_MAP_GPA_RANGE_ENCRYPTED)

static int convert_serve_map_gpa_range(hwaddr gpa, uint64_t pages,
                                       uint64_t attributes)
{
    if (pages > UINT64_MAX / TARGET_PAGE_SIZE) {
        return convert_refuse(
            "KVM_HC_MAP_GPA_RANGE", gpa, pages, attributes,
            "more pages (given as size) than there are addresses");
    }
    if (attributes & ~(uint64_t)MAP_GPA_RANGE_KNOWN) {
        return convert_refuse("KVM_HC_MAP_GPA_RANGE", gpa,
                              pages * TARGET_PAGE_SIZE, attributes,
                              "unknown flags");
    }
    if (convert_serve(REQUEST_EXPLICIT, gpa, pages * TARGET_PAGE_SIZE,
                      attributes & KVM_MAP_GPA_RANGE_ENCRYPTED,
                      attributes) < 0) {
        return -1;
    }
    prefault_converted(gpa, pages * TARGET_PAGE_SIZE, EXPLICIT_BUDGET_NS);
    return 0;
}

/*
 * KVM finishes a hypercall when the vCPU is entered again: it sets RAX and goes
 * to the next instruction.  A stopped guest is entered next after a reset, and
 * KVM would then change the registers of the reset.  So enter it now: with
 * immediate_exit KVM_RUN always fails, with EINTR, and the guest does not run.
 */
static void convert_finish_hypercall(CPUState *cpu)
{
    qatomic_set(&cpu->kvm_run->immediate_exit, 1);
    kvm_vcpu_ioctl(cpu, KVM_RUN, 0);
    qatomic_set(&cpu->kvm_run->immediate_exit, 0);
}

bool kvm_convert_on_hypercall(CPUState *cpu, int *ret)
{
    struct kvm_run *run = cpu->kvm_run;

    *ret = convert_serve_map_gpa_range(run->hypercall.args[0],
                                       run->hypercall.args[1],
                                       run->hypercall.args[2]);
    run->hypercall.ret = *ret ? -KVM_EINVAL : 0;
    if (*ret) {
        convert_finish_hypercall(cpu);
    }
    return *ret || prefault_is_wanted();
}
#endif

int kvm_convert_for_qemu(hwaddr start, uint64_t size, bool to_private)
{
    KvmConversion *c;

    BQL_LOCK_GUARD();
    if (!machine_require_guest_memfd(current_machine)) {
        /* prefault=off: QEMU serves a memory fault, for ever if this is 0 */
        convert_give_up(start, size,
                        to_private ? KVM_MEMORY_EXIT_FLAG_PRIVATE : 0);
        return -EINVAL;
    }
    c = convert_begin(REQUEST_EXPLICIT, start, size, to_private, 0);
    if (!c) {
        return -EINVAL;
    }
    while (kvm_conversion_give_back(c)) {
        /* The caller may hold the BQL and rely on it: do not release it */
    }
    convert_end(c, REQUEST_EXPLICIT, start, to_private);
    return 0;
}

PrefaultConversions *kvm_convert_figures(void)
{
    PrefaultConversions *figures = g_new(PrefaultConversions, 1);

    assert(bql_locked());
    *figures = convert_counts;
    figures->poisoned = kvm_poison_count();
    return figures;
}
