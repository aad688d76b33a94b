// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Test only: makes KVM raise KVM_EXIT_MEMORY_FAULT
 *
 * A KVM_X86_SW_PROTECTED_VM takes each access for one of the kind that the page
 * is, so a guest never causes an implicit conversion.  This module changes what KVM
 * believes of an access, for guest addresses in a window, and KVM does the rest
 * itself, as for SEV-SNP and TDX:
 *
 *   /sys/module/implicit/parameters/to_private
 *       an access to a shared page there counts as private (flags 0x8)
 *   /sys/module/implicit/parameters/to_shared
 *       an access to a private page there counts as shared (flags 0x0)
 *   /sys/module/implicit/parameters/changed
 *       how often that was done
 *
 * A window is START-END in bytes, END excluded; 0-0 is none.  After the conversion
 * the access is of the kind that the page is now, and the guest goes on.  Both
 * windows over the same page make it flip for ever.  A page that is mapped causes no
 * fault, and so nothing here.
 */
#include <linux/kprobes.h>
#include <linux/kvm_host.h>
#include <linux/module.h>
#include "mmu.h"
#include "mmu/mmu_internal.h"

/* Pages, the first one << 32 | the end: a probe never sees half of a window */
static u64 to_private, to_shared;
static atomic_long_t changed;

static bool inside(u64 *window, gfn_t gfn)
{
	u64 now = READ_ONCE(*window);

	return gfn >= now >> 32 && gfn < (u32)now;
}

/* kvm_mmu_page_fault(vcpu, gpa, error_code, ...) */
static int count_as_private(struct kprobe *p, struct pt_regs *regs)
{
	struct kvm_vcpu *vcpu = (struct kvm_vcpu *)regs->di;
	gfn_t gfn = regs->si >> PAGE_SHIFT;

	if (inside(&to_private, gfn) && !kvm_mem_is_private(vcpu->kvm, gfn)) {
		regs->dx |= PFERR_PRIVATE_ACCESS;
		atomic_long_inc(&changed);
	}
	return 0;
}

/* kvm_tdp_page_fault(vcpu, fault) */
static int count_as_shared(struct kprobe *p, struct pt_regs *regs)
{
	struct kvm_page_fault *fault = (struct kvm_page_fault *)regs->si;

	/* Prefault is told the truth: it asks for what the page is */
	if (!fault->prefetch && fault->is_private &&
	    inside(&to_shared, fault->gfn)) {
		*(bool *)&fault->is_private = false;	/* it is const */
		atomic_long_inc(&changed);
	}
	return 0;
}

static int window_set(const char *value, const struct kernel_param *kp)
{
	s64 start, end;

	if (sscanf(value, "%lli-%lli", &start, &end) != 2 || start < 0 ||
	    start > end || end >> PAGE_SHIFT > U32_MAX)
		return -EINVAL;
	WRITE_ONCE(*(u64 *)kp->arg,
		   (u64)start >> PAGE_SHIFT << 32 | end >> PAGE_SHIFT);
	return 0;
}

static int window_get(char *buffer, const struct kernel_param *kp)
{
	u64 window = *(u64 *)kp->arg;

	return sysfs_emit(buffer, "0x%llx-0x%llx\n", window >> 32 << PAGE_SHIFT,
			  (u64)(u32)window << PAGE_SHIFT);
}

static int changed_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%ld\n", atomic_long_read(&changed));
}

static const struct kernel_param_ops window_ops = {
	.set = window_set,
	.get = window_get,
};
static const struct kernel_param_ops changed_ops = { .get = changed_get };

module_param_cb(to_private, &window_ops, &to_private, 0600);
module_param_cb(to_shared, &window_ops, &to_shared, 0600);
module_param_cb(changed, &changed_ops, NULL, 0400);

static struct kprobe probes[] = {
	{ .symbol_name = "kvm_mmu_page_fault", .pre_handler = count_as_private },
	{ .symbol_name = "kvm_tdp_page_fault", .pre_handler = count_as_shared },
};
static struct kprobe *list[] = { &probes[0], &probes[1] };

static int __init implicit_init(void)
{
	return register_kprobes(list, ARRAY_SIZE(list));
}

static void __exit implicit_exit(void)
{
	unregister_kprobes(list, ARRAY_SIZE(list));
}

module_init(implicit_init);
module_exit(implicit_exit);
MODULE_DESCRIPTION("Test only: implicit conversions of guest memory");
MODULE_LICENSE("GPL");
