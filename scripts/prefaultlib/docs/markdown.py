# SPDX-License-Identifier: GPL-2.0-or-later
"""What has to be known of a Markdown text without a program that renders it: its
headings with their anchors, and its links.

Anchors are those that forges make: the heading in lower case without punctuation,
spaces as hyphens, and a number behind one that was there already.
"""
import re
from dataclasses import dataclass

FENCE = re.compile(r'^(```+|~~~+)[^\n]*\n.*?^\1[^\n]*$', re.M | re.S)
CODE = re.compile(r'(`+)(?!`)(.*?)(?<!`)\1(?!`)', re.S)
HEADING = re.compile(r'^(#{1,6}) +(.*?)(?: +#+)? *$', re.M)
LINK = re.compile(r'\[[^][]*\]\(\s*<?([^)\s>]+)>?[^)]*\)')
NO_ANCHOR = re.compile(r'[^\w\- ]')


@dataclass(frozen=True)
class Heading:
    """level: 1 to 6; text: without marks; anchor: what links name"""

    level: int
    text: str
    anchor: str


def anchors(texts):
    """The anchors of a page's headings, in order."""
    seen, found = {}, []
    for text in texts:
        anchor = NO_ANCHOR.sub('', text.strip().lower()).replace(' ', '-')
        count = seen.get(anchor, 0)
        seen[anchor] = count + 1
        found.append(f'{anchor}-{count}' if count else anchor)
    return found


def plain(text):
    """A heading's text without the marks of links, code and emphasis."""
    text = re.sub(r'\[([^]]*)\]\([^)]*\)', r'\1', text)
    return re.sub(r'[`*]', '', text)


def headings(text):
    """[Heading] of a page."""
    found = HEADING.findall(FENCE.sub('', text))
    texts = [plain(words) for _, words in found]
    return [Heading(len(marks), words, anchor) for (marks, _), words, anchor
            in zip(found, texts, anchors(texts))]


def without_code(text):
    """The text, in whose code nothing is a link; lines stay where they are."""
    text = FENCE.sub(lambda code: '\n' * code[0].count('\n'), text)
    return CODE.sub(lambda code: '\n' * code[0].count('\n'), text)


def links(text):
    """[(line, target)] of a page's links and pictures."""
    text = without_code(text)
    return [(text.count('\n', 0, link.start()) + 1, link[1])
            for link in LINK.finditer(text)]
