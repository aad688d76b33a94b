/*
 * sw-protected-vm: private guest memory without confidential hardware
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "confidential-guest.h"
#include "cpu.h"
#include "hw/core/prefault-compat.h"
#include "hw/i386/sw-protected-vm.h"
#include "hw/i386/x86.h"
#include "kvm/kvm_i386.h"
#include "migration/blocker.h"
#include "qapi/error.h"
#include "qapi/qapi-types-sw-protected-vm.h"
#include "qemu/error-report.h"
#include "qemu/units.h"
#include "qom/object_interfaces.h"
#include "standard-headers/asm-x86/kvm_para.h"
#include "standard-headers/linux/kvm_para.h"
#include "system/hostmem.h"
#include "system/kvm-prefault.h"
#include "system/reset.h"

OBJECT_DECLARE_SIMPLE_TYPE(SwProtectedVm, SW_PROTECTED_VM)

struct SwProtectedVm {
    X86ConfidentialGuest parent_obj;

    SwProtectedVmInitialState initial_state;
    RAMBlockNotifier ram_notifier;
    ResettableState reset_state;
    Error *migration_blocker;
};

/* The machine's object, or NULL */
static SwProtectedVm *sw_protected_vm(void)
{
    return (SwProtectedVm *)object_dynamic_cast(OBJECT(current_machine->cgs),
                                                TYPE_SW_PROTECTED_VM);
}

/* Firmware and option ROMs, which no memory backend owns, stay shared */
static bool sw_protected_vm_begins_private(const SwProtectedVm *vm,
                                           const RAMBlock *rb)
{
    return vm->initial_state == SW_PROTECTED_VM_INITIAL_STATE_PRIVATE &&
           object_dynamic_cast(rb->mr->owner, TYPE_MEMORY_BACKEND);
}

static int sw_protected_vm_reset_block(RAMBlock *rb, void *opaque)
{
    Error *err = NULL;

    if (rb->guest_memfd >= 0 &&
        !kvm_conversion_convert_block(
            rb, sw_protected_vm_begins_private(opaque, rb), &err)) {
        error_reportf_err(err, "sw-protected-vm: memory '%s' cannot be brought "
                          "to its initial state, the guest is stopped: ",
                          rb->idstr);
        kvm_prefault_stop_guest();
    }
    return 0;
}

static void sw_protected_vm_block_added(RAMBlockNotifier *n, void *host,
                                        size_t size, size_t max_size)
{
    SwProtectedVm *vm = container_of(n, SwProtectedVm, ram_notifier);
    ram_addr_t offset;
    RAMBlock *rb;

    RCU_READ_LOCK_GUARD();
    rb = qemu_ram_block_from_host(host, false, &offset);
    if (rb) {
        sw_protected_vm_reset_block(rb, vm);
    }
}

/*
 * Registered before any device, so that it comes first: devices then load their
 * data at reset into memory that is already in the state that the guest will
 * find.  A guest that wakes up finds its memory as it left it.
 */
static void sw_protected_vm_reset_hold(Object *obj, ResetType type)
{
    RAMBlock *rb;

    if (type == RESET_TYPE_WAKEUP) {
        return;
    }
    RCU_READ_LOCK_GUARD();
    RAMBLOCK_FOREACH(rb) {
        sw_protected_vm_reset_block(rb, obj);
    }
}

static ResettableState *sw_protected_vm_get_reset_state(Object *obj)
{
    return &SW_PROTECTED_VM(obj)->reset_state;
}

static bool sw_protected_vm_refuse_smm(Error **errp)
{
    X86MachineState *x86ms = (X86MachineState *)
        object_dynamic_cast(OBJECT(current_machine), TYPE_X86_MACHINE);

    if (!x86ms) {
        error_setg(errp, "sw-protected-vm: this machine type is not supported: "
                   "use pc, q35 or microvm");
        return false;
    }
    if (x86ms->smm == ON_OFF_AUTO_ON) {
        error_setg(errp, "sw-protected-vm: SMM is not possible, because SMRAM "
                   "is an alias of RAM and KVM binds private memory to one "
                   "guest address: use -machine smm=off");
        return false;
    }
    x86ms->smm = ON_OFF_AUTO_OFF;
    return true;
}

static bool sw_protected_vm_enable_hypercall(Error **errp)
{
    if (!kvm_enable_hypercall(BIT_ULL(KVM_HC_MAP_GPA_RANGE))) {
        error_setg(errp, "sw-protected-vm: KVM does not pass "
                   "KVM_HC_MAP_GPA_RANGE on to QEMU, which takes Linux 5.14 or "
                   "later (KVM_CAP_EXIT_HYPERCALL)");
        return false;
    }
    return true;
}

static bool sw_protected_vm_block_migration(SwProtectedVm *vm, Error **errp)
{
    error_setg(&vm->migration_blocker, "sw-protected-vm: private memory cannot "
               "be read, so this guest cannot be migrated or saved");
    return migrate_add_blocker(&vm->migration_blocker, errp) == 0;
}

/* Since QEMU 11.0 a reset may make a new VM: what is KVM's is set again */
static int sw_protected_vm_kvm_init(ConfidentialGuestSupport *cgs, Error **errp)
{
    SwProtectedVm *vm = SW_PROTECTED_VM(cgs);

    if (!sw_protected_vm_enable_hypercall(errp)) {
        return -EINVAL;
    }
    if (cgs->ready) {
        return 0;
    }
    if (!sw_protected_vm_refuse_smm(errp) ||
        !sw_protected_vm_block_migration(vm, errp)) {
        return -EINVAL;
    }
    vm->ram_notifier.ram_block_added = sw_protected_vm_block_added;
    ram_block_notifier_add(&vm->ram_notifier);
    qemu_register_resettable(OBJECT(vm));
    cgs->ready = true;
    return 0;
}

static int sw_protected_vm_kvm_type(X86ConfidentialGuest *cg)
{
    return KVM_X86_SW_PROTECTED_VM;
}

/*
 * KVM does not list the feature in KVM_GET_SUPPORTED_CPUID, because userspace,
 * which handles the hypercall, is to announce it (Linux,
 * Documentation/virt/kvm/x86/cpuid.rst).
 */
static uint32_t sw_protected_vm_adjust_cpuid(X86ConfidentialGuest *cg,
                                             uint32_t function, uint32_t index,
                                             int reg, uint32_t value)
{
    return function == KVM_CPUID_FEATURES && reg == R_EAX
           ? value | BIT(KVM_FEATURE_HC_MAP_GPA_RANGE) : value;
}

static void sw_protected_vm_cpu_instance_init(X86ConfidentialGuest *cg,
                                              CPUState *cpu)
{
    X86_CPU(cpu)->env.features[FEAT_KVM] |= BIT(KVM_FEATURE_HC_MAP_GPA_RANGE);
}

bool sw_protected_vm_bios_init(X86MachineState *x86ms, const char *filename,
                               uint64_t size, MemoryRegion *rom_memory,
                               bool writable)
{
    MachineState *ms = MACHINE(x86ms);
    hwaddr start = 4 * GiB - size;

    if (!sw_protected_vm()) {
        return false;
    }
    /* QEMU 11.1 loads it again if a reset makes a new VM, by this name */
    ms->firmware = ms->firmware ?: g_strdup(filename);
    memory_region_init_ram(&x86ms->bios, NULL, "pc.bios", size, &error_fatal);
    memory_region_set_readonly(&x86ms->bios, !writable);
    if (rom_add_file_fixed(filename, start, -1)) {
        error_report("sw-protected-vm: cannot load firmware '%s'", filename);
        exit(EXIT_FAILURE);
    }
    x86_isa_bios_init(&x86ms->isa_bios, rom_memory, &x86ms->bios, !writable);
    memory_region_add_subregion(rom_memory, start, &x86ms->bios);
    return true;
}

static int sw_protected_vm_get_initial_state(Object *obj, Error **errp)
{
    return SW_PROTECTED_VM(obj)->initial_state;
}

static void sw_protected_vm_set_initial_state(Object *obj, int value,
                                              Error **errp)
{
    if (SW_PROTECTED_VM(obj)->parent_obj.parent_obj.ready) {
        error_setg(errp, "sw-protected-vm: initial-state cannot be changed any "
                   "more: give it on the command line");
        return;
    }
    SW_PROTECTED_VM(obj)->initial_state = value;
}

OBJECT_DEFINE_SIMPLE_TYPE_WITH_INTERFACES(SwProtectedVm, sw_protected_vm,
                                          SW_PROTECTED_VM,
                                          X86_CONFIDENTIAL_GUEST,
                                          { TYPE_USER_CREATABLE },
                                          { TYPE_RESETTABLE_INTERFACE },
                                          { NULL })

static void sw_protected_vm_init(Object *obj)
{
    CONFIDENTIAL_GUEST_SUPPORT(obj)->require_guest_memfd = true;
}

static void sw_protected_vm_finalize(Object *obj)
{
}

static void sw_protected_vm_class_init(ObjectClass *oc, const void *data)
{
    ConfidentialGuestSupportClass *cgsc = CONFIDENTIAL_GUEST_SUPPORT_CLASS(oc);
    X86ConfidentialGuestClass *x86c = X86_CONFIDENTIAL_GUEST_CLASS(oc);
    ResettableClass *rc = RESETTABLE_CLASS(oc);

    rc->get_state = sw_protected_vm_get_reset_state;
    rc->phases.hold = sw_protected_vm_reset_hold;
    cgsc->kvm_init = sw_protected_vm_kvm_init;
    x86c->kvm_type = sw_protected_vm_kvm_type;
    x86c->adjust_cpuid_features = sw_protected_vm_adjust_cpuid;
    x86c->cpu_instance_init = sw_protected_vm_cpu_instance_init;
    object_class_property_add_enum(oc, "initial-state",
                                   "SwProtectedVmInitialState",
                                   &SwProtectedVmInitialState_lookup,
                                   sw_protected_vm_get_initial_state,
                                   sw_protected_vm_set_initial_state);
    object_class_property_set_description(
        oc, "initial-state",
        "How RAM is when the guest starts: private or shared");
}
