# SPDX-License-Identifier: GPL-2.0-or-later
"""Where links of documents lead: to an address, a document, a heading or a picture.

All else is broken: a file of the tree is named in a document, not linked, so that
the HTML is complete by itself.  Addresses are not asked: tests need no network.
"""
import os
import re
from dataclasses import dataclass
from pathlib import Path

from . import markdown

ADDRESS = re.compile(r'[a-z][a-z0-9+.-]*:')
PICTURES = ('.svg', '.png')


class Broken(Exception):
    """Why a link leads nowhere."""


@dataclass(frozen=True)
class Target:
    """Where a link leads.

    href:    the link in the HTML
    picture: the file that has to be there as href, or None
    """

    href: str
    picture: Path = None


def follow(page, link, documents):
    """The Target of a link on a page; Broken if it has none.

    documents: {name: Page}
    """
    if ADDRESS.match(link):
        return Target(link)
    name, _, anchor = link.partition('#')
    name = (os.path.normpath(os.path.join(os.path.dirname(page.name), name))
            if name else page.name)
    if other := documents.get(name):
        if anchor and anchor not in other.anchors:
            raise Broken(f'{name} has no heading #{anchor}')
        return Target((other.output if other is not page else '')
                      + (f'#{anchor}' if anchor else '') or other.output)
    path = page.root / name
    if path.suffix not in PICTURES:
        raise Broken('it is no address, document or picture')
    if not path.is_file():
        raise Broken(f'there is no {name}')
    return Target(f'pictures/{path.name}', path)


def broken(documents):
    """[sentence] of the links that lead nowhere."""
    found = []
    for page in documents.values():
        for line, link in markdown.links(page.text):
            try:
                follow(page, link, documents)
            except Broken as why:
                found.append(f'{page.name}:{line}: the link to {link}: {why}')
    return found
