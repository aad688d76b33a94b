/*
 * What prefault's qtests share
 *
 * Machines boot an image of their own that halts, so that no firmware is
 * needed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_QTEST_PREFAULT_QTEST_H
#define TESTS_QTEST_PREFAULT_QTEST_H

#include "qemu/units.h"
#include "libqtest.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "qobject/qstring.h"
#ifdef CONFIG_LINUX
#include <sys/ioctl.h>
#include <linux/kvm.h>
#endif

/* What every machine below has; %s: the image that halts */
#define COMMON " -nodefaults -display none -bios %s "

static char *halt_image;

/* 64 KiB that end at 4 GiB, where the CPU starts: cli; hlt; and back */
static inline void make_halt_image(void)
{
    static const uint8_t code[] = { 0xfa, 0xf4, 0xeb, 0xfc };
    g_autofree uint8_t *image = g_malloc0(64 * KiB);
    int fd = g_file_open_tmp("prefault-test-XXXXXX", &halt_image, NULL);

    g_assert_cmpint(fd, >=, 0);
    memcpy(image + 64 * KiB - 16, code, sizeof(code));
    g_assert_cmpint(write(fd, image, 64 * KiB), ==, 64 * KiB);
    close(fd);
}

static inline bool have_kvm(void)
{
    if (!qtest_has_accel("kvm")) {
        g_test_skip("no KVM: not built in, or /dev/kvm cannot be opened");
        return false;
    }
    return true;
}

static inline bool kvm_can_map(void)
{
#ifdef CONFIG_LINUX
    int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    int ret = ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_PRE_FAULT_MEMORY);

    close(fd);
    return ret > 0;
#else
    return false;
#endif
}

static inline bool have_kvm_that_cannot_map(void)
{
    if (!have_kvm()) {
        return false;
    }
    if (kvm_can_map()) {
        g_test_skip("this host's KVM has KVM_CAP_PRE_FAULT_MEMORY");
        return false;
    }
    return true;
}

static inline QTestState *start(const char *args)
{
    return qtest_initf(COMMON "%s", halt_image, args);
}

static inline QDict *query(QTestState *qts)
{
    return qtest_qmp_assert_success_ref(qts,
                                        "{ 'execute': 'query-prefault' }");
}

static inline void assert_member(QTestState *qts, const char *name,
                                 const char *value)
{
    QDict *info = query(qts);

    g_assert_cmpstr(qdict_get_try_str(info, name), ==, value);
    qobject_unref(info);
}

static inline bool member_is(QTestState *qts, const char *name,
                             const char *value)
{
    QDict *info = query(qts);
    bool is = g_strcmp0(qdict_get_try_str(info, name), value) == 0;

    qobject_unref(info);
    return is;
}

static inline bool status_is(QTestState *qts, const char *status)
{
    return member_is(qts, "status", status);
}

static inline void wait_for_end(QTestState *qts)
{
    while (status_is(qts, "active")) {
        g_usleep(1000);
    }
}

static inline void assert_running(QTestState *qts, bool running)
{
    QDict *ret = qtest_qmp_assert_success_ref(qts,
                                              "{ 'execute': 'query-status' }");

    g_assert_cmpint(qdict_get_bool(ret, "running"), ==, running);
    qobject_unref(ret);
}

static inline void cont(QTestState *qts)
{
    qtest_qmp_assert_success(qts, "{ 'execute': 'cont' }");
}

static inline int run_tests(void)
{
    int ret;

    make_halt_image();
    ret = g_test_run();
    unlink(halt_image);
    g_free(halt_image);
    return ret;
}

#endif /* TESTS_QTEST_PREFAULT_QTEST_H */
