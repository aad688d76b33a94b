# SPDX-License-Identifier: GPL-2.0-or-later
"""The documents in the order in which the navigation has them.

A document is a Markdown file at the top or in docs/.  One that no group names comes
last, so that a new page is in the navigation whether or not anybody thought of it.
"""
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..paths import ROOT
from . import markdown

GROUPS = (
    ('For operators', ('README', 'docs/usage', 'docs/qmp', 'docs/libvirt',
                       'docs/troubleshooting', 'docs/life-of-memory',
                       'docs/private-memory', 'docs/versions', 'docs/run-book',
                       'CHANGELOG')),
    ('For developers', ('docs/design', 'docs/retention', 'docs/model',
                        'docs/testing', 'docs/benchmarks', 'docs/scale',
                        'docs/long-check', 'CONTRIBUTING')),
)
HOME = 'README'


@dataclass(frozen=True)
class Page:
    """A document.

    root: of the checkout
    name: of the file, from there
    """

    root: Path
    name: str

    @property
    def output(self):
        """The name of its HTML."""
        stem = Path(self.name).stem
        return 'index.html' if stem == HOME else f'{stem.lower()}.html'

    @cached_property
    def text(self):
        return (self.root / self.name).read_text(encoding='utf-8')

    @cached_property
    def headings(self):
        return markdown.headings(self.text)

    @property
    def title(self):
        return self.headings[0].text if self.headings else self.name

    @property
    def anchors(self):
        return [heading.anchor for heading in self.headings]


def groups(root=ROOT):
    """[(title, [Page])] of all documents; no group is empty."""
    left = {str(path.relative_to(root))
            for folder in (root, root / 'docs') for path in folder.glob('*.md')}
    found = []
    for title, stems in GROUPS:
        names = [f'{stem}.md' for stem in stems if f'{stem}.md' in left]
        found.append((title, [Page(root, name) for name in names]))
        left -= set(names)
    found[-1][1].extend(Page(root, name) for name in sorted(left))
    return [(title, pages) for title, pages in found if pages]


def documents(root=ROOT):
    """{name: Page} of all documents, in order."""
    return {page.name: page for _, pages in groups(root) for page in pages}
