# SPDX-License-Identifier: GPL-2.0-or-later
"""What a QEMU and its guest do that do not do what a test waits for.

Text for the message of a timeout: some happen once in hundreds of runs, and
the message has to be enough to explain them.
"""
import json
import time

SECONDS = 5                     # for each question: QEMU may hang
COUNTERS = ('exits', 'halt_exits', 'signal_exits', 'nmi_injections',
            'pf_taken')
COUNTED_SECONDS = 0.5
VCPUS = 4                       # the first few say enough
REGISTERS = ('AX=', 'SP=', 'IP=', 'CR0=')
LAST = 10

# Of each thread: its name, whether it runs, its time, and what it waits for
THREADS = '''for thread in /proc/{}/task/*; do
    echo "$(cat $thread/comm): $(cut -d')' -f2 $thread/stat |
          cut -d' ' -f2,13,14) $(cat $thread/wchan)"
done'''


def of(qemu):
    """All that can be had of it, also if it hangs or has ended."""
    said = []
    for what, question in QUESTIONS.items():
        try:
            said.append(f'{what}: {question(qemu)}')
        except Exception as error:  # pylint: disable=broad-except
            # Whatever is broken, the other answers may say why
            said.append(f'{what}: {str(error).splitlines()[:1]}')
    return '\n'.join(said)


def ask(qemu, command, **arguments):
    """The answer of QMP."""
    return qemu.qmp(command, timeout=SECONDS, **arguments).value


def counters(qemu):
    """KVM's, twice: does the guest run?"""
    found = []
    for seconds in COUNTED_SECONDS, 0:
        found.append(qemu.vcpu_stats(*COUNTERS, each=True)[:VCPUS])
        time.sleep(seconds)
    return f'{found[0]}, {COUNTED_SECONDS} s later {found[1]}'


def registers(qemu):
    """Those that say where each vCPU is."""
    lines = []
    for vcpu in ask(qemu, 'query-cpus-fast')[:VCPUS]:
        text = ask(qemu, 'human-monitor-command', cpu_index=vcpu['cpu-index'],
                   command_line='info registers')
        lines += [f'vCPU {vcpu["cpu-index"]}: {line}'
                  for line in text.splitlines()
                  if any(name in line[:50] for name in REGISTERS)]
    return '\n'.join(['', *lines])


def threads(qemu):
    """QEMU's, as L1's kernel sees them."""
    return '\n' + qemu.machine.run(
        '/bin/sh', '-c', THREADS.format(qemu.process.pid), timeout=SECONDS)[1]


def last(lines):
    """The end of a list of link.Line with their times, in seconds."""
    return '\n'.join(['', *(f'{line.ns / 1e9:.3f} {line.text}'
                            for line in lines[-LAST:])])


QUESTIONS = {
    'now': lambda qemu: f'{qemu.machine.now_ns() / 1e9:.3f}',
    'run state': lambda qemu: ask(qemu, 'query-status')['status'],
    'prefault': lambda qemu: json.dumps(ask(qemu, 'query-prefault')),
    'events': lambda qemu: [f'{event.ns / 1e9:.3f} {event.name}'
                            for event in qemu.events[-LAST:]],
    'KVM': counters,
    'registers': registers,
    'threads': threads,
    'guest': lambda qemu: last(qemu.process.out),
    'standard error': lambda qemu: last(qemu.process.err),
}
