# SPDX-License-Identifier: EUPL-1.2
"""Material that stands beside the project, not in it: real mail and other people's test cases.
Where a folder is missing, its scenarios are skipped with a count."""
import csv
import json
import os
import random
import subprocess

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BESIDE = os.path.join(os.path.dirname(TOP), 'shared')


def beside(*names):
    """The path of a thing beside the project, or None."""
    path = os.path.join(BESIDE, *names)
    return path if os.path.exists(path) else None


def smuggling():
    """[(id, bytes)]: what an attacker sends in place of CRLF.CRLF."""
    path = beside('conformance', 'smtp', 'smuggling-eod.visible.json')
    if not path:
        return []
    with open(path) as text:
        return [(case['id'], case['sequence_escaped'].encode('latin-1').decode(
            'unicode_escape').encode('latin-1')) for case in json.load(text)]


def sample(count, seed):
    """Names (archive, file) of real mail: each archive by its share, at least one each. count
    None: all."""
    manifest = beside('data', 'mail', 'manifest.tsv')
    if not manifest:
        return []
    groups = {}
    with open(manifest, newline='') as text:
        for row in csv.DictReader(text, delimiter='\t', quoting=csv.QUOTE_NONE):
            groups.setdefault(row['archive'], []).append(row['file'])
    total = sum(len(names) for names in groups.values())
    chosen, rng = [], random.Random(seed)
    for archive, names in sorted(groups.items()):
        share = len(names) if count is None else max(1, round(count * len(names) / total))
        chosen += [(archive, name) for name in rng.sample(sorted(names), min(share, len(names)))]
    return chosen


def extract(names, directory):
    """Reads the chosen mails through a temporary directory; [(name, bytes)]."""
    by_archive = {}
    for archive, name in names:
        by_archive.setdefault(archive, []).append(name)
    found = []
    for archive, wanted in by_archive.items():
        target = os.path.join(directory, archive.split('.')[0])
        os.makedirs(target, exist_ok=True)
        path = beside('data', 'mail', archive)
        zstd = subprocess.Popen(['zstd', '-dc', '--long=27', path], stdout=subprocess.PIPE)
        subprocess.run(['tar', 'xf', '-', '-C', target], stdin=zstd.stdout, check=True)
        if zstd.wait() != 0:
            raise RuntimeError('zstd could not read ' + path)
        for name in wanted:
            with open(os.path.join(target, name), 'rb') as mail:
                found.append((archive + '/' + name, mail.read()))
    return found
