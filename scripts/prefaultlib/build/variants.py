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
    tree, ours = (one(VARIANTS[variant].project) for one in (kind, Tree))
    own = ours.own_origin()
    # A tree may have changed since; what is given takes the place of another
    anew = (bool(given) and (source.is_tree(given) or bool(own))
            or bool(own) and tree.is_older_than(ours))
    tree.assemble(lambda: source.find(tree.upstream, given or own), anew)
    return tree


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
