# SPDX-License-Identifier: GPL-2.0-or-later
"""What a sanitizer reported, and whether it is one of QEMU's own, known faults.

The sanitizers print addresses only: nothing in L1 has symbols, and a QEMU that
looked them up would be slower still.  Here they become functions and lines, those
that were inlined among them.  A finding counts if a function of ours is in one of
its stacks; of others, too, what ASan and UBSan say, unless tests/bed/known-findings
names it.
"""
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

KNOWN = Path(__file__).with_name('known-findings')

# What begins a finding, and the kind that known-findings has for it
KINDS = (
    ('error', re.compile(r'==\d+==ERROR: AddressSanitizer: (?P<what>.*)')),
    ('leak', re.compile(r'(?P<what>(?:Direct|Indirect) leak of .*)')),
    ('race', re.compile(r'WARNING: ThreadSanitizer: (?P<what>.*data race.*)')),
    ('thread', re.compile(r'WARNING: ThreadSanitizer: (?P<what>.*)')),
    ('undefined', re.compile(r'(?P<what>\S+:\d+:\d+: runtime error: .*)')),
    ('error', re.compile(r'==\d+==(?P<what>ERROR: (?!LeakS).*)')),
    # The sanitizer itself does not go on, or cannot look
    ('error', re.compile(r'(?:==\d+==|FATAL: )(?P<what>\w+Sanitizer'
                         r'(?:: CHECK| has encountered|: [a-z]).*)')),
)
FRAME = re.compile(r'\s+#(\d+) .*\((\S+?)\+(0x[0-9a-f]+)\)')
# Stacks that say where something comes from, not what happened
ORIGIN = re.compile(r'As if|(Thread T|Mutex M)\d+ .*created')
LOCATION = 'Location is'        # who allocated the memory of a race
OURS = re.compile(r'(^|/)(hw/core|accel/kvm|tools)/prefault/'
                  r'|/sw-protected-vm[\w-]*\.[ch]|/(kvm-)?prefault[\w-]*\.h')


@dataclass
class Frame:
    """A function, its file and line; of a library only its name."""

    function: str
    place: str = ''

    def __str__(self):
        return f'{self.function} {self.place}'


@dataclass
class Finding:
    """One report.

    stacks:  [(title, [(module, address)])], those that tell what happened
    frames:  [[Frame]], what they are, once resolved
    """

    kind: str
    what: str
    stacks: list = field(default_factory=list)
    frames: list = field(default_factory=list)

    def is_ours(self):
        """Has a stack one of our functions?"""
        return bool(OURS.search(self.what)) or any(
            OURS.search(frame.place) for frames in self.frames
            for frame in frames)

    def tops(self):
        """The innermost functions, of a race those that touch the memory."""
        return {next((frame.function for frame in frames if frame.place), '')
                for (title, _), frames in zip(self.stacks, self.frames)
                if not title.startswith(LOCATION)}

    def is_known(self, known):
        """Is it QEMU's own?

        What threads of QEMU do to each other is, where no function of ours takes
        part.  Where one does, known-findings has the two that touch the memory: it
        is QEMU's then, whoever called them.
        """
        if self.kind in ('race', 'thread'):
            return not self.is_ours() or any(
                kind == self.kind and set(words) == self.tops()
                for kind, *words in known)
        return not self.is_ours() and any(
            kind == self.kind and (words[0] == frame.function
                                   or frame.place.startswith(f'{words[0]}:'))
            for kind, *words in known for frames in self.frames
            for frame in frames)

    def __str__(self):
        lines = [f'{self.kind}: {self.what}']
        for (title, _), frames in zip(self.stacks, self.frames):
            lines += [f'  {title}', *(f'    {frame}' for frame in frames)]
        return '\n'.join(lines)


def parse(text):
    """The Findings of a log, not resolved yet."""
    found, title, stack = [], '', []
    for line in text.splitlines():
        frame = FRAME.match(line)
        if frame:
            if frame[1] == '0':
                stack = []
                if found and not ORIGIN.match(title):
                    found[-1].stacks.append((title, stack))
            stack.append((frame[2], frame[3]))
            continue
        title = line.strip() or title
        for kind, pattern in KINDS:
            match = pattern.match(line)
            if match:
                found.append(Finding(kind, match['what'].strip()))
                break
    return found


def resolve(findings, binary):
    """Give the findings of a QEMU their frames.

    binary: the one with symbols
    """
    addresses = sorted({address for finding in findings
                        for _, stack in finding.stacks
                        for module, address in stack
                        if Path(module).name == binary.name})
    names = symbols(binary, addresses)
    for finding in findings:
        finding.frames = [
            [frame for module, address in stack for frame in
             (names.get(address) if Path(module).name == binary.name
              else None) or [Frame(f'({Path(module).name})')]]
            for _, stack in finding.stacks]


def symbols(binary, addresses):
    """{address: [Frame, innermost first]}; binutils knows what was inlined."""
    if not addresses:
        return {}
    said = subprocess.run(['addr2line', '-a', '-i', '-f', '-e', binary],
                          input='\n'.join(addresses), text=True, check=True,
                          capture_output=True).stdout
    names, frames = {}, []
    lines = iter(said.splitlines())
    for line in lines:
        if re.fullmatch('0x[0-9a-f]+', line):
            frames = names.setdefault(hex(int(line, 16)), [])
        else:
            frames.append(Frame(line, tidy(next(lines))))
    return names


def tidy(place):
    """A file as the tree has it, and its line."""
    return re.sub(r'^.*?/src/[^/]+/|^(\.\./)+', '',
                  re.sub(r' \(.*', '', place))


def known():
    """[(kind, function or file, of a race two functions)] of known-findings."""
    lines = (line.partition('#')[0].split()
             for line in KNOWN.read_text(encoding='utf-8').splitlines())
    return [tuple(words) for words in lines if words]


def judged(text, binary):
    """(those that count, those that are known) of a log."""
    found = parse(text)
    resolve(found, binary)
    listed = known()
    sorted_out = [], []
    for one in found:
        sorted_out[one.is_known(listed)].append(one)
    return sorted_out
