# SPDX-License-Identifier: GPL-2.0-or-later
"""The suite model: spin searches the models of tests/model.

A property is a line `ltl NAME { ... }` of a model, and has to hold in every state, or
on every way through them.  A breakage is an entry of tests/mutations/model.json: a text
of a model, what takes its place, and the property for which spin must then find an
error.
"""
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .. import paths
from ..err import Fail

FOLDER = paths.ROOT / 'tests' / 'model'
BREAKAGES = paths.ROOT / 'tests' / 'mutations' / 'model.json'
PROPERTY = re.compile(r'^ltl (\w+) (\{.*\})$', re.M)
STEP_TIMEOUT = 120
# Models have few processes; the compiler costs more than what it could save
COMPILE = ('gcc', '-O0', '-w', '-DNFAIR=3', '-DMEMLIM=2048', '-o', 'pan', 'pan.c')
DEPTH = 1000000
# What pan says if it has not seen everything
CUT_SHORT = re.compile(r'max search depth too small|Search not completed|'
                       rf'reached -DMEMLIM|out of memory|depth reached {DEPTH - 1}')


# What a way is shown without: the property's own steps, and steps that do nothing
UNTOLD = re.compile(r'^ltl |Never claim|\(Others:|\[(sub-sequence|IF|DO|\.\(goto\))\]')


@dataclass
class Answer:
    """What a search has found."""

    error: bool
    states: int


def names():
    """The models."""
    return [path.stem for path in sorted(FOLDER.glob('*.pml'))]


def properties(model):
    """{name of a property: its formula}."""
    text = (FOLDER / f'{model}.pml').read_text(encoding='utf-8')
    return dict(PROPERTY.findall(text))


def breakages():
    """The entries of tests/mutations/model.json, each with its model and property."""
    found = json.loads(BREAKAGES.read_text(encoding='utf-8'))
    for one in found:
        one['model'], _, one['property'] = one['test'].partition(':')
    return found


def call(folder, *command):
    """Run a command in the folder; its output.  Fails if it does."""
    try:
        done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=STEP_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise Fail(f"{command[0]} takes longer than {STEP_TIMEOUT} s: the model has "
                   'too many states') from None
    if done.returncode:
        raise Fail(f"{' '.join(command)} fails: {done.stdout.strip()[-400:]}")
    return done.stdout


def unreached(said):
    """The steps that pan has not seen taken, but for ends of endless loops."""
    found, process = set(), ''
    for line in said.splitlines():
        head = re.match(r'unreached in (\w+) (\w+)', line)
        step = re.match(r'\t(\S+:\d+), state (\d+), (.*)', line)
        if head:
            process = head[2] if head[1] == 'proctype' else ''
        elif step and process and step[3] != '"-end-"':
            found.add(f'{process}, {step[1]}: {step[3]}')
    return found


class Search:
    """A model with its search program, in a folder of its own; a context manager."""

    def __init__(self, model, breakage=None):
        self.model = model
        self.breakage = breakage
        self.idle = []      # of each search: the steps that were not taken

    def __enter__(self):
        self.temporary = tempfile.TemporaryDirectory(prefix='prefault-model-')
        self.folder = Path(self.temporary.name)
        try:
            for path in (*FOLDER.glob('*.pml'), *FOLDER.glob('*.inc')):
                shutil.copy(path, self.folder)
            if self.breakage:
                self._break()
            call(self.folder, 'spin', '-a', f'{self.model}.pml')
            call(self.folder, *COMPILE)
        except BaseException:
            self.temporary.cleanup()
            raise
        return self

    def __exit__(self, *unused):
        self.temporary.cleanup()

    def _break(self):
        path = self.folder / Path(self.breakage['file']).name
        text = path.read_text(encoding='utf-8')
        if text.count(self.breakage['from']) != 1:
            raise Fail(f"{self.breakage['file']} has its text "
                       f"{text.count(self.breakage['from'])} times: it has to be once")
        path.write_text(text.replace(self.breakage['from'], self.breakage['to']),
                        encoding='utf-8')

    def look(self, name, formula):
        """Search for a way on which the property does not hold.

        What has to come at last comes only if every thread gets its turn: then
        fairness is asked for.
        """
        fair = ['-f'] if '<>' in formula else []
        said = call(self.folder, './pan', '-N', name, '-a', *fair, f'-m{DEPTH}', '-w20')
        errors = re.search(r'errors: (\d+)', said)
        states = re.search(r'(\d+) states, stored', said)
        if not errors or not states:
            raise Fail(f'pan says nothing of use: {said.strip()[-400:]}')
        error = int(errors[1]) > 0
        if CUT_SHORT.search(said) and not error:
            raise Fail('the search has not seen all states: the model is too large')
        if not error:
            self.idle.append(unreached(said))
        return Answer(error, int(states[1]))

    def trail(self):
        """The lines of the way that was found, without the property's own steps."""
        said = call(self.folder, 'spin', '-t', '-p', '-g', f'{self.model}.pml')
        return [line for line in said.splitlines()
                if not UNTOLD.search(line)]


def check_property(search, name, formula):
    """(verdict, reason, message) of a property."""
    answer = search.look(name, formula)
    if not answer.error:
        return 'ok', f'{answer.states} states', ()
    paths.LOGS.mkdir(parents=True, exist_ok=True)
    path = paths.LOGS / f'model-{search.model}-{name}.log'
    trail = search.trail()
    path.write_text('\n'.join(trail), encoding='utf-8')
    return 'FAIL', f'spin finds a way on which it does not hold: {path}', trail


def check_steps(search):
    """(verdict, reason, message): what no search takes is no part of the model."""
    idle = sorted(set.intersection(*search.idle))
    return ('FAIL' if idle else 'ok', f'{len(idle)} are never taken' if idle else '',
            idle)


def check_breakage(search, name, formula):
    """(verdict, reason, message) of a breakage."""
    answer = search.look(name, formula)
    if answer.error:
        return 'ok', f'{name}, {answer.states} states', ()
    return 'FAIL', f'spin does not notice: {name} holds all the same', ()


def report(results, title, work):
    """Do one piece of work and add its line."""
    since = time.monotonic()
    try:
        verdict, reason, message = work()
    except Fail as fail:
        verdict, reason, message = 'FAIL', str(fail), ()
    results.add(title, verdict, time.monotonic() - since, reason, message)


def run_model(results, model, wanted):
    """Search a model for each of its properties."""
    chosen = {name: formula for name, formula in properties(model).items()
              if wanted(name)}
    if not chosen:
        return
    try:
        with Search(model) as search:
            for name, formula in chosen.items():
                report(results, f'model/{model}: {name}',
                       lambda: check_property(search, name, formula))
            if len(search.idle) == len(properties(model)):
                report(results, f'model/{model}: every step is taken',
                       lambda: check_steps(search))
    except Fail as fail:
        results.add(f'model/{model}', 'FAIL', 0, str(fail))


def run_breakage(results, breakage):
    """Search a model that is broken on purpose."""
    model, name = breakage['model'], breakage['property']

    def work():
        with Search(model, breakage) as search:
            return check_breakage(search, name, properties(model)[name])

    report(results, f"model/{model}: red as it should be: {breakage['name']}", work)


def need_some(model, tests):
    """Fail if none of the tests that were asked for is one of the model."""
    there = [*properties(model), *(one['name'] for one in breakages()
                                   if one['model'] == model)]
    if tests and not any(name.startswith(tuple(tests)) for name in there):
        raise Fail(f"model {model} has no property or breakage that begins with "
                   f"{' or '.join(tests)}: choose from {'; '.join(there)}")


def run(results, chosen):
    """Run what was chosen: {model: [beginning of a name]}, or None for all."""
    missing = [name for name in ('spin', 'gcc') if not shutil.which(name)]
    if missing:
        raise Fail(f"{' and '.join(missing)} is missing, which searches the models: "
                   'install the Debian packages spin and gcc')
    chosen = dict.fromkeys(names(), ()) if chosen is None else chosen
    for model, tests in chosen.items():
        need_some(model, tests)

    def wants(model, name):
        tests = chosen.get(model)
        return tests is not None and (not tests or name.startswith(tuple(tests)))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        work = [pool.submit(run_model, results, model,
                            lambda name, model=model: wants(model, name))
                for model in chosen]
        work += [pool.submit(run_breakage, results, one) for one in breakages()
                 if wants(one['model'], one['name'])]
        for one in work:
            one.result()
