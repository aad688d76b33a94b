# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian packages: installed ones, and ones only fetched and unpacked.

install() changes the system and says so first.  Everything else leaves the
system alone: other suites are reached through an apt configuration of our own
that uses the mirror the system already has, with lists and packages in our
cache.  Works on Debian 12 and 13.
"""
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from .. import paths, say
from ..err import Fail
from . import system

PROXIES = ('http_proxy', 'https_proxy', 'no_proxy')
KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
SUITES = ('trixie', 'bookworm-backports')
LISTS_FRESH_SECONDS = 24 * 3600
APT_TIMEOUT_SECONDS = 900


def missing_of(names):
    """Those of the packages that are not installed."""
    done = subprocess.run(
        ['dpkg-query', '-W', '-f', '${Package} ${db:Status-Status}\n',
         *names], capture_output=True, text=True, check=False)
    there = {line.split()[0] for line in done.stdout.splitlines()
             if line.endswith(' installed')}
    return [name for name in names if name not in there]


def install(names):
    """Install those of the packages that are missing; say which first."""
    missing = missing_of(names)
    if not missing:
        return
    say.step(f"installing {len(missing)} Debian packages: "
             f"{' '.join(missing)}")
    sudo = [] if os.geteuid() == 0 else ['sudo']
    if sudo:
        check_sudo(missing)
    # sudo drops the environment, a proxy with it
    env = ['env', 'DEBIAN_FRONTEND=noninteractive',
           *(f'{name}={value}' for name, value in os.environ.items()
             if name.lower() in PROXIES)]
    command = sudo + env + ['apt-get', '-q', '-y', 'install',
                            '--no-install-recommends'] + missing
    if _system_lists_empty(missing) or not _quiet(command):
        _quiet(sudo + env + ['apt-get', '-q', 'update'])
        if not _quiet(command):
            raise Fail('apt-get could not install '
                       f"{' '.join(missing)}; its messages are in "
                       f'{_log()}: check the network and the package '
                       'sources, then run this again')


def check_sudo(missing):
    """Fail unless sudo lets this user install the packages; it may ask."""
    remedy = (f"as root run `apt-get install {' '.join(missing)}`, then this "
              'again')
    if not shutil.which('sudo'):
        raise Fail(f'packages are missing and there is no sudo: {remedy}')
    # Whom it does not know, or cannot ask for a password, it refuses
    asked = subprocess.run(['sudo', '-l', 'apt-get'], capture_output=True,
                           text=True, check=False)
    if asked.returncode:
        said = asked.stderr.strip().splitlines() or ['no reason given']
        raise Fail('packages are missing and sudo does not let this user run '
                   f'apt-get ({said[-1]}): {remedy}')


def fetch(pattern, suites=SUITES, version=None, later=False):
    """Return the path of a .deb in the cache, downloaded if need be.

    @pattern: regular expression that has to match the whole package name;
              of several packages the newest version is taken
    @suites:  Debian suites, searched in this order; the first that has a
              match wins
    @version: of this version only
    @later:   what the suites have now, whatever was fetched before

    A package fetched once is taken from the cache and needs no network; one
    in the folder that the user named (paths.sources()) is used where it lies.
    """
    folder = paths.CACHE / 'debs'
    for place in (folder, paths.sources()) if not later else ():
        there = [p for p in (place.glob('*.deb') if place else ())
                 if re.fullmatch(pattern, p.name.split('_')[0])
                 and version in (None, p.name.split('_')[1])]
        if there:
            return newest(there, lambda p: p.name.split('_')[1])
    system.need_debian(f"the package '{pattern}' is fetched")
    found = []
    for suite in suites:
        found = [one for one in _search(pattern, suite) if version in (None, one[1])]
        if found:
            break
    if not found:
        of = f' of version {version}' if version else ''
        raise Fail(f"no package matches '{pattern}'{of} in the suites "
                   f"{', '.join(suites)}: check the network and the "
                   'Debian mirror, then run this again')
    name, version = newest(found, lambda f: f[1])
    there = list(folder.glob(f'{name}_{version}_*.deb'))
    if there:
        return there[0]
    say.step(f'fetching {name} {version} from {suite}')
    return _download(name, version, suite, folder)


def unpack(deb, target):
    """Unpack a .deb's files below the folder target."""
    target.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(['dpkg', '-x', str(deb), str(target)],
                          capture_output=True, text=True, check=False)
    if done.returncode:
        removed = deb.is_relative_to(paths.CACHE)
        if removed:
            deb.unlink(missing_ok=True)
        raise Fail(f'{deb} cannot be unpacked ({done.stderr.strip()}): '
                   + ('it was removed; run this again' if removed else
                      'replace or remove it, then run this again'))


def apt(suite, source=False):
    """Return the apt-get words that see one suite only, with fresh lists.

    @source: the suite's source packages instead of its binary ones
    """
    kind = 'deb-src' if source else 'deb'
    state = paths.CACHE / 'apt' / f'{suite}-{kind}'
    words = ['-o', f'Dir::Etc::SourceList={state}/sources.list',
             '-o', 'Dir::Etc::SourceParts=/dev/null',
             '-o', f'Dir::State::Lists={state}/lists',
             '-o', 'Dir::Etc::Preferences=/dev/null',
             '-o', 'Dir::Etc::PreferencesParts=/dev/null',
             '-o', f'Dir::Cache={state}/cache',
             '-o', 'APT::Default-Release=']
    stamp = state / 'fresh'
    if (stamp.exists()
            and time.time() - stamp.stat().st_mtime < LISTS_FRESH_SECONDS):
        return words
    # apt drops to its own user for downloads, who may not enter a home.
    (state / 'lists' / 'partial').mkdir(parents=True, exist_ok=True)
    (state / 'cache' / 'archives' / 'partial').mkdir(parents=True,
                                                     exist_ok=True)
    (state / 'sources.list').write_text(
        f'{kind} [signed-by={KEYRING}] {mirror_of(suite)} {suite} main\n')
    say.step(f'reading the index of {suite} ({kind}) into the cache')
    if not _quiet(['apt-get', '-q', '-o', 'APT::Sandbox::User=root',
                   '-o', 'APT::Update::Error-Mode=any',
                   *words, 'update']):
        raise Fail(f'the index of Debian {suite} cannot be read (messages '
                   f'in {_log()}): check the network, then run this again')
    stamp.touch()
    return words


def proxy():
    """The proxy that apt is configured with for http, or ''."""
    if not shutil.which('apt-config'):
        return ''
    done = subprocess.run(['apt-config', 'dump', '--format', '%v',
                           'Acquire::http::Proxy'],
                          capture_output=True, text=True, check=False)
    return '' if done.stdout == 'DIRECT' else done.stdout.strip()


def with_updates(release):
    """The suites of a stable release: its own, and those that mend it."""
    return [release, f'{release}-updates', f'{release}-security']


def mirror_of(suite):
    """The address of the archive that has a suite."""
    if suite.endswith('-security'):
        return _first_of_list(_address('Debian-Security') or
                              f'{mirror().rstrip("/")}-security')
    return mirror()


def mirror():
    """The address the system takes Debian's main archive from."""
    found = _address('Debian')
    if not found:
        raise Fail('apt names no Debian mirror (`apt-get indextargets` lists '
                   'none): run `apt-get update` as root, then this again')
    return _first_of_list(found)


def _first_of_list(uri):
    """The first address of a `mirror+file:` list, which only apt can read."""
    if not uri.startswith('mirror+file:'):
        return uri
    path = uri.removeprefix('mirror+file:').rstrip('/')
    try:
        lines = Path(path).read_text(encoding='utf-8').splitlines()
    except OSError:
        lines = []
    for line in lines:
        if line.strip() and not line.startswith('#'):
            return line.split()[0]
    raise Fail(f'apt takes its mirrors from {path}, which names none: mend it, '
               'then run this again')


def _address(label):
    """What apt says of an archive with this label, or None."""
    done = subprocess.run(
        ['apt-get', 'indextargets', '--format',
         '$(REPO_URI) $(RELEASE) $(ORIGIN) $(LABEL)'],
        capture_output=True, text=True, check=False)
    targets = [line.split() for line in done.stdout.splitlines()]
    for target in targets:
        if target[2:4] == ['Debian', label] and (
                label != 'Debian' or '-' not in target[1]):
            return target[0]
    # A mirror may say nothing of what it is
    return next((target[0] for target in targets if '/debian' in target[0] and
                 ('security' in target[0]) == (label != 'Debian')), None)


def _search(pattern, suite):
    """[(name, version)] of the suite's packages that match."""
    try:
        words = apt(suite)
    except Fail as fail:
        say.info(str(fail))
        return []
    names = subprocess.run(['apt-cache', *words, 'pkgnames'],
                           capture_output=True, text=True, check=False)
    found = []
    for name in names.stdout.split():
        if re.fullmatch(pattern, name):
            version = _candidate(name, words)
            if version:
                found.append((name, version))
    return found


def _candidate(name, words):
    shown = subprocess.run(
        ['apt-cache', *words, 'madison', name],
        capture_output=True, text=True, check=False)
    versions = [line.split('|')[1].strip()
                for line in shown.stdout.splitlines() if '|' in line]
    return newest(versions, lambda v: v) if versions else None


def _download(name, version, suite, folder):
    """Download into a folder of its own first: a .deb in @folder is whole."""
    partial = folder / 'partial'
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    if not _quiet(['apt-get', '-q', '-o', 'APT::Sandbox::User=root',
                   *apt(suite), 'download', f'{name}={version}'],
                  cwd=partial):
        shutil.rmtree(paths.CACHE / 'apt', ignore_errors=True)
        raise Fail(f'{name} {version} cannot be downloaded from {suite} '
                   f'(messages in {_log()}): check the network, then run '
                   'this again')
    deb = next(partial.glob('*.deb'))
    os.replace(deb, folder / deb.name)
    return folder / deb.name


def newest(items, version):
    """The one of the items whose version, as version(item) says, is newest."""
    best = items[0]
    for item in items[1:]:
        newer = subprocess.run(
            ['dpkg', '--compare-versions', version(item).replace('%3a', ':'),
             'gt', version(best).replace('%3a', ':')], check=False)
        if newer.returncode == 0:
            best = item
    return best


def _system_lists_empty(names):
    """Tell whether apt does not know a package it has to install."""
    shown = subprocess.run(['apt-cache', 'show', *names],
                           capture_output=True, check=False)
    return shown.returncode != 0


def _log():
    return paths.LOGS / 'apt.log'


def _quiet(command, cwd=None):
    """Run a command, its output to the log; return whether it succeeded."""
    paths.LOGS.mkdir(parents=True, exist_ok=True)
    with open(_log(), 'a', encoding='utf-8') as log:
        print('+', *command, file=log, flush=True)
        try:
            done = subprocess.run(command, cwd=cwd, stdout=log, stderr=log,
                                  stdin=subprocess.DEVNULL, check=False,
                                  timeout=APT_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            print('timed out', file=log)
            return False
    return done.returncode == 0
