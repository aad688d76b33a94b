/*
 * Fuzzer of what is read of /proc, /sys and cgroup files
 *
 * The files are made up, and never on a disk.  One kind of input chooses
 * figures: the files are made of them as Linux writes them, or with something
 * else in their place, and the limits are compared with those of a model that
 * has the figures and no text.  The other kind is the text of files, whatever
 * it is: a limit then is a number of bytes with its reason, or none.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/units.h"
#include "../../hw/core/prefault/host-limits.h"
#include "fuzz-input.h"

#define LEVELS 3
#define NODES 2
/* Above it cgroup v1 means none */
#define UNLIMITED (INT64_MAX - GiB)

/* A number, or something else that is no limit */
typedef struct Figure {
    bool is_number;
    uint64_t value;
} Figure;

/* A cgroup of v2, and one of v1 that has the same name */
typedef struct Level {
    Figure max, high, current, swap_max, swap_current, huge_max, huge_current;
    Figure v1_max, v1_current;
    uint64_t cache, v1_cache;
} Level;

typedef struct Host {
    Level level[LEVELS + 1];    /* the first is the top */
    int levels;                 /* that can be seen, below the top */
    bool has_v1;
    Figure available, swap_free;
    uint64_t arc, arc_min, total, kept, node_total[NODES], node_free[NODES];
    Figure node_huge[NODES], huge_free, huge_reserved, huge_most, huge_now;
} Host;

static GHashTable *host_files;      /* path: text */
static Host host;

/* GLib's gives way to it: the code under test opens files by it alone */
gboolean g_file_get_contents(const char *path, char **text, gsize *length,
                             GError **error)
{
    const char *found = g_hash_table_lookup(host_files, path);

    *text = g_strdup(found);
    return found != NULL;
}

/* From figures to files */

static void G_GNUC_PRINTF(2, 3) put(char *path, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_hash_table_replace(host_files, path, g_strdup_vprintf(format, args));
    va_end(args);
}

/* A few sizes that are alike more often than any number */
static uint64_t read_value(FuzzInput *in)
{
    unsigned byte = fuzz_number(in, 1);

    return byte & 128 ? fuzz_number(in, 7) >> (byte % 16)
                      : (uint64_t)byte * 4096;
}

/* A file that has it, or what is no number */
static Figure put_figure(FuzzInput *in, char *path)
{
    static const char *const others[] = { "max\n", "12 cows\n", "", "-1\n" };
    unsigned kind = fuzz_number(in, 1);
    Figure figure = {};

    if (kind & 1) {
        figure = (Figure) { true, read_value(in) };
        put(path, kind & 2 ? "%" PRIu64 "\n" : " %" PRIu64, figure.value);
    } else if (kind & 2) {
        put(path, "%s", others[kind / 4 % ARRAY_SIZE(others)]);
    } else {
        g_free(path);
    }
    return figure;
}

/* "/b/c": level 0 is the mount's top */
static const char *level_name(int level)
{
    static const char *const names[LEVELS + 1] = { "", "/b", "/b/c", "/b/c/d" };

    return names[level];
}

static void read_level(FuzzInput *in, int i)
{
    static const struct {
        const char *hierarchy, *file;
        size_t offset;
    } files[] = {
        { "v2", "memory.max", offsetof(Level, max) },
        { "v2", "memory.high", offsetof(Level, high) },
        { "v2", "memory.current", offsetof(Level, current) },
        { "v2", "memory.swap.max", offsetof(Level, swap_max) },
        { "v2", "memory.swap.current", offsetof(Level, swap_current) },
        { "v2", "hugetlb.2MB.max", offsetof(Level, huge_max) },
        { "v2", "hugetlb.2MB.current", offsetof(Level, huge_current) },
        { "v1", "memory.limit_in_bytes", offsetof(Level, v1_max) },
        { "v1", "memory.usage_in_bytes", offsetof(Level, v1_current) },
    };
    uint64_t a = read_value(in), b = read_value(in), c = read_value(in);
    Level *level = &host.level[i];
    const char *name = level_name(i);

    for (int f = 0; f < ARRAY_SIZE(files); f++) {
        *(Figure *)((char *)level + files[f].offset) =
            put_figure(in, g_strdup_printf("/%s%s/%s", files[f].hierarchy, name,
                                           files[f].file));
    }
    put(g_strdup_printf("/v2%s/memory.stat", name), "anon 77\ninactive_file %"
        PRIu64 "\nfile 5\nactive_file %" PRIu64 "\nslab_reclaimable %" PRIu64,
        a, b, c);
    put(g_strdup_printf("/v1%s/memory.stat", name), "inactive_file 99\n"
        "total_inactive_file %" PRIu64 "\ntotal_active_file %" PRIu64 "\n",
        a, b);
    level->cache = a + b + c;
    level->v1_cache = a + b;
}

/* In a container the mount's top may be a cgroup of the host's */
static void read_cgroups(FuzzInput *in)
{
    unsigned bits = fuzz_number(in, 1);
    const char *top = bits & 1 ? "/a" : "/", *above = bits & 1 ? "/a" : "";
    const char *own;

    host.levels = bits / 2 % (LEVELS + 1);
    host.has_v1 = bits & 8;
    own = host.levels || bits & 1 ? level_name(host.levels) : "/";
    put(g_strdup("/proc/self/cgroup"), "7:cpu,cpuacct:/x\n%s%s%s%s0::%s%s\n",
        host.has_v1 ? "4:memory:" : "", host.has_v1 ? above : "",
        host.has_v1 ? own : "", host.has_v1 ? "\n" : "", above, own);
    put(g_strdup("/proc/self/mountinfo"),
        "24 1 0:2 / / rw - ext4 /dev/sda rw\n"
        "30 24 0:3 /other /wrong rw - cgroup2 cgroup2 rw\n"
        "31 24 0:3 %s /v2 rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
        "32 24 0:4 %s /v1 rw - cgroup cgroup rw,memory\n", top, top);
    for (int i = 0; i <= host.levels; i++) {
        read_level(in, i);
    }
}

static Figure read_line(FuzzInput *in, GString *text, const char *word)
{
    unsigned kind = fuzz_number(in, 1);
    Figure figure = { kind & 1, kind & 1 ? read_value(in) / KiB * KiB : 0 };

    if (figure.is_number) {
        g_string_append_printf(text, "%s:%*" PRIu64 " kB\n", word,
                               1 + kind / 32, figure.value / KiB);
    }
    return figure;
}

static void read_meminfo(FuzzInput *in)
{
    g_autoptr(GString) text = g_string_new(NULL);

    host.available = read_line(in, text, "MemAvailable");
    host.total = read_line(in, text, "MemTotal").value;
    host.swap_free = read_line(in, text, "SwapFree");
    put(g_strdup("/proc/meminfo"), "%s", text->str);
    host.arc = read_value(in);
    host.arc_min = read_value(in);
    put(g_strdup("/proc/spl/kstat/zfs/arcstats"), "9 1 0x01 98\n"
        "name type data\nc_min 4 %" PRIu64 "\nsize    4   %" PRIu64 "\n",
        host.arc_min, host.arc);
    host.kept = put_figure(in, g_strdup("/proc/sys/vm/min_free_kbytes")).value;
}

static void read_nodes(FuzzInput *in)
{
#define POOL "hugepages/hugepages-2048kB/"
    for (int i = 0; i < NODES; i++) {
        g_autofree char *dir =
            g_strdup_printf("/sys/devices/system/node/node%d/", i);
        g_autofree char *first = g_strdup_printf("Node %d MemTotal", i);
        g_autofree char *then = g_strdup_printf("Node %d MemFree", i);
        g_autofree char *file = g_strdup_printf("Node %d Active(file)", i);
        g_autoptr(GString) text = g_string_new(NULL);

        host.node_total[i] = read_line(in, text, first).value;
        host.node_free[i] = read_line(in, text, then).value;
        host.node_free[i] += read_line(in, text, file).value;
        put(g_strconcat(dir, "meminfo", NULL), "%s", text->str);
        host.node_huge[i] = put_figure(in, g_strconcat(dir, POOL
                                                       "free_hugepages", NULL));
    }
#define HOST_POOL "/sys/kernel/mm/" POOL
    host.huge_free = put_figure(in, g_strdup(HOST_POOL "free_hugepages"));
    host.huge_reserved = put_figure(in, g_strdup(HOST_POOL "resv_hugepages"));
    host.huge_most =
        put_figure(in, g_strdup(HOST_POOL "nr_overcommit_hugepages"));
    host.huge_now = put_figure(in, g_strdup(HOST_POOL "surplus_hugepages"));
}

/* The model */

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* What a cgroup leaves; UINT64_MAX if that is no limit, or more than @want */
static uint64_t left_in(Figure max, Figure current, uint64_t cache,
                        uint64_t want)
{
    if (!max.is_number || !current.is_number || max.value >= UNLIMITED ||
        minus(max.value, current.value) >= want) {
        return UINT64_MAX;
    }
    return minus(max.value, minus(current.value, cache));
}

static uint64_t model_swap(void)
{
    uint64_t least = host.swap_free.value;

    for (const Level *l = host.level; l <= &host.level[host.levels]; l++) {
        least = MIN(least, left_in(l->swap_max, l->swap_current, 0, -1));
    }
    return least;
}

static uint64_t model_memory(uint64_t want, bool swaps)
{
    uint64_t v2 = UINT64_MAX, v1 = UINT64_MAX;

    for (const Level *l = host.level; l <= &host.level[host.levels]; l++) {
        v2 = MIN(v2, left_in(l->max, l->current, l->cache, want));
        v2 = MIN(v2, left_in(l->high, l->current, l->cache, want));
        v1 = MIN(v1, left_in(l->v1_max, l->v1_current, l->v1_cache, want));
    }
    v2 += v2 != UINT64_MAX && swaps ? model_swap() : 0;
    return MIN(v2, host.has_v1 ? v1 : UINT64_MAX);
}

static uint64_t model_huge_cgroup(void)
{
    uint64_t least = UINT64_MAX;

    for (const Level *l = host.level; l <= &host.level[host.levels]; l++) {
        least = MIN(least, left_in(l->huge_max, l->huge_current, 0, -1));
    }
    return least;
}

/* Of all nodes; the kernel keeps a part for itself */
static uint64_t model_nodes(bool swaps)
{
    uint64_t sum = swaps ? model_swap() : 0;

    for (int i = 0; i < NODES; i++) {
        long double kept = host.total ? (long double)host.kept * KiB *
                                        host.node_total[i] / host.total : 0;

        kept = MIN(kept, host.node_total[i]);
        if (!host.node_total[i]) {
            return UINT64_MAX;
        }
        sum += kept < host.node_free[i] ? host.node_free[i] - kept : 0;
    }
    return sum;
}

static uint64_t model_huge_nodes(void)
{
    uint64_t sum = minus(host.huge_most.value, host.huge_now.value);

    for (int i = 0; i < NODES; i++) {
        if (!host.node_huge[i].is_number) {
            return UINT64_MAX;
        }
        sum += host.node_huge[i].value;
    }
    return sum * 2 * MiB;
}

/* Comparing */

static const unsigned long nodes[BITS_TO_LONGS(PREFAULT_NODES_MAX)] = {
    MAKE_64BIT_MASK(0, NODES),
};

/* A limit has its reason, with figures; @slack: where it was rounded */
static void check_limit(PrefaultLimit *limit, uint64_t bytes, uint64_t slack)
{
    g_assert_cmpint(!limit->of, ==, limit->bytes == UINT64_MAX);
    g_assert_true(!limit->of || strpbrk(limit->of, "0123456789"));
    g_assert_cmpuint(MAX(limit->bytes, bytes) - MIN(limit->bytes, bytes), <=,
                     slack);
    prefault_limit_clear(limit);
}

static void check_figures(uint64_t want, bool swaps)
{
    PrefaultLimit limit;
    uint64_t bytes = host.available.value + minus(host.arc, host.arc_min);

    prefault_limit_memory_cgroup("", want, swaps, &limit);
    check_limit(&limit, model_memory(want, swaps), 0);
    prefault_limit_hugetlb_cgroup("", 2 * MiB, &limit);
    check_limit(&limit, model_huge_cgroup(), 0);
    prefault_limit_host("", swaps, &limit);
    check_limit(&limit, host.available.is_number
                ? bytes + (swaps ? model_swap() : 0) : UINT64_MAX, 0);
    prefault_limit_nodes("", nodes, swaps, &limit);
    bytes = model_nodes(swaps);
    check_limit(&limit, bytes, bytes == UINT64_MAX ? 0 : 4 + (bytes >> 40));
    prefault_limit_hugetlb("", 2 * MiB, &limit);
    bytes = 2 * MiB * (minus(host.huge_free.value, host.huge_reserved.value) +
                       minus(host.huge_most.value, host.huge_now.value));
    check_limit(&limit, host.huge_free.is_number ? bytes : UINT64_MAX, 0);
    prefault_limit_hugetlb_nodes("", 2 * MiB, nodes, &limit);
    check_limit(&limit, model_huge_nodes(), 0);
}

/* Text that is anything: nothing is known of the figures */

static void read_texts(FuzzInput *in)
{
    static const char *const paths[] = {
        "/proc/self/cgroup", "/proc/self/mountinfo", "/proc/meminfo",
        "/v2/memory.max", "/v2/memory.current", "/v2/memory.stat",
        "/v2/b/memory.max", "/v2/b/memory.current", "/v2/b/memory.swap.max",
        "/proc/spl/kstat/zfs/arcstats", "/proc/sys/vm/min_free_kbytes",
        "/sys/devices/system/node/node0/meminfo", "/proc/self/statm",
        HOST_POOL "free_hugepages", "/proc/self/status",
    };

    put(g_strdup(paths[0]), "0::/b\n");
    put(g_strdup(paths[1]), "31 24 0:3 / /v2 rw - cgroup2 cgroup2 rw\n");
    while (in->left) {
        unsigned path = fuzz_below(in, ARRAY_SIZE(paths));
        size_t length = fuzz_below(in, 256);

        length = MIN(length, in->left);
        g_hash_table_replace(host_files, g_strdup(paths[path]),
                             g_strndup((const char *)in->at, length));
        in->at += length;
        in->left -= length;
    }
}

static void check_texts(void)
{
    PrefaultLimit limits[6];

    prefault_limit_memory_cgroup("", UINT64_MAX, true, &limits[0]);
    prefault_limit_hugetlb_cgroup("", GiB, &limits[1]);
    prefault_limit_host("", true, &limits[2]);
    prefault_limit_nodes("", nodes, true, &limits[3]);
    prefault_limit_hugetlb("", 2 * MiB, &limits[4]);
    prefault_limit_hugetlb_nodes("", 2 * MiB, nodes, &limits[5]);
    for (int i = 0; i < ARRAY_SIZE(limits); i++) {
        check_limit(&limits[i], limits[i].bytes, 0);
    }
    prefault_limits_resident("");
    prefault_limits_swapped("");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    FuzzInput in = { data, size };
    unsigned kind = fuzz_number(&in, 1);

    host_files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    if (kind & 1) {
        read_texts(&in);
        check_texts();
    } else {
        host = (Host) {};
        read_meminfo(&in);
        read_cgroups(&in);
        read_nodes(&in);
        check_figures(kind & 2 ? UINT64_MAX : kind * 1024, kind & 4);
    }
    g_hash_table_unref(host_files);
    return 0;
}
