/*
 * Tests of prefault's options: what is taken, what QEMU refuses and with which
 * words
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include <sys/wait.h>
#include "prefault-qtest.h"

/* Long enough for a slow machine to refuse */
#define SPAWN_SEC 10

static bool has_property(QTestState *qts, const char *type, const char *name)
{
    QDict *reply = qtest_qmp(qts, "{ 'execute': 'qom-list-properties',"
                             " 'arguments': { 'typename': %s } }", type);
    QListEntry *entry;
    bool found = false;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(reply, "return"), entry) {
        QDict *property = qobject_to(QDict, qlist_entry_obj(entry));

        found |= g_str_equal(qdict_get_str(property, "name"), name);
    }
    qobject_unref(reply);
    return found;
}

static void test_accel_properties(void)
{
    QTestState *qts;

    if (!have_kvm()) {
        return;
    }
    qts = start("-machine none");
    g_assert_true(has_property(qts, "kvm-accel", "prefault"));
    g_assert_true(has_property(qts, "kvm-accel", "prefault-threads"));
    g_assert_true(has_property(qts, "kvm-accel", "slot-zap-all"));
    qtest_quit(qts);
}

static void test_machine_property(void)
{
    QTestState *qts = start("-machine none");

    g_assert_true(has_property(qts, "microvm-machine", "prefault"));
    g_assert_true(has_property(qts, "none-machine", "prefault"));
    qtest_quit(qts);
}

/* As all numbers are in QMP; before the machine is complete */
static void test_threads_are_a_number(void)
{
    QTestState *qts = start("-machine none -preconfig");
    QDict *reply;

    qtest_qmp_assert_success(
        qts, "{ 'execute': 'qom-set', 'arguments': { 'path': '/machine',"
        " 'property': 'prefault-threads', 'value': 5 } }");
    reply = qtest_qmp_assert_failure_ref(
        qts, "{ 'execute': 'qom-set', 'arguments': { 'path': '/machine',"
        " 'property': 'prefault-threads', 'value': 4097 } }");
    g_assert_cmpstr(qdict_get_str(reply, "desc"), ==,
                    "prefault-threads takes a number from 1 to 4096");
    qobject_unref(reply);
    reply = qtest_qmp(
        qts, "{ 'execute': 'qom-get', 'arguments': { 'path': '/machine',"
        " 'property': 'prefault-threads' } }");
    g_assert_cmpint(qdict_get_int(reply, "return"), ==, 5);
    qobject_unref(reply);
    qtest_quit(qts);
}

/* What waits was decided at the first start */
static void test_no_change_at_run_time(void)
{
    QTestState *qts = start("-machine pc -m 64 -accel tcg");
    QDict *error = qtest_qmp_assert_failure_ref(
        qts, "{ 'execute': 'qom-set', 'arguments': { 'path': '/machine',"
        " 'property': 'prefault', 'value': 'on' } }");

    g_assert_cmpstr(qdict_get_str(error, "desc"), ==,
                    "prefault cannot be changed any more: give it on the "
                    "command line");
    qobject_unref(error);
    assert_member(qts, "mode", "off");
    qtest_quit(qts);
}

/* What QEMU refuses: exit code and words */

/* QEMU blocks SIGALRM: one that runs instead of refusing has to be killed */
static int wait_or_kill(GPid pid)
{
    int status;

    for (int ms = 0; ms < SPAWN_SEC * 1000; ms += 10) {
        if (waitpid(pid, &status, WNOHANG) == pid) {
            return status;
        }
        g_usleep(10 * 1000);
    }
    kill(pid, SIGKILL);
    g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
    return status;
}

/* Expect QEMU to exit with code 1 and to say @words */
static void assert_refused(const char *args, const char *words)
{
    g_autofree char *line = g_strdup_printf(
        "%s" COMMON "-S -monitor none %s", g_getenv("QTEST_QEMU_BINARY"),
        halt_image, args);
    char said[4096] = "";   /* less than a pipe holds */
    g_auto(GStrv) argv = NULL;
    GPid pid;
    int err, status;

    g_assert_true(g_shell_parse_argv(line, NULL, &argv, NULL));
    g_assert_true(g_spawn_async_with_pipes(
        NULL, argv, NULL, G_SPAWN_DO_NOT_REAP_CHILD |
        G_SPAWN_STDOUT_TO_DEV_NULL, NULL, NULL, &pid, NULL, NULL, &err, NULL));
    status = wait_or_kill(pid);
    g_assert_cmpint(read(err, said, sizeof(said) - 1), >=, 0);
    close(err);

    if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 ||
        !strstr(said, words)) {
        g_test_message("status 0x%x, wanted: %s", status, words);
        g_test_message("got: %s", said);
        g_test_fail();
    }
}

static void test_bad_values_are_refused(void)
{
    static const char *const values[] = { "perhaps", "", "ON", "1", "onoff" };

    if (!have_kvm()) {
        return;
    }
    for (int i = 0; i < ARRAY_SIZE(values); i++) {
        static const struct {
            const char *name, *valid;
        } options[] = {
            { "prefault", "on, off, auto and background" },
            { "prefault-keep", "on, off, auto and lock" },
            { "prefault-restore", "hold, background, none and auto" },
            { "slot-zap-all", "on, off and auto" },
        };

        for (int n = 0; n < ARRAY_SIZE(options); n++) {
            g_autofree char *args = g_strdup_printf(
                "-machine none -accel kvm,%s=%s", options[n].name, values[i]);
            g_autofree char *words = g_strdup_printf(
                "%s=%s is none of %s\n", options[n].name, values[i],
                options[n].valid);

            assert_refused(args, words);
        }
    }
}

static void test_bad_threads_are_refused(void)
{
    static const char *const values[] = {
        "0", "-1", "4097", "4294967297", "many", ""
    };

    if (!have_kvm()) {
        return;
    }
    for (int i = 0; i < ARRAY_SIZE(values); i++) {
        g_autofree char *args = g_strdup_printf(
            "-machine none -accel kvm,prefault-threads=%s", values[i]);

        assert_refused(args, "prefault-threads takes a number from 1 to "
                       "4096\n");
    }
}

static void test_different_modes_are_refused(void)
{
    static const struct {
        const char *machine, *accel;
    } cases[] = {
        { "on", "off" }, { "off", "on" }, { "auto", "on" }, { "on", "auto" },
        { "background", "on" },
    };

    if (!have_kvm()) {
        return;
    }
    for (int i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *args = g_strdup_printf(
            "-machine pc,prefault=%s -m 64 -accel kvm,prefault=%s",
            cases[i].machine, cases[i].accel);
        g_autofree char *words = g_strdup_printf(
            "-machine prefault=%s and -accel prefault=%s differ: give one of "
            "them, or the same twice\n", cases[i].machine, cases[i].accel);

        assert_refused(args, words);
    }
}

static void test_other_accelerator_has_no_property(void)
{
    if (!qtest_has_accel("tcg")) {
        g_test_skip("TCG is not built in");
        return;
    }
    assert_refused("-machine none -accel tcg,prefault=on",
                   "Property 'tcg-accel.prefault' not found\n");
    assert_refused("-machine pc,prefault=on -m 64 -accel tcg",
                   "prefault=on: the KVM accelerator is not in use; "
                   "prefault=auto starts the guest, and does nothing\n");
}

static void test_on_is_refused_without_capability(void)
{
    static const char words[] =
        "prefault=on: KVM cannot map guest memory in advance: no "
        "KVM_CAP_PRE_FAULT_MEMORY, which takes Linux 6.11 or later and nested "
        "paging (EPT or NPT); prefault=auto does what this host can do\n";

    if (!have_kvm_that_cannot_map()) {
        return;
    }
    assert_refused("-machine pc -m 64 -accel kvm,prefault=on", words);
    /* Not taken for a reason to go on to the next accelerator */
    assert_refused("-machine pc -m 64 -accel kvm,prefault=on -accel tcg",
                   words);
    assert_refused("-machine pc,prefault=on -m 64 -accel kvm", words);
    assert_refused("-machine pc,prefault=on -m 64 -accel kvm,prefault=on",
                   words);
}

#define NO_KVM "-machine pc -m 64 -accel kvm,device=/no/such/device,prefault="

static void test_on_is_refused_under_fallback(void)
{
    if (!have_kvm()) {
        return;
    }
    if (!qtest_has_accel("tcg")) {
        g_test_skip("TCG is not built in");
        return;
    }
    assert_refused(NO_KVM "on -accel tcg",
                   "prefault=on: the KVM accelerator is not in use; "
                   "prefault=auto starts the guest, and does nothing\n");
}

static void test_auto_starts_under_fallback(void)
{
    QTestState *qts;

    if (!have_kvm()) {
        return;
    }
    if (!qtest_has_accel("tcg")) {
        g_test_skip("TCG is not built in");
        return;
    }
    qts = start(NO_KVM "auto -accel tcg -S");
    cont(qts);
    assert_running(qts, true);
    assert_member(qts, "mode", "auto");
    assert_member(qts, "status", "none");
    assert_member(qts, "left-out", "all: the KVM accelerator is not in use");
    qtest_quit(qts);
}

/* Where memory cannot be mapped either, the query has both reasons */
static void test_query_says_why_a_part_is_left_out(void)
{
    g_autofree char *path = NULL, *args = NULL;
    const char *why;
    QTestState *qts;
    QDict *info;
    int fd;

    if (!have_kvm()) {
        return;
    }
    fd = g_file_open_tmp("prefault-test-XXXXXX", &path, NULL);
    args = g_strdup_printf("-machine pc,memory-backend=m -m 64 -S -object "
                           "memory-backend-file,id=m,size=64M,share=on,"
                           "mem-path=%s -accel kvm,prefault=auto", path);
    qts = start(args);
    g_assert_cmpint(ftruncate(fd, 16 * MiB), ==, 0);
    close(fd);
    qtest_qmp_assert_success(qts, "{ 'execute': 'prefault-start' }");
    wait_for_end(qts);
    info = query(qts);
    g_assert_cmpstr(qdict_get_str(info, "status"), ==, "completed");
    g_assert_cmpuint(qdict_get_int(info, "failed"), ==, 48 * MiB);
    why = qdict_get_str(info, "left-out");
    g_assert_nonnull(strstr(why, "a part: populating guest memory 0x"));
    g_assert_cmpint(g_str_has_prefix(why, "mapping: KVM cannot map"), ==,
                    !kvm_can_map());
    qobject_unref(info);
    qtest_quit(qts);
    unlink(path);
}

/* A machine option that is added to others reaches the feature */
static void test_machine_option_is_enough(void)
{
    QTestState *qts;

    if (!have_kvm()) {
        return;
    }
    qts = start("-machine pc -m 64 -accel kvm -machine prefault=auto -S");
    assert_member(qts, "mode", "auto");
    cont(qts);
    wait_for_end(qts);
    assert_member(qts, "status", "completed");
    qtest_quit(qts);
}

static void test_threads_are_taken(void)
{
    QTestState *qts;
    QDict *info;

    if (!have_kvm()) {
        return;
    }
    qts = start("-machine pc -m 64 -S "
                "-accel kvm,prefault=auto,prefault-threads=5");
    cont(qts);
    wait_for_end(qts);
    info = query(qts);
    g_assert_cmpuint(qdict_get_int(info, "threads"), ==, 5);
    qobject_unref(info);
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/prefault/property/accel", test_accel_properties);
    qtest_add_func("/prefault/property/machine", test_machine_property);
    qtest_add_func("/prefault/property/late", test_no_change_at_run_time);
    qtest_add_func("/prefault/property/threads", test_threads_are_a_number);
    qtest_add_func("/prefault/refuse/value", test_bad_values_are_refused);
    qtest_add_func("/prefault/refuse/threads", test_bad_threads_are_refused);
    qtest_add_func("/prefault/refuse/differ", test_different_modes_are_refused);
    qtest_add_func("/prefault/refuse/tcg",
                   test_other_accelerator_has_no_property);
    qtest_add_func("/prefault/refuse/capability",
                   test_on_is_refused_without_capability);
    qtest_add_func("/prefault/refuse/fallback",
                   test_on_is_refused_under_fallback);
    qtest_add_func("/prefault/auto/fallback", test_auto_starts_under_fallback);
    qtest_add_func("/prefault/auto/part",
                   test_query_says_why_a_part_is_left_out);
    qtest_add_func("/prefault/auto/machine", test_machine_option_is_enough);
    qtest_add_func("/prefault/threads", test_threads_are_taken);
    return run_tests();
}
