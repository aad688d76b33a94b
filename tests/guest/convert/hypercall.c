/*
 * prefault converting guest: KVM_HC_MAP_GPA_RANGE.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Numbers: Linux, Documentation/virt/kvm/x86/hypercalls.rst and cpuid.rst.
 */
#include "convert.h"

enum {
    KVM_HC_MAP_GPA_RANGE = 12,
    KVM_CPUID_SIGNATURE = 0x40000000,
    KVM_CPUID_FEATURES = 0x40000001,
    SIGNATURE = 0x4b4d564b,     /* "KVMK" */
    KVM_FEATURE_HC_MAP_GPA_RANGE = 16,
    GENUINE_INTEL = 0x756e6547, /* "Genu" */
};

u32 cpu_is_intel;
static int announced;

struct cpuid cpuid(u32 leaf)
{
    struct cpuid out;

    __asm__ volatile("cpuid" : "=a"(out.eax), "=b"(out.ebx), "=c"(out.ecx),
                     "=d"(out.edx) : "a"(leaf), "c"(0));
    return out;
}

void hypercall_init(void)
{
    cpu_is_intel = cpuid(0).ebx == GENUINE_INTEL;
    announced = cpuid(KVM_CPUID_SIGNATURE).ebx == SIGNATURE &&
                cpuid(KVM_CPUID_FEATURES).eax >>
                KVM_FEATURE_HC_MAP_GPA_RANGE & 1;
}

int hypercall_announced(void)
{
    return announced;
}

/* As in entry.S: a KVM that does not announce it is not asked. */
u64 map_gpa_range(u64 gpa, u64 pages, u64 flags)
{
    return announced ? hypercall(KVM_HC_MAP_GPA_RANGE, gpa, pages, flags)
                     : -(u64)KVM_ENOSYS;
}
