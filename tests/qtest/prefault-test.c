/*
 * Tests of prefault's commands and life cycle
 *
 * Everything that can be seen without nested paging: what the query answers on
 * other accelerators, what mode auto does on a host that cannot map memory in
 * advance, and that the figures agree with what "info mtree" lists.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "prefault-qtest.h"

/* Commands where there is no prefault */

static void test_query_without_prefault(const void *args)
{
    QTestState *qts = start(args);
    QDict *info = query(qts);

    g_assert_cmpstr(qdict_get_str(info, "mode"), ==, "off");
    g_assert_cmpstr(qdict_get_str(info, "status"), ==, "none");
    g_assert_false(qdict_get_bool(info, "can-map"));
    g_assert_cmpuint(qdict_size(info), ==, 3);
    qobject_unref(info);
    qtest_quit(qts);
}

static void test_cancel_without_run(const void *args)
{
    QTestState *qts = start(args);
    QDict *error = qtest_qmp_assert_failure_ref(
        qts, "{ 'execute': 'prefault-cancel' }");

    g_assert_cmpstr(qdict_get_str(error, "class"), ==, "GenericError");
    g_assert_cmpstr(qdict_get_str(error, "desc"), ==,
                    "No prefault run is under way");
    qobject_unref(error);
    qtest_quit(qts);
}

static void test_hmp_without_prefault(const void *args)
{
    QTestState *qts = start(args);
    g_autofree char *text = qtest_hmp(qts, "info prefault");

    g_assert_cmpstr(g_strchomp(text), ==, "prefault:  none (mode off)");
    qtest_quit(qts);
}

/* The life cycle, with mode auto: any KVM will do */

static void assert_all_done(QTestState *qts)
{
    QDict *info = query(qts);
    uint64_t total = qdict_get_int(info, "total");

    g_assert_cmpstr(qdict_get_str(info, "status"), ==, "completed");
    g_assert_cmpstr(qdict_get_str(info, "trigger"), ==, "start");
    g_assert_cmpuint(total, >, 0);
    g_assert_cmpuint(qdict_get_int(info, "populated"), ==, total);
    g_assert_cmpuint(qdict_get_int(info, "failed"), ==, 0);
    g_assert_cmpuint(qdict_get_int(info, "threads"), >=, 1);
    if (kvm_can_map()) {
        g_assert_cmpuint(qdict_get_int(info, "mapped"), ==, total);
        g_assert_false(qdict_haskey(info, "left-out"));
    } else {
        g_assert_cmpuint(qdict_get_int(info, "mapped"), ==, 0);
        g_assert_true(g_str_has_prefix(qdict_get_str(info, "left-out"),
                                       "mapping: KVM cannot map"));
    }
    qobject_unref(info);
}

static void test_auto_completes(void)
{
    QTestState *qts;

    if (!have_kvm()) {
        return;
    }
    qts = start("-machine pc -m 64 -accel kvm,prefault=auto");
    while (status_is(qts, "none") || status_is(qts, "active")) {
        g_usleep(1000);
    }
    assert_all_done(qts);
    assert_running(qts, true);
    qtest_quit(qts);
}

/* With -S nothing happens before the first cont; then events come in order */
static void test_cont_runs_then_resumes(void)
{
    QTestState *qts;
    int completed = 0, resumed = 0, order = 0;

    if (!have_kvm()) {
        return;
    }
    qts = start("-machine pc -m 64 -accel kvm,prefault=auto -S");
    g_usleep(100 * 1000);
    assert_member(qts, "status", "none");

    qtest_qmp_send(qts, "{ 'execute': 'cont' }");
    while (!resumed) {
        QDict *message = qtest_qmp_receive_dict(qts);
        const char *event = qdict_get_try_str(message, "event");

        order++;
        if (g_strcmp0(event, "PREFAULT_COMPLETED") == 0) {
            completed = order;
        } else if (g_strcmp0(event, "RESUME") == 0) {
            resumed = order;
        }
        qobject_unref(message);
    }
    g_assert_cmpint(completed, >, 0);
    g_assert_cmpint(completed, <, resumed);
    assert_all_done(qts);

    /* Memory is ready: a later start does not wait */
    qtest_qmp_assert_success(qts, "{ 'execute': 'stop' }");
    cont(qts);
    assert_running(qts, true);
    qtest_quit(qts);
}

static void test_off_does_nothing(void)
{
    QTestState *qts;

    if (!have_kvm()) {
        return;
    }
    qts = start("-machine pc -m 64 -accel kvm,prefault=off -S");
    cont(qts);
    assert_running(qts, true);
    assert_member(qts, "mode", "off");
    assert_member(qts, "status", "none");
    qtest_quit(qts);
}

/* The run may be over before it is stopped; either way the next cont starts */
static void test_stop_ends_the_run(void)
{
    QTestState *qts;
    bool cancelled;

    if (!have_kvm()) {
        return;
    }
    qts = start("-machine q35 -m 1G -accel kvm,prefault=auto -S");
    cont(qts);
    qtest_qmp_assert_success(qts, "{ 'execute': 'stop' }");
    assert_running(qts, false);
    cancelled = status_is(qts, "cancelled");
    g_assert_true(cancelled || status_is(qts, "completed"));
    g_test_message("stopped %s the end", cancelled ? "before" : "after");
    if (cancelled) {
        assert_member(qts, "error", "the guest was stopped before its start");
    }

    cont(qts);
    wait_for_end(qts);
    assert_all_done(qts);
    assert_running(qts, true);
    qtest_quit(qts);
}

/* With auto, who cancels wants the guest to run now */
static void test_cancel_starts_the_guest(void)
{
    QTestState *qts;
    QDict *reply;

    if (!have_kvm()) {
        return;
    }
    qts = start("-machine q35 -m 1G -accel kvm,prefault=auto -S");
    cont(qts);
    reply = qtest_qmp(qts, "{ 'execute': 'prefault-cancel' }");
    if (qdict_haskey(reply, "error")) {
        g_test_skip("the run was over before it could be cancelled");
    } else if (status_is(qts, "cancelled")) {
        assert_member(qts, "error", "cancelled by prefault-cancel");
        assert_running(qts, true);
    }
    qobject_unref(reply);
    qtest_quit(qts);
}

/* prefault-start: a run without a start that waits for it */

static void assert_start_refused(QTestState *qts, const char *words)
{
    QDict *error = qtest_qmp_assert_failure_ref(
        qts, "{ 'execute': 'prefault-start' }");

    g_assert_cmpstr(qdict_get_str(error, "desc"), ==, words);
    qobject_unref(error);
}

static void prefault_start(QTestState *qts)
{
    qtest_qmp_assert_success(qts, "{ 'execute': 'prefault-start' }");
}

static void test_start_without_prefault(const void *args)
{
    QTestState *qts = start(args);

    assert_start_refused(qts, "Prefault is off: start QEMU with prefault=on, "
                         "prefault=auto or prefault=background");
    qtest_quit(qts);
}

static void test_start_runs_without_cont(void)
{
    QTestState *qts;

    if (!have_kvm()) {
        return;
    }
    qts = start("-machine pc -m 64 -accel kvm,prefault=auto -S");
    prefault_start(qts);
    wait_for_end(qts);
    assert_member(qts, "trigger", "request");
    assert_member(qts, "status", "completed");
    assert_running(qts, false);

    /* All is done: the guest starts at once */
    cont(qts);
    assert_running(qts, true);
    assert_member(qts, "trigger", "request");
    qtest_quit(qts);
}

/* A reset makes memory be looked at again, before the guest goes on */
static void test_reset_runs_again(void)
{
    QTestState *qts;

    if (!have_kvm()) {
        return;
    }
    qts = start("-machine pc -m 64 -accel kvm,prefault=auto -S");
    cont(qts);
    wait_for_end(qts);
    assert_member(qts, "trigger", "start");
    qtest_system_reset(qts);
    for (int ms = 0; !member_is(qts, "trigger", "reset"); ms++) {
        g_assert_cmpint(ms, <, 10000);
        g_usleep(1000);
    }
    wait_for_end(qts);
    assert_member(qts, "status", "completed");
    assert_running(qts, true);
    qtest_quit(qts);
}

/* Figures: an independent reading of "info mtree -f" */

typedef struct Listed {
    char *region;
    uint64_t first, last;       /* offsets in it */
} Listed;

static void listed_free(gpointer data)
{
    Listed *l = data;

    g_free(l->region);
    g_free(l);
}

/* Parse one range of RAM: "  0-9f (prio 0, ram): pc.ram @20 KVM" */
static Listed *listed_parse(const char *line)
{
    static const char pattern[] =
        "^  ([0-9a-f]{16})-([0-9a-f]{16}) "
        "\\(prio -?[0-9]+, (?:nv-)?(?:ram|rom|ramd)\\): "
        "(.*?)(?: @([0-9a-f]{16}))?(?: KVM)?$";
    g_autoptr(GRegex) regex = g_regex_new(pattern, 0, 0, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    g_auto(GStrv) part = NULL;
    Listed *l;

    if (!g_regex_match(regex, line, 0, &match)) {
        return NULL;
    }
    part = g_match_info_fetch_all(match);
    l = g_new0(Listed, 1);
    l->region = g_strdup(part[3]);
    l->first = part[4] ? g_ascii_strtoull(part[4], NULL, 16) : 0;
    l->last = l->first + g_ascii_strtoull(part[2], NULL, 16) -
              g_ascii_strtoull(part[1], NULL, 16);
    return l;
}

/* The ranges of the flat view that the address space "memory" shows */
static GPtrArray *list_ram(QTestState *qts)
{
    g_autofree char *text = qtest_hmp(qts, "info mtree -f");
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    GPtrArray *list = g_ptr_array_new_with_free_func(listed_free);
    bool ours = false;

    for (int i = 0; lines[i]; i++) {
        Listed *l;

        g_strchomp(lines[i]);
        if (g_str_has_prefix(lines[i], "FlatView #")) {
            ours = false;
        } else if (g_str_has_prefix(lines[i], " AS \"memory\"")) {
            ours = true;
        }
        l = ours ? listed_parse(lines[i]) : NULL;
        if (l) {
            g_ptr_array_add(list, l);
        }
    }
    return list;
}

/* Bytes of @list, each once: a range is counted up to what came before it */
static uint64_t count_once(const GPtrArray *list)
{
    uint64_t bytes = 0;

    /* Everything here is made of whole pages */
    for (guint i = 0; i < list->len; i++) {
        const Listed *l = g_ptr_array_index(list, i);

        for (uint64_t at = l->first; at < l->last; at += 4 * KiB) {
            bool seen = false;

            for (guint k = 0; k < i && !seen; k++) {
                const Listed *o = g_ptr_array_index(list, k);

                seen = g_str_equal(o->region, l->region) &&
                       at >= o->first && at <= o->last;
            }
            bytes += seen ? 0 : 4 * KiB;
        }
    }
    return bytes;
}

static void test_figures_match_mtree(const void *machine)
{
    g_autofree char *args = g_strdup_printf(
        "-machine %s -m 96 -accel kvm,prefault=auto -S", (char *)machine);
    g_autoptr(GPtrArray) list = NULL;
    QTestState *qts;
    QDict *info;

    if (!have_kvm()) {
        return;
    }
    if (!qtest_has_machine(machine)) {
        g_test_skip("the machine is not built in");
        return;
    }
    qts = start(args);
    list = list_ram(qts);
    cont(qts);
    wait_for_end(qts);
    info = query(qts);
    g_assert_cmpuint(count_once(list), >=, 96 * MiB);
    g_assert_cmpuint(qdict_get_int(info, "total") +
                     qdict_get_int(info, "skipped"), ==, count_once(list));
    qobject_unref(info);
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    static const char *const without[][2] = {
        { "qtest", "-machine pc -m 64" },
        { "none", "-machine none" },
        { "tcg", "-machine pc -m 64 -accel tcg" },
    };
    static const char *const machines[] = { "microvm", "pc", "q35" };

    g_test_init(&argc, &argv, NULL);

    for (int i = 0; i < ARRAY_SIZE(without); i++) {
        g_autofree char *query = g_strdup_printf("/prefault/query/%s",
                                                 without[i][0]);
        g_autofree char *cancel = g_strdup_printf("/prefault/cancel/%s",
                                                  without[i][0]);
        g_autofree char *hmp = g_strdup_printf("/prefault/hmp/%s",
                                               without[i][0]);
        g_autofree char *begin = g_strdup_printf("/prefault/start/%s",
                                                 without[i][0]);

        qtest_add_data_func(query, without[i][1], test_query_without_prefault);
        qtest_add_data_func(cancel, without[i][1], test_cancel_without_run);
        qtest_add_data_func(hmp, without[i][1], test_hmp_without_prefault);
        qtest_add_data_func(begin, without[i][1], test_start_without_prefault);
    }
    qtest_add_func("/prefault/auto/completes", test_auto_completes);
    qtest_add_func("/prefault/auto/cont", test_cont_runs_then_resumes);
    qtest_add_func("/prefault/auto/stop", test_stop_ends_the_run);
    qtest_add_func("/prefault/auto/cancel", test_cancel_starts_the_guest);
    qtest_add_func("/prefault/start/request", test_start_runs_without_cont);
    qtest_add_func("/prefault/reset", test_reset_runs_again);
    qtest_add_func("/prefault/off", test_off_does_nothing);
    for (int i = 0; i < ARRAY_SIZE(machines); i++) {
        g_autofree char *path = g_strdup_printf("/prefault/mtree/%s",
                                                machines[i]);

        qtest_add_data_func(path, machines[i], test_figures_match_mtree);
    }
    return run_tests();
}
