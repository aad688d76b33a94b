# SPDX-License-Identifier: GPL-2.0-or-later
"""The documents as HTML that needs nothing but a browser: no script, no network.

cmark-gfm renders the Markdown of forges.  What it has not is added to what it
prints: anchors, links between the pages, a frame for each table to scroll in, and the
navigation.
"""
import html
import re
import shutil
import subprocess
from pathlib import Path

from ..assemble import packages, project
from ..err import Fail
from . import links, markdown, pages

TOOL = 'cmark-gfm'
STYLE = Path(__file__).with_name('style.css')
HEADING = re.compile(r'<h([1-6])>(.*?)</h\1>', re.S)
CODE = re.compile(r'<code>([^<]{1,24})</code>(?!</pre>)')
REFERENCE = re.compile(r'(<a href|<img src)="([^"]*)"')
FEW = 3             # as many headings need no table of contents
DEEP = 3            # lower ones are not in it

PAGE = '''<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="stylesheet" href="style.css">
</head>
<body>
<header><a href="index.html">prefault {version}</a><a href="#pages">Pages</a></header>
<main>
{body}</main>
<nav id="pages">
{navigation}</nav>
</body>
</html>
'''


def need_tool(no_install):
    """Install cmark-gfm, or say that it is missing."""
    packages.need_program(TOOL, packages.DOCS, 'makes HTML of the documents',
                          no_install)


def render(text):
    """A document's HTML, as cmark-gfm makes it."""
    done = subprocess.run([TOOL, '-e', 'table', '-e', 'autolink'], input=text,
                          text=True, encoding='utf-8', capture_output=True,
                          check=False)
    if done.returncode:
        raise Fail(f'{TOOL} failed: {done.stderr.strip()}')
    return done.stdout


def words(fragment):
    """The text of a piece of HTML."""
    return html.unescape(re.sub(r'<[^>]+>', '', fragment))


def with_anchors(body):
    """(body, [(level, anchor, words)]): headings that can be linked to."""
    found = HEADING.findall(body)
    texts = [words(fragment) for _, fragment in found]
    rows = [(int(level), anchor, text) for (level, _), anchor, text
            in zip(found, markdown.anchors(texts), texts)]
    left = iter(rows)

    def mark(heading):
        level, anchor, _ = next(left)
        return (f'<h{level} id="{anchor}">{heading[2]} <a class="here" '
                f'href="#{anchor}" aria-label="link">#</a></h{level}>')

    return HEADING.sub(mark, body), rows


def contents(rows):
    """The table of contents of a page, or nothing."""
    rows = [row for row in rows if 1 < row[0] <= DEEP]
    if len(rows) <= FEW:
        return ''
    items = ''.join(f'<li class="deep{level}"><a href="#{anchor}">'
                    f'{html.escape(text)}</a></li>\n'
                    for level, anchor, text in rows)
    return ('<details class="contents"><summary>On this page</summary>\n'
            f'<ul>\n{items}</ul></details>\n')


def navigation(page, groups):
    """All pages, in their order."""
    text = ''
    for title, group in groups:
        text += f'<h2>{html.escape(title)}</h2>\n<ul>\n'
        for one in group:
            here = ' aria-current="page"' if one == page else ''
            text += (f'<li><a href="{one.output}"{here}>'
                     f'{html.escape(one.title)}</a></li>\n')
        text += '</ul>\n'
    return text


class Site:
    """All pages; write() them."""

    def __init__(self, root, folder):
        self.folder = folder
        self.groups = pages.groups(root)
        self.documents = pages.documents(root)
        self.version = project.version(root)
        self.pictures = set()

    def link(self, page, link):
        """What a link of the page's is in HTML; pictures are copied."""
        target = links.follow(page, link, self.documents)
        if target.picture:
            self.pictures.add(target)
        return target.href

    def page(self, page):
        """The HTML of a page."""
        def refer(found):
            link = self.link(page, html.unescape(found[2]))
            return f'{found[1]}="{html.escape(link)}"'

        try:
            body = REFERENCE.sub(refer, render(page.text))
        except links.Broken as why:
            raise Fail(f'{page.name}: a link is broken: {why}') from why
        body = body.replace('<table>', '<div class="wide"><table>')
        body = body.replace('</table>', '</table></div>')
        # Short words stay in one piece: a line that ends in a hyphen misleads
        body = CODE.sub(r'<code class="short">\1</code>', body)
        body, rows = with_anchors(body)
        title, end, rest = body.partition('</h1>\n')
        if end:
            body = title + end + contents(rows) + rest
        return PAGE.format(title=html.escape(page.title), version=self.version,
                           body=body, navigation=navigation(page, self.groups))

    def write(self):
        """Write all pages and what they show; how many."""
        if found := links.broken(self.documents):
            raise Fail('broken links:\n' + '\n'.join(found))
        texts = {page.output: self.page(page) for page in self.documents.values()}
        (self.folder / 'pictures').mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (self.folder / name).write_text(text, encoding='utf-8')
        for target in self.pictures:
            shutil.copyfile(target.picture, self.folder / target.href)
        shutil.copyfile(STYLE, self.folder / 'style.css')
        return len(texts)
