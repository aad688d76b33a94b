# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of the pinned archives are known to say, before our patches.

Kept in the repository with the checksum of the archive, a test a line, so that
the pristine trees need not be built and run each time.  Written by
`scripts/check --record`; a file of another archive than the pinned ones counts for
nothing.
"""
import json

from .. import paths, say
from ..assemble import source, tree

FOLDER = paths.ROOT / 'tests/verdicts'


def load(name, project, folder=FOLDER):
    """{test: verdict} of a suite, None if nothing is known of this archive.

    name: of the suite
    """
    path = folder / f'{name}.json'
    if not path.exists():
        say.info(f'{path} is not there: the pristine tree is run')
        return None
    known = json.loads(path.read_text(encoding='utf-8'))
    if known['archive'] not in source.Upstream(project).archives.values():
        say.info(f'{path} is of another archive of {project.title}: the pristine '
                 'tree is run; `scripts/check --record` writes it anew')
        return None
    return known['verdicts']


def save(name, project, found, folder=FOLDER):
    """Write down what the pristine tree of the project said."""
    folder.mkdir(exist_ok=True)
    path = folder / f'{name}.json'
    known = {'archive': tree.Pristine(project).unpacked.read_text().strip(),
             'verdicts': found}
    path.write_text(json.dumps(known, indent=0, sort_keys=True,
                               ensure_ascii=False) + '\n', encoding='utf-8')
    say.info(f'written: {path}')
