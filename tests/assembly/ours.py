# SPDX-License-Identifier: GPL-2.0-or-later
"""Our files, functions and patches, as the rules look at them."""
import ast
import re

from prefaultlib.paths import ROOT

CODE = ('.c', '.h', '.py', '.S', '.json', '.build')
PRODUCT = ('accel', 'backends', 'hw', 'include', 'tools')    # our C in QEMU

# Nothing in these is code; a name in them is no use of it
NO_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"'
                     r"|'(?:\\.|[^'\\\n])*'", re.S)
ATTRIBUTE = re.compile(r'\bG_GNUC_\w+(?: *\([^()]*\))? *|^coroutine_fn ', re.M)
FUNCTION = re.compile(r'^(\w[\w\s*]*?)\b(\w+)\(([^;{}]*)\)\n\{', re.M)
DIRECTIVE = re.compile(r'^#(?:[^\n]*\\\n)*[^\n]*', re.M)
VARIABLE = re.compile(r'(\w+)\s*(?:\[[^\]]*\]\s*)*(?:,|$)')
POINTER = re.compile(r'^[\w\s*]+\(\*(\w+)\)\([^()]*\)$')
WORD = re.compile(r'[A-Za-z_]\w*')
INCLUDE = re.compile(r'^\+?# *include *[<"]([^>"]+)[>"]', re.M)


def hunks(text):
    """[(file, [hunk lines])] of a patch."""
    name, found = None, []
    for line in text[text.index('\ndiff '):].splitlines():
        if line.startswith('+++ '):
            name = line[4:]
        elif line.startswith('@@'):
            found.append((name, []))
        elif line.startswith(('diff ', 'index ')):
            name = None
        elif found and name:
            found[-1][1].append(line)
    return found


def sources(*folders):
    """Our source files below the folders."""
    return [p for f in folders for p in sorted((ROOT / f).rglob('*'))
            if p.is_file() and '__pycache__' not in p.parts
            and (p.suffix in CODE or p.parent == ROOT / 'scripts')]


def c_functions(path):
    """[(lines, name)]: from the line with { to } in the first column."""
    found, start, name = [], None, ''
    for number, line in enumerate(path.read_text().splitlines()):
        if line == '{':
            start = number
        elif line == '}' and start is not None:
            found.append((number - start + 1, name))
            start = None
        elif start is None and (head := re.match(r'(?:\w.*?\b)?(\w+)\(', line)):
            name = head[1]
    return found


def python_functions(path):
    """[(lines, name)] of the functions of a Python file."""
    return [(node.end_lineno - node.lineno + 1, node.name)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.FunctionDef)]


def functions(path):
    """[(lines, name)] of the functions of any of our files."""
    if path.suffix == '.c':
        return c_functions(path)
    if path.suffix == '.py' or 'python' in path.read_text()[:40]:
        return python_functions(path)
    return []


def c_files(root=ROOT):
    """Our C files and headers in QEMU itself, relative to a checkout."""
    return sorted(path.relative_to(root) for folder in PRODUCT
                  for path in (root / folder).rglob('*.[ch]'))


def includes(text):
    """The names that a C file, or the lines that a patch adds, includes."""
    return INCLUDE.findall(text)


def code(text):
    """C without comments, literals and attributes, each line where it was."""
    def blank(match):
        return '""' + '\n' * match[0].count('\n')

    bare = DIRECTIVE.sub(blank, NO_CODE.sub(blank, text))
    return ATTRIBUTE.sub('', bare.replace('""', ''))


def defined(text):
    """[(function that a C file defines, is it static)]."""
    return [(name, 'static' in kind.split())
            for kind, name, _ in FUNCTION.findall(code(text))]


def variables(text):
    """The names of a C file's variables outside functions."""
    bare, before = code(text), ''
    while bare != before:       # the innermost blocks first
        before, bare = bare, re.sub(r'\{[^{}]*\}', '<>', bare)
    found = []
    for statement in re.sub(r'\)\s*<>', ');', bare).split(';'):
        head = statement.split('=')[0].rstrip()
        if head.endswith(')') and 'typedef' not in head:    # else a prototype
            found += POINTER.findall(head.strip())
        elif not re.search(r'\b(typedef|extern)\b|>$', head):
            found += VARIABLE.findall(head)
    return found
