/*
 * Requests to convert guest memory: what KVM and the guest ask QEMU for
 *
 * All state is protected by the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "exec/cpu-common.h"
#include "exec/target_page.h"
#include "hw/boards.h"
#include "hw/core/prefault.h"
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "standard-headers/linux/kvm_para.h"
#include "system/address-spaces.h"
#include "system/kvm.h"
#include "system/kvm_int.h"
#include "system/kvm-conversion.h"
#include "system/kvm-memory-fault.h"
#include "system/kvm-poison.h"
#include "system/kvm-refill.h"
#include "system/runstate.h"
#include "trace.h"
#ifdef TARGET_I386
#include "standard-headers/asm-x86/kvm_para.h"
#endif

/*
 * How long a vCPU that left the guest prefaults what it converted; the rest is
 * for refill.  A guest expects an explicit conversion to take a while, and QEMU
 * 10.2 maps all of it there: a tenth of a second is some 100 MiB.  It does not
 * know of an implicit one, which is of one page and takes a few microseconds.
 */
#define EXPLICIT_BUDGET_NS (100 * SCALE_MS)
#define IMPLICIT_BUDGET_NS (1 * SCALE_MS)

/* One page that is converted so often in so long is worth a warning */
#define FLIPS_MAX 1000
#define FLIPS_MS 10000
/* A warning at most in so long */
#define WARN_MS 10000
/* Pages that are watched at a time; a power of two */
#define FLIPS_WATCHED 256

#define GUEST_NOT_TOLD "the host's memory is poisoned, and the guest cannot be " \
                       "told: it is stopped"

typedef enum Request {
    REQUEST_IMPLICIT,
    REQUEST_EXPLICIT,
} Request;

typedef struct Flips {
    hwaddr gpa;
    unsigned count;
    int64_t since_ms;
} Flips;

/* What a vCPU knew when it left the guest for a memory fault */
typedef struct Fault {
    unsigned generation;
    hwaddr gpa;
} Fault;

static PrefaultConversions counts;
static unsigned generation;     /* of what is private: each conversion begins one */
static GHashTable *faults;      /* CPUState -> Fault */
static Flips flips[FLIPS_WATCHED];

static void report(const char *what, hwaddr gpa, uint64_t size, uint64_t flags,
                   const char *problem)
{
    MemoryRegionSection found = memory_region_find(get_system_memory(), gpa, 1);

    error_report("%s: guest address 0x%" HWADDR_PRIx ", size 0x%" PRIx64
                 ", flags 0x%" PRIx64 ", memory region '%s': %s", what, gpa,
                 size, flags,
                 found.mr ? memory_region_name(found.mr) : "none", problem);
    if (found.mr) {
        memory_region_unref(found.mr);
    }
}

/*
 * Two vCPUs that do not agree about a page keep QEMU and the host busy; that is
 * the guest's affair, but whoever wonders should find out.  Pages that share an
 * entry here push each other out, so that some warnings are missed and none is
 * wrong.
 */
static void watch_flips(hwaddr gpa)
{
    static int64_t warned_ms = -WARN_MS;
    Flips *f = &flips[(gpa / qemu_real_host_page_size()) % FLIPS_WATCHED];
    int64_t now = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);

    if (f->gpa != gpa || now - f->since_ms > FLIPS_MS) {
        *f = (Flips) { .gpa = gpa, .since_ms = now };
    }
    if (++f->count == FLIPS_MAX && now - warned_ms >= WARN_MS) {
        warned_ms = now;
        warn_report("guest address 0x%" HWADDR_PRIx " was converted between "
                    "private and shared %u times in %u seconds", gpa, f->count,
                    FLIPS_MS / 1000);
    }
}

static void count(Request request, bool to_private,
                  const KvmConversionResult *result)
{
    uint64_t *conversions = to_private ? &counts.to_private
                                       : &counts.to_shared;
    uint64_t *bytes = to_private ? &counts.to_private_bytes
                                 : &counts.to_shared_bytes;

    *conversions += 1;
    *bytes += result->changed;
    counts.kept += result->kept;
    switch (request) {
    case REQUEST_IMPLICIT:
        counts.implicit++;
        break;
    case REQUEST_EXPLICIT:
        counts.q_explicit++;
        break;
    }
}

/* Returns NULL after a message */
static KvmConversion *begin(Request request, hwaddr gpa, uint64_t size,
                            bool to_private, uint64_t flags)
{
    static const char *const names[] = {
        [REQUEST_IMPLICIT] = "KVM_EXIT_MEMORY_FAULT",
        [REQUEST_EXPLICIT] = "KVM_HC_MAP_GPA_RANGE",
    };
    Error *err = NULL;
    KvmConversion *c = kvm_conversion_begin(gpa, size, to_private, &err);

    if (!c) {
        counts.failures++;
        report(names[request], gpa, size, flags, error_get_pretty(err));
        error_free(err);
        return NULL;
    }
    generation++;
    return c;
}

static void end(KvmConversion *c, Request request, hwaddr gpa, bool to_private)
{
    KvmConversionResult result;

    kvm_conversion_end(c, &result);
    count(request, to_private, &result);
    if (result.changed) {
        watch_flips(gpa);
    }
}

/* Others may want the BQL, which @c, of hundreds of MiB perhaps, need not keep */
static void give_back(KvmConversion *c)
{
    while (kvm_conversion_give_back(c)) {
        bql_unlock();
        bql_lock();
    }
}

/*
 * Map what was converted, in steps between which others get the BQL, until the
 * budget is used up or someone wants this vCPU.
 */
static void prefault(CPUState *cpu, hwaddr start, hwaddr end, int64_t budget)
{
    int64_t until = get_clock() + budget;

    while (start < end && get_clock() < until &&
           !qatomic_read(&cpu->exit_request)) {
        BQL_LOCK_GUARD();
        hwaddr next = kvm_refill_converted_step(cpu, start, end);

        if (next == start) {
            break;
        }
        start = next;
    }
    if (start < end) {
        BQL_LOCK_GUARD();
        kvm_refill_converted(start, end - start);
    }
}

static Fault *fault_of(CPUState *cpu)
{
    Fault *f = faults ? g_hash_table_lookup(faults, cpu) : NULL;

    if (!f) {
        f = g_new0(Fault, 1);
        faults = faults ?: g_hash_table_new(NULL, NULL);
        g_hash_table_insert(faults, cpu, f);
    }
    return f;
}

/*
 * Did another vCPU convert memory meanwhile?  KVM_X86_SW_PROTECTED_VM takes an access
 * for what the page was when it faulted, so what this vCPU was told may be over
 * by now, and to act on it would undo a conversion.  If it is not over, the vCPU
 * says so again.
 */
static bool may_be_over(CPUState *cpu, hwaddr gpa)
{
    BQL_LOCK_GUARD();
    Fault *f = fault_of(cpu);
    bool over = f->generation != generation && f->gpa != gpa;

    *f = (Fault) { .generation = generation, .gpa = over ? gpa : -1 };
    return over;
}

static int serve_exit(CPUState *cpu, Request request, hwaddr gpa, uint64_t size,
                      bool to_private, uint64_t flags)
{
    KvmConversion *c;

    bql_lock();
    c = begin(request, gpa, size, to_private, flags);
    if (c) {
        /* What others convert from now on is news to this vCPU */
        fault_of(cpu)->generation = generation;
        give_back(c);
        end(c, request, gpa, to_private);
    }
    bql_unlock();
    if (!c) {
        return -1;
    }
    prefault(cpu, gpa, gpa + size,
             request == REQUEST_EXPLICIT ? EXPLICIT_BUDGET_NS
                                         : IMPLICIT_BUDGET_NS);
    return 0;
}

/* A request that is wrong before it is looked at */
static int refuse(const char *what, hwaddr gpa, uint64_t size, uint64_t flags,
                  const char *problem)
{
    BQL_LOCK_GUARD();
    counts.failures++;
    report(what, gpa, size, flags, problem);
    return -1;
}

/* @size may be more than a page: which page is broken is not said */
static int serve_poison(CPUState *cpu, hwaddr gpa, uint64_t size,
                        uint64_t flags)
{
    BQL_LOCK_GUARD();
    if (kvm_poison_tell_guest(cpu, gpa)) {
        /* It is delivered when the vCPU is entered anew */
        return EXCP_INTERRUPT;
    }
    kvm_poison_tell_fatal();
    report("KVM_EXIT_MEMORY_FAULT", gpa, size, flags, GUEST_NOT_TOLD);
    return -1;
}

bool kvm_memory_fault_poisoned(int code, void *host)
{
    hwaddr gpa = 0;

    if (code != BUS_MCEERR_AR || !prefault_is_wanted() ||
        !machine_require_guest_memfd(current_machine)) {
        return false;
    }
    kvm_physical_memory_addr_from_host(kvm_state, host, &gpa);
    kvm_poison_tell_fatal();
    report("SIGBUS", gpa, qemu_real_host_page_size(), 0, GUEST_NOT_TOLD);
    /* Of this thread: the vCPU must not touch it again before it is stopped */
    vm_stop(RUN_STATE_INTERNAL_ERROR);
    return true;
}

/* Requests */

static int serve_fault(CPUState *cpu, int run_ret)
{
    hwaddr gpa = cpu->kvm_run->memory_fault.gpa;
    uint64_t size = cpu->kvm_run->memory_fault.size;
    uint64_t flags = cpu->kvm_run->memory_fault.flags;

    trace_kvm_memory_fault(gpa, size, flags);
    if (flags & ~(uint64_t)KVM_MEMORY_EXIT_FLAG_PRIVATE) {
        return refuse("KVM_EXIT_MEMORY_FAULT", gpa, size, flags,
                      "unknown flags");
    }
    if (run_ret == -EHWPOISON) {
        return serve_poison(cpu, gpa, size, flags);
    }
    if (may_be_over(cpu, gpa)) {
        return 0;
    }
    return serve_exit(cpu, REQUEST_IMPLICIT, gpa, size,
                      flags & KVM_MEMORY_EXIT_FLAG_PRIVATE, flags);
}

bool kvm_memory_fault_handle(CPUState *cpu, int run_ret, int *ret)
{
    if (cpu->kvm_run->exit_reason != KVM_EXIT_MEMORY_FAULT ||
        !prefault_is_wanted()) {
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
    *ret = serve_fault(cpu, run_ret);
    return true;
}

#ifdef TARGET_I386
/* Sizes of pages, which are a hint, and the way; other bits are reserved */
#define MAP_GPA_RANGE_KNOWN (0xf | KVM_MAP_GPA_RANGE_ENCRYPTED)

static int serve_map_gpa_range(CPUState *cpu, hwaddr gpa, uint64_t pages,
                               uint64_t attributes)
{
    if (pages > UINT64_MAX / TARGET_PAGE_SIZE) {
        return refuse("KVM_HC_MAP_GPA_RANGE", gpa, pages, attributes,
                      "more pages (given as size) than there are addresses");
    }
    if (attributes & ~(uint64_t)MAP_GPA_RANGE_KNOWN) {
        return refuse("KVM_HC_MAP_GPA_RANGE", gpa, pages * TARGET_PAGE_SIZE,
                      attributes, "unknown flags");
    }
    return serve_exit(cpu, REQUEST_EXPLICIT, gpa, pages * TARGET_PAGE_SIZE,
                      attributes & KVM_MAP_GPA_RANGE_ENCRYPTED, attributes);
}

/*
 * KVM finishes a hypercall when the vCPU is entered again: it sets RAX and goes to
 * the next instruction.  A guest that is stopped is entered next after a
 * reset, whose registers that would spoil.
 */
static void finish_hypercall(CPUState *cpu)
{
    qatomic_set(&cpu->kvm_run->immediate_exit, 1);
    kvm_vcpu_ioctl(cpu, KVM_RUN, 0);
    qatomic_set(&cpu->kvm_run->immediate_exit, 0);
}

bool kvm_memory_fault_map_gpa_range(CPUState *cpu, int *ret)
{
    struct kvm_run *run = cpu->kvm_run;

    if (!prefault_is_wanted()) {
        return false;
    }
    *ret = serve_map_gpa_range(cpu, run->hypercall.args[0],
                               run->hypercall.args[1], run->hypercall.args[2]);
    run->hypercall.ret = *ret ? -KVM_EINVAL : 0;
    if (*ret) {
        finish_hypercall(cpu);
    }
    return true;
}
#endif

bool kvm_memory_fault_convert(hwaddr start, uint64_t size, bool to_private,
                              int *ret)
{
    KvmConversion *c;

    if (!prefault_is_wanted()) {
        return false;
    }
    BQL_LOCK_GUARD();
    c = begin(REQUEST_EXPLICIT, start, size, to_private, 0);
    if (c) {
        while (kvm_conversion_give_back(c)) {
            /* The caller may hold the BQL, and counts on it */
        }
        end(c, REQUEST_EXPLICIT, start, to_private);
    }
    *ret = c ? 0 : -EINVAL;
    return true;
}

PrefaultConversions *kvm_memory_fault_counts(void)
{
    PrefaultConversions *figures = g_new(PrefaultConversions, 1);

    *figures = counts;
    figures->poisoned = kvm_poison_count();
    kvm_refill_converted_counts(&figures->prefaulted,
                                &figures->prefault_pending);
    return figures;
}
