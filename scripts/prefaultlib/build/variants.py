# SPDX-License-Identifier: GPL-2.0-or-later
"""Every variant of every project by its name, assembled and configured."""
from ..assemble import source
from ..assemble.tree import Pristine, Tree
from . import libvirt, qemu

# name: its Build
VARIANTS = {name: module.Build for module in (qemu, libvirt)
            for name in module.VARIANTS}


def assembled(variant='default', given=None):
    """The source tree of a variant, assembled.

    @given: the user's own archive or source tree, if there is one
    """
    kind = Pristine if variant.endswith('pristine') else Tree
    tree = kind(VARIANTS[variant].project)
    tree.assemble(lambda: source.find(tree.upstream, given or own_tree(tree)),
                  anew=bool(given) and source.is_tree(given))
    return tree


def own_tree(tree):
    """The source tree that the user gave for the patched one, or None."""
    stamp = Tree(tree.project).is_of()
    return stamp.removeprefix(source.TREE) if source.TREE in stamp else None


def configured(variant, given=None):
    """Assemble the tree of a variant and configure it; its Build."""
    build = VARIANTS[variant](variant, assembled(variant, given).path)
    build.configure()
    return build


def installed(variant):
    """Build a variant of libvirt and install it below build; the folder."""
    build = configured(variant)
    build.build()
    return build.install()
