/*
 * prefault measuring guest under UEFI: counts its boots in a variable, leaves
 * UEFI and starts the measuring kernel.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * OVMF starts it from QEMU's -kernel.  Output, on the debug console, before the
 * kernel's (see guest.c):
 *   prefault-guest: boots=N             N - 1 was read, N is written to flash
 *   prefault-guest: SERVICE failed      the return value follows in hex
 * Structures and numbers: the UEFI specification 2.10, chapters 4, 7 and 8.
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define EFIAPI __attribute__((ms_abi))

enum {
    PORT_DEBUG = 0x402,
    NON_VOLATILE_BOOT_AND_RUNTIME = 7,
    TRIES = 8,
};

#define EFI_NOT_FOUND 0x800000000000000eull

struct runtime_services {
    u8 header[24];
    void *time[4];
    void *virtual_memory[2];
    u64 (EFIAPI *get_variable)(const u16 *name, const void *guid,
                               u32 *attributes, u64 *bytes, void *data);
    void *get_next_variable_name;
    u64 (EFIAPI *set_variable)(const u16 *name, const void *guid,
                               u32 attributes, u64 bytes, const void *data);
};

struct boot_services {
    u8 header[24];
    void *priority_and_pages[4];
    u64 (EFIAPI *get_memory_map)(u64 *bytes, void *map, u64 *key,
                                 u64 *descriptor_bytes, u32 *version);
    void *pool_to_image[21];
    u64 (EFIAPI *exit_boot_services)(void *image, u64 key);
};

struct system_table {
    u8 header[24];
    void *vendor_to_consoles[8];
    struct runtime_services *runtime;
    struct boot_services *boot;
};

struct elf {                    /* 32 bits, as far as we need it */
    u8 ident[24];
    u32 entry;
    u32 program_headers;        /* offset in the file */
};

struct program_header {
    u32 type, offset, virtual_address, address, file_bytes;
};

extern const u8 kernel_elf[];
void enter_kernel(const void *code, u64 address, u64 bytes, u64 entry);

static const u16 variable[] = L"PrefaultBoots";
static const u8 guid[16] = {
    0x5c, 0x11, 0xd7, 0x86, 0xa0, 0x3e, 0x9b, 0x4f,
    0x8d, 0x52, 0x71, 0xc4, 0x0e, 0x6a, 0xb9, 0x23,
};
static u8 memory_map[32 * 1024];

static void print_char(u8 c)
{
    __asm__ volatile("outb %0, %1" : : "a"(c), "d"((u16)PORT_DEBUG));
}

static void print(const char *text)
{
    while (*text) {
        print_char(*text++);
    }
}

static void print_number(u64 value, u32 base)
{
    if (value >= base) {
        print_number(value / base, base);
    }
    print_char("0123456789abcdef"[value % base]);
}

/* Say what failed; true if it did. */
static int failed(const char *service, u64 status)
{
    if (status) {
        print("\nprefault-guest: ");
        print(service);
        print(" failed: ");
        print_number(status, 16);
        print("\n");
    }
    return status != 0;
}

/* Count this boot.  Non-volatile: what is written comes from flash next time. */
static u64 count_boot(struct runtime_services *runtime)
{
    u32 boots = 0;
    u64 bytes = sizeof(boots), status;

    status = runtime->get_variable(variable, guid, 0, &bytes, &boots);
    if (status != EFI_NOT_FOUND && failed("GetVariable", status)) {
        return status;
    }
    boots++;
    status = runtime->set_variable(variable, guid,
                                   NON_VOLATILE_BOOT_AND_RUNTIME,
                                   sizeof(boots), &boots);
    if (!failed("SetVariable", status)) {
        print("\nprefault-guest: boots=");
        print_number(boots, 10);
        print("\n");
    }
    return status;
}

/* Again if firmware has changed the map in between, as it may. */
static u64 leave_uefi(struct boot_services *boot, void *image)
{
    u64 status = 0;

    for (u32 i = 0; i < TRIES; i++) {
        u64 bytes = sizeof(memory_map), key, descriptor_bytes;
        u32 version;

        status = boot->get_memory_map(&bytes, memory_map, &key,
                                      &descriptor_bytes, &version);
        if (failed("GetMemoryMap", status)) {
            return status;
        }
        status = boot->exit_boot_services(image, key);
        if (!status) {
            return 0;
        }
    }
    failed("ExitBootServices", status);
    return status;
}

u64 EFIAPI efi_main(void *image, struct system_table *system)
{
    const struct elf *elf = (const void *)kernel_elf;
    const struct program_header *code =
        (const void *)(kernel_elf + elf->program_headers);
    u64 status = count_boot(system->runtime);

    if (!status) {
        status = leave_uefi(system->boot, image);
    }
    if (status) {
        return status;
    }
    enter_kernel(kernel_elf + code->offset, code->address, code->file_bytes,
                 elf->entry);
    return 0;                   /* never reached */
}
