/*
 * Fuzzer of requests to convert memory between private and shared
 *
 * Reads what a guest asks for from the input: hypercalls and memory faults
 * with any range and flags.  KVM's call, and a listener, can fail at any step.
 * After each request every page is as the model has it, in QEMU's record and in
 * KVM's: all of the range has changed sides, or nothing has.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

/* kvm_int.h is for code of one target: it asks for names that are poisoned */
#define HW_POISON_H
#define TARGET_I386
/* Our own BQL: what we link with has a stub of it that is never locked */
#define bql_locked fuzz_bql_locked
#define bql_lock_impl fuzz_bql_lock
#define bql_unlock fuzz_bql_unlock
#include "qemu/osdep.h"
#include "../unit/kvm-conversion-model.h"
#include "../../accel/kvm/prefault/convert.c"
#include "fuzz-input.h"

/* A fault that nothing cures has to stop the guest at the latest then */
#define PATIENCE 32

const TargetPageBits target_page = { .bits = 12, .mask = -4096 };
MachineState *current_machine;

/* What the fakes are told, and have seen since the request began */
static bool has_private, wanted, guest_can_be_told, locked;
static unsigned reports, entered;
static hwaddr mapped_gpa;
static uint64_t mapped_size;

bool bql_locked(void)
{
    return locked;
}

void bql_lock_impl(const char *file, int line)
{
    g_assert_false(locked);
    locked = true;
}

void bql_unlock(void)
{
    g_assert_true(locked);
    locked = false;
}

bool machine_require_guest_memfd(MachineState *machine)
{
    return has_private;
}

bool prefault_is_wanted(void)
{
    return wanted;
}

bool prefault_withdrawing(hwaddr start, uint64_t size)
{
    g_assert_true(locked);
    return false;
}

void prefault_converted(hwaddr start, uint64_t size, int64_t budget_ns)
{
    g_assert_false(locked);
    mapped_gpa = start;
    mapped_size = size;
}

void kvm_stop_report(const char *what, hwaddr gpa, uint64_t size,
                     uint64_t flags, const char *problem)
{
    g_assert_true(locked && *problem);
    reports++;
}

void kvm_flips_watch(hwaddr gpa)
{
}

bool kvm_poison_tell_guest(CPUState *cpu, hwaddr gpa)
{
    return guest_can_be_told;
}

void kvm_poison_tell_fatal(void)
{
}

uint64_t kvm_poison_count(void)
{
    return 0;
}

int kvm_vcpu_ioctl(CPUState *cpu, unsigned long type, ...)
{
    g_assert_cmphex(type, ==, KVM_RUN);
    g_assert_true(cpu->kvm_run->immediate_exit);
    entered++;
    return -EINTR;
}

/* What the input has the guest ask for */
typedef struct Asked {
    hwaddr gpa;
    uint64_t size;
    uint64_t flags;
    bool to_private;
    bool is_valid;              /* anything but the range */
} Asked;

static struct kvm_run run;
static CPUState cpu = { .kvm_run = &run };
static bool model[PAGES];
static PrefaultConversions expected;

/* Mostly addresses that exist; else any, many of them near the last one */
static uint64_t read_address(FuzzInput *in, unsigned kind)
{
    switch (kind % 4) {
    case 0:
        return fuzz_number(in, 8);
    case 1:
        return -(uint64_t)(fuzz_below(in, 16) * page) - (kind > 5);
    default:
        return fuzz_below(in, PAGES + 2) * page;
    }
}

/* Pages of the range that can be private */
static unsigned pages_in(const Asked *asked)
{
    unsigned count = 0;

    for (unsigned gfn = 0; gfn < PAGES; gfn++) {
        count += record_of(model, gfn) && gfn * page >= asked->gpa &&
                 gfn * page - asked->gpa < asked->size;
    }
    return count;
}

static bool should_succeed(const Asked *asked)
{
    return asked->is_valid && asked->size && asked->gpa % page == 0 &&
           asked->size % page == 0 && asked->gpa + asked->size > asked->gpa &&
           (pages_in(asked) || !asked->to_private);
}

/* Returns the bytes that the model changes */
static uint64_t model_convert(const Asked *asked)
{
    uint64_t changed = 0;

    for (unsigned gfn = 0; gfn < PAGES; gfn++) {
        bool *record = record_of(model, gfn);

        if (record && gfn * page >= asked->gpa &&
            gfn * page - asked->gpa < asked->size) {
            changed += *record != asked->to_private ? page : 0;
            *record = asked->to_private;
        }
    }
    return changed;
}

/* What a call of KVM's or a listener failed undoes all: did one? */
static unsigned failures(void)
{
    return failed_attributes + failed_populate;
}

/* A request was served, or failed; @ok: as it says itself */
static void check_served(const Asked *asked, const bool before[PAGES], bool ok,
                         unsigned failed)
{
    uint64_t changed = ok ? model_convert(asked) : 0;
    g_autofree PrefaultConversions *figures = NULL;

    g_assert_cmpint(ok, ==, should_succeed(asked) && failures() == failed);
    check(model);
    check_given_back((bool *)before, model, asked->to_private);
    if (ok) {
        *(asked->to_private ? &expected.to_private : &expected.to_shared) += 1;
        *(asked->to_private ? &expected.to_private_bytes
                            : &expected.to_shared_bytes) += changed;
    } else {
        expected.failures++;
    }
    g_assert_cmpuint(reports, ==, !ok);
    bql_lock();
    figures = kvm_convert_figures();
    bql_unlock();
    g_assert_cmpuint(figures->to_private, ==, expected.to_private);
    g_assert_cmpuint(figures->to_shared, ==, expected.to_shared);
    g_assert_cmpuint(figures->to_private_bytes, ==, expected.to_private_bytes);
    g_assert_cmpuint(figures->to_shared_bytes, ==, expected.to_shared_bytes);
    g_assert_cmpuint(figures->failures, ==, expected.failures);
}

static void fuzz_hypercall(FuzzInput *in, unsigned kind)
{
    uint64_t pages = kind & 64 ? fuzz_number(in, 8) : fuzz_below(in, PAGES + 2);
    uint64_t attributes = kind & 128 ? fuzz_number(in, 8) : fuzz_below(in, 32);
    unsigned failed = failures();
    bool before[PAGES], handled;
    Asked asked = {
        .gpa = read_address(in, kind / 8),
        .size = pages * page,
        .to_private = attributes & KVM_MAP_GPA_RANGE_ENCRYPTED,
        .is_valid = pages <= UINT64_MAX / page && attributes < 32,
    };
    int ret = 42;

    memcpy(before, model, sizeof(model));
    run.hypercall.args[0] = asked.gpa;
    run.hypercall.args[1] = pages;
    run.hypercall.args[2] = attributes;
    handled = kvm_convert_on_hypercall(&cpu, &ret);
    check_served(&asked, before, ret == 0, failed);
    g_assert_true(handled == (ret || wanted));
    g_assert_cmpint(run.hypercall.ret, ==, ret ? -KVM_EINVAL : 0);
    g_assert_cmpuint(entered, ==, !!ret);
    if (!ret) {
        g_assert_true(mapped_gpa == asked.gpa && mapped_size == asked.size);
    }
}

/* Of QEMU itself, which has the BQL or not */
static void fuzz_for_qemu(FuzzInput *in, unsigned kind)
{
    unsigned failed = failures();
    bool before[PAGES];
    Asked asked = {
        .gpa = read_address(in, kind / 8),
        .size = read_address(in, kind / 16),
        .to_private = kind & 128,
        .is_valid = has_private,
    };
    int ret;

    memcpy(before, model, sizeof(model));
    ret = kvm_convert_for_qemu(asked.gpa, asked.size, asked.to_private);
    check_served(&asked, before, ret == 0, failed);
}

/* Returns what kvm_convert_on_exit() sets; the model follows what was served */
static int fault_once(const Asked *asked, int run_ret)
{
    unsigned failed = failures();
    uint64_t served = convert_counts.implicit;
    bool before[PAGES], told = run_ret == -EHWPOISON && guest_can_be_told;
    int ret = 42;

    memcpy(before, model, sizeof(model));
    run.exit_reason = KVM_EXIT_MEMORY_FAULT;
    run.memory_fault.gpa = asked->gpa;
    run.memory_fault.size = asked->size;
    run.memory_fault.flags = asked->flags;
    reports = 0;
    if (!kvm_convert_on_exit(&cpu, run_ret, &ret)) {
        g_assert_true(run_ret == -EINTR || !(has_private || wanted));
        return 0;
    }
    if (convert_counts.implicit > served) {
        expected.to_private += asked->to_private;
        expected.to_shared += !asked->to_private;
        *(asked->to_private ? &expected.to_private_bytes
                            : &expected.to_shared_bytes) +=
            model_convert(asked);
        g_assert_true(should_succeed(asked) && failures() == failed);
    }
    expected.failures = convert_counts.failures;
    check(model);
    check_given_back(before, model, asked->to_private);
    g_assert_true(ret == 0 || ret == -1 || (told && ret == EXCP_INTERRUPT));
    g_assert_cmpuint(reports, ==, ret == -1);
    return ret;
}

/* A guest whose fault is not cured is stopped in the end, and not at once */
static void fuzz_fault(FuzzInput *in, unsigned kind)
{
    static const int rets[] = { -EFAULT, -EFAULT, -EHWPOISON, -EINTR };
    int run_ret = rets[fuzz_below(in, ARRAY_SIZE(rets))];
    uint64_t flags = kind & 64 ? fuzz_number(in, 8)
                     : kind & 128 ? KVM_MEMORY_EXIT_FLAG_PRIVATE : 0;
    Asked asked = {
        .gpa = read_address(in, kind / 8),
        .size = kind & 32 ? read_address(in, kind) : page,
        .flags = flags,
        .to_private = flags & KVM_MEMORY_EXIT_FLAG_PRIVATE,
        .is_valid = !(flags & ~(uint64_t)KVM_MEMORY_EXIT_FLAG_PRIVATE),
    };
    unsigned failed = failures();
    bool stopped_it = fault_once(&asked, run_ret) < 0;

    if (run_ret != -EFAULT || !(has_private || wanted)) {
        return;
    }
    for (int i = 0; i < PATIENCE && !stopped_it; i++) {
        stopped_it = fault_once(&asked, run_ret) < 0;
    }
    g_assert_true(stopped_it);
    if (should_succeed(&asked) && failures() == failed) {
        for (unsigned gfn = 0; gfn < PAGES; gfn++) {
            Asked one = { .gpa = gfn * page, .size = page };

            g_assert_true(gfn * page < asked.gpa ||
                          gfn * page - asked.gpa >= asked.size ||
                          !pages_in(&one) || model[gfn] == asked.to_private);
        }
    }
}

static void begin(FuzzInput *in)
{
    unsigned bits = fuzz_number(in, 1);

    page = qemu_real_host_page_size();
    has_private = bits & 1;
    wanted = bits & 2;
    guest_can_be_told = bits & 4;
    memset(model, 0, sizeof(model));
    setup(model);
    expected = convert_counts = (PrefaultConversions) {};
    convert_generation = 0;
    convert_fault = (Fault) {};
    failed_attributes = failed_populate = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const requests[])(FuzzInput *in, unsigned kind) = {
        fuzz_hypercall, fuzz_hypercall, fuzz_for_qemu, fuzz_fault,
    };
    FuzzInput in = { data, size };

    begin(&in);
    while (in.left) {
        unsigned kind = fuzz_number(&in, 1), fail = fuzz_number(&in, 1);

        reports = entered = 0;
        mapped_size = 0;
        fail_attributes = fail & 1 ? fail / 16 : 0;
        fail_populate = fail & 2 ? fail / 4 % 4 : 0;
        requests[kind % ARRAY_SIZE(requests)](&in, kind);
        g_assert_false(locked);
    }
    fail_attributes = fail_populate = 0;
    teardown();
    return 0;
}
