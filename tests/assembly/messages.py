# SPDX-License-Identifier: GPL-2.0-or-later
"""The words that the product may say to people, as the sources have them.

A message is a string literal with words in it.  Literals side by side are one, and so
are macros that stand for a literal.  What is printed into it is a placeholder: N for a
number, 0xN, and ... for text.  Some calls say nothing to people, or print several
lines of figures: what they are given is no message.
"""
import re

from prefaultlib.paths import ROOT

FOLDERS = ('hw', 'accel', 'tools', 'libvirt/src')
# Help, parsing, formats of figures, traces
SILENT = ('object_class_property_set_description', 'g_string_append_printf',
          'glance_sentence', 'sscanf', 'prefault_cgroup_read', 'VIR_DEBUG',
          'VIR_INFO', 'virBufferAsprintf', 'virBufferAddLit')

STRING = r'"(?:\\.|[^"\\])*"'
TOKEN = re.compile(r"/\*.*?\*/|//[^\n]*|'(?:\\.|[^'\\])+'"
                   rf'|(?P<string>{STRING})|(?P<word>[A-Za-z_]\w*)|(?P<mark>[](){{}}[;,?:=])',
                   re.S)
DEFINE = re.compile(r'^#define (\w+) ((?:[^\n]*\\\n)*[^\n]*)', re.M)
LITERALS = re.compile(rf'(?:(?:{STRING}|[A-Z_]+)\s*)+')
DIRECTIVE = re.compile(r'^# *(?:include|if|el|endif|undef|error|pragma)[^\n]*', re.M)
FORMAT = re.compile(r'(0x)?%(?:\d+\$)?[-+ 0]*[\d.]*(?:<\w+>|[hlz]*[a-zA-Z])')
PRINTED = re.compile(r'PR[Ii][a-zA-Z]\w*|HWADDR_PR\w+')


def sources(root=ROOT):
    """The files whose messages people see."""
    return [path for folder in FOLDERS
            for path in sorted((root / folder).rglob('*.[ch]'))]


def definitions(text):
    """[(name, literals)] of macros that stand for literals."""
    found = [(name, value.replace('\\\n', ' ').strip())
             for name, value in DEFINE.findall(text)]
    return [(name, value) for name, value in found
            if '"' in value and LITERALS.fullmatch(value)]


def macros(text):
    """{name: literals}; None for one that is defined several times: what it stands
    for is a text that is printed into a message."""
    found = {}
    for name, value in definitions(text):
        found[name] = value if name not in found else None
    return found


def code(text):
    """A file without directives and the macros that stand for literals."""
    names = {name for name, _ in definitions(text)}
    return DIRECTIVE.sub('', DEFINE.sub(
        lambda found: '' if found[1] in names else found[0], text))


def placeholder(found):
    """What stands for a conversion of printf."""
    if found[0].endswith('s'):
        return '...'
    return f'{found[1] or ""}N'


def joined(pieces, known):
    """A literal of pieces, strings and words, in one."""
    text = ''
    for piece in pieces:
        if piece.startswith('"'):
            text += piece[1:-1]
        elif PRINTED.fullmatch(piece):
            text += f'<{piece}>'
        elif known.get(piece):
            text += joined(re.findall(rf'{STRING}|\w+', known[piece]), known)
        else:
            text += '...'
    return text


def as_people_see_it(pieces, known):
    """A literal with its placeholders; spaces do not count, nor how many dots."""
    text = FORMAT.sub(placeholder, joined(pieces, known).replace('%%', '<percent>'))
    text = text.replace('<percent>', '%').replace('\\"', '"')
    return ' '.join(re.sub(r'(\.\.\.)+', '...', text).split())


def has_words(text):
    """Is it more than a name, a number or a separator?"""
    return len(text.split()) > 1 and re.search('[A-Za-z]{3}', text.replace(
        '...', '')) is not None


class Reader:
    """Collects the messages of a file."""

    def __init__(self, known):
        self.known = known
        self.calls = []         # functions whose arguments are being read
        self.pieces = []        # of the literal that is being read
        self.word = ''          # before a (
        self.found = set()

    def end(self):
        """What follows is no part of the literal."""
        pieces, self.pieces = self.pieces, []
        if not any(x.startswith('"') or self.known.get(x) for x in pieces):
            return
        if any('\\n' in piece for piece in pieces):
            return              # lines of figures, or help
        text = as_people_see_it(pieces, self.known)
        if has_words(text) and not any(call in SILENT for call in self.calls):
            self.found.add(text)

    def take(self, token):
        if token['string']:
            self.pieces.append(token['string'])
        elif token['word']:
            self.take_word(token['word'])
        elif token['mark']:
            self.end()
            if token['mark'] == '(':
                self.calls.append(self.word)
            elif token['mark'] == ')' and self.calls:
                self.calls.pop()
            self.word = ''

    def take_word(self, word):
        if word in self.known or (self.pieces and word.isupper()
                                  ) or PRINTED.fullmatch(word):
            self.pieces.append(word)
        else:
            self.end()
        self.word = word


def read(text, known):
    """The messages of a C file, as a set."""
    reader = Reader(known)
    for token in TOKEN.finditer(code(text)):
        reader.take(token)
    reader.end()
    return reader.found


def of_macros(text, known):
    """What a file's macros that are defined several times may stand for."""
    return {as_people_see_it(re.findall(STRING, value), {})
            for name, value in definitions(text) if known[name] is None}


def collect(paths=None):
    """{message: [file]} of all sources, or of some."""
    paths = sources() if paths is None else paths
    texts = {path: path.read_text(encoding='utf-8') for path in paths}
    known = macros('\n'.join(texts.values()))
    found = {}
    for path, text in texts.items():
        for message in read(text, known) | of_macros(text, known):
            found.setdefault(message, []).append(path.name)
    return found
