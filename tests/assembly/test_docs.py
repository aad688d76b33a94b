# SPDX-License-Identifier: GPL-2.0-or-later
"""The documents' links, and the HTML that scripts/docs makes of them.

Links are looked at without a program that renders Markdown.  Where cmark-gfm is
installed the HTML is made, too, and its anchors compared with those.
"""
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from prefaultlib import err
from prefaultlib.assemble import packages
from prefaultlib.docs import links, markdown, pages, site
from prefaultlib.paths import ROOT

TEXT = '''# A page of *ours*

See [usage](usage.md#limits-of-the-host), [this](#it-s-a-1) and
[`code` in two
lines](https://example.org/), not `[code](nowhere)`.

```
# no heading
[no](link)
```

## It's `a`
## It-s a
## [A link](usage.md), and more
'''
DOCUMENTS = {'README.md': '# Home\n\n[usage](docs/usage.md#one)\n',
             'docs/usage.md': '# Usage\n\n## One\n\n[home](../README.md) [up](#one)\n'}


class Made(unittest.TestCase):
    """A folder of made-up documents."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        shutil.copy(ROOT / 'meson.build', self.root)
        (self.root / 'docs').mkdir()
        for name, text in DOCUMENTS.items():
            self.put(name, text)

    def put(self, name, text):
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text, encoding='utf-8')

    def broken(self):
        return links.broken(pages.documents(self.root))


class TestMarkdown(unittest.TestCase):
    """What is read of a text."""

    def test_links_are_found_outside_code(self):
        self.assertEqual(markdown.links(TEXT),
                         [(3, 'usage.md#limits-of-the-host'), (3, '#it-s-a-1'),
                          (4, 'https://example.org/'), (14, 'usage.md')])

    def test_headings_get_anchors_as_on_a_forge(self):
        self.assertEqual([(one.text, one.anchor) for one in markdown.headings(TEXT)],
                         [('A page of ours', 'a-page-of-ours'), ("It's a", 'its-a'),
                          ('It-s a', 'it-s-a'), ('A link, and more',
                                                 'a-link-and-more')])

    def test_anchors_differ(self):
        self.assertEqual(markdown.anchors(['One', 'one', 'One!']),
                         ['one', 'one-1', 'one-2'])


class TestBroken(Made):
    """A link that leads nowhere is named."""

    def test_none(self):
        self.assertEqual(self.broken(), [])

    def test_each(self):
        for link, why in {
                'nowhere.md': 'it is no address, document or picture',
                'README.md': 'it is no address, document or picture',
                '../meson.build': 'it is no address, document or picture',
                'usage.md#two': 'docs/usage.md has no heading #two',
                '#home': 'docs/more.md has no heading #home',
                'plots/a.svg': 'there is no docs/plots/a.svg'}.items():
            with self.subTest(link):
                self.put('docs/more.md', f'# More\n\n\n[a\nb]({link})\n')
                self.assertEqual(self.broken(), [
                    f'docs/more.md:4: the link to {link}: {why}'])


class TestOurs(unittest.TestCase):
    """The documents of this checkout."""

    def test_no_link_is_broken(self):
        documents = pages.documents()
        count = sum(len(markdown.links(page.text)) for page in documents.values())
        print(f'# note: {count} links in {len(documents)} documents')
        self.assertEqual(links.broken(documents), [])

    def test_navigation_names_documents_that_exist(self):
        named = [f'{stem}.md' for _, stems in pages.GROUPS for stem in stems]
        self.assertEqual([name for name in named if not (ROOT / name).is_file()], [])

    def test_links_are_an_exit_status(self):
        self.assertEqual(subprocess.run(
            [sys.executable, ROOT / 'scripts/docs', '--check'],
            check=False).returncode, 0)


class TestTool(unittest.TestCase):
    """What renders is installed on Debian, and asked for elsewhere."""

    def need(self, debian, there=None, no_install=False):
        """What was installed."""
        with (mock.patch('shutil.which', return_value=there),
              mock.patch('prefaultlib.assemble.system.is_debian',
                         return_value=debian),
              mock.patch('prefaultlib.assemble.packages.install') as install):
            site.need_tool(no_install)
            return [call[0][0] for call in install.call_args_list]

    def test_is_installed_where_it_is_missing(self):
        self.assertEqual(self.need(True), [[packages.DOCS]])
        self.assertEqual(self.need(True, '/usr/bin/cmark-gfm'), [])
        self.assertEqual(self.need(False, '/usr/bin/cmark-gfm'), [])

    def test_is_named_where_it_cannot_be_installed(self):
        for debian, no_install in (False, False), (True, True):
            with self.assertRaisesRegex(err.Fail, '^cmark-gfm is missing, which '
                                        'makes HTML of the documents: install it'):
                self.need(debian, None, no_install)


@unittest.skipUnless(shutil.which(site.TOOL), f'no {site.TOOL} is installed')
class TestSite(Made):
    """The HTML."""

    def write(self):
        made = site.Site(self.root, self.root / 'html').write()
        self.assertEqual(made, len(pages.documents(self.root)))

    def html(self, name):
        return (self.root / 'html' / name).read_text(encoding='utf-8')

    def test_links_lead_to_pages(self):
        self.write()
        self.assertIn('<a href="usage.html#one">usage</a>', self.html('index.html'))
        self.assertIn('<a href="index.html">home</a> <a href="#one">up</a>',
                      self.html('usage.html'))
        self.assertIn('<h2 id="one">', self.html('usage.html'))

    def test_pictures_are_copied(self):
        self.put('docs/plots/a.svg', '<svg/>')
        self.put('docs/more.md', '# More\n\n![a plot](plots/a.svg)\n')
        self.write()
        self.assertIn('<img src="pictures/a.svg" alt="a plot"', self.html('more.html'))
        self.assertEqual(self.html('pictures/a.svg'), '<svg/>')

    def test_link_that_only_the_renderer_sees(self):
        self.put('docs/more.md', '# More\n\n[a] b\n\n[a]: nowhere.md\n')
        self.assertEqual(self.broken(), [])
        with self.assertRaisesRegex(err.Fail, 'docs/more.md: a link is broken'):
            self.write()

    def test_new_page_is_in_the_navigation(self):
        self.put('docs/more.md', '# More & more\n')
        self.write()
        self.assertIn('<li><a href="more.html">More &amp; more</a></li>',
                      self.html('index.html'))

    def test_what_is_wide_scrolls_and_short_code_stays_whole(self):
        self.put('docs/more.md', '# More\n\n| `-a` | b |\n|---|---|\n\n    code\n')
        self.write()
        html = self.html('more.html')
        self.assertIn('<div class="wide"><table>', html)
        self.assertIn('<code class="short">-a</code>', html)
        self.assertIn('<pre><code>code\n</code></pre>', html)

    def test_contents_are_those_of_the_page(self):
        self.put('docs/more.md', '# More\n' + ''.join(
            f'## Part {number}\n' for number in range(site.FEW + 1)))
        self.write()
        self.assertIn('<li class="deep2"><a href="#part-3">Part 3</a></li>',
                      self.html('more.html'))
        self.assertNotIn('class="contents"', self.html('usage.html'))

    def test_pages_need_nothing_else(self):
        self.write()
        for path in (self.root / 'html').glob('*'):
            if path.is_file():
                self.assertNotRegex(path.read_text(encoding='utf-8'),
                                    r'<script|@import|url\(|src="[a-z]+:|@font-face')

    def test_anchors_are_those_of_the_markdown(self):
        """On all documents of this checkout."""
        site.Site(ROOT, self.root / 'html').write()
        for page in pages.documents().values():
            found = re.findall(r'<h[1-6] id="([^"]*)"', self.html(page.output))
            self.assertEqual(found, page.anchors, page.name)


if __name__ == '__main__':
    unittest.main()
