// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Test only: tells which page of the host is behind private guest memory
 *
 * Private memory is in no page table that /proc/PID/pagemap could show.  Its
 * pages are in the page cache of the guest_memfd, whatever KVM has mapped:
 *
 *   echo /proc/PID/fd/N PAGE > /sys/module/private_pfn/parameters/pfn
 *       ENOENT: there is no memory (yet); PAGE is counted from the file's begin
 *   cat /sys/module/private_pfn/parameters/pfn
 *       the number of the page frame
 */
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/namei.h>
#include <linux/pagemap.h>

static ulong pfn;

/* The path is followed, never opened: a guest_memfd cannot be */
static int set(const char *value, const struct kernel_param *kp)
{
	struct folio *folio;
	struct path path;
	char name[64];
	ulong index;
	int ret;

	if (sscanf(value, "%63s %lu", name, &index) != 2)
		return -EINVAL;
	ret = kern_path(name, LOOKUP_FOLLOW, &path);
	if (ret)
		return ret;

	folio = filemap_get_folio(d_inode(path.dentry)->i_mapping, index);
	if (IS_ERR(folio)) {
		ret = PTR_ERR(folio);
	} else {
		pfn = page_to_pfn(folio_file_page(folio, index));
		folio_put(folio);
	}
	path_put(&path);
	return ret;
}

static const struct kernel_param_ops ops = {
	.set = set,
	.get = param_get_ulong,
};

module_param_cb(pfn, &ops, &pfn, 0600);
MODULE_DESCRIPTION("Test only: the host's page behind private guest memory");
MODULE_LICENSE("GPL");
