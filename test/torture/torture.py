#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""Torture: kills, injected errors, full disks, power cuts, intrusions, on the release build.

    torture.py --vgm PROGRAM [--tier test|night|release] [--seed N] [--only GROUP,...] [--keep]

Tiers are the same code with other counts (rule 25). Everything runs in name spaces of its own
(processes, mounts, network), which end with it: nothing is left behind, whatever happens. Prints
what failed, for each group the points tried of those that exist, the seed, and last
`N passed, N failed, N skipped`.
"""
import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
INSIDE = 'VGM_TORTURE_INSIDE'
sys.path.insert(0, HERE)
# The network is our own: any port will do.
os.environ.setdefault('VGM_TEST_PORTS', '20000-29999')

import fulldisk  # noqa: E402
import intrusion  # noqa: E402
import kills  # noqa: E402
import lasting  # noqa: E402
import points  # noqa: E402
import powercut  # noqa: E402

COUNTS = {  # tier: (points while running, points while starting, kills, single kills, power cuts)
    'test': (240, 60, 50, 20, 200),
    'night': (2000, 300, 200, 200, 2000),
    'release': (100000, 100000, 1000, 1000, 10000),
}


class Torture:
    """What the groups report to."""

    def __init__(self, keep):
        self.counts = {'passed': 0, 'failed': 0, 'skipped': 0}
        self.keeps = keep

    def passed(self, name):
        self.counts['passed'] += 1

    def failed(self, name, why, where=''):
        self.counts['failed'] += 1
        print('FAIL %s: %s%s' % (name, why, ' [%s]' % where if where and self.keeps else ''),
            flush=True)

    def skipped(self, name, why):
        self.counts['skipped'] += 1
        print('skip %s: %s' % (name, why), flush=True)

    def say(self, text):
        print('  ' + text, flush=True)


def enter():
    """Runs this program again in name spaces of its own; as root in them."""
    words = ['unshare', '--mount', '--net', '--pid', '--fork', '--kill-child', '--mount-proc']
    if os.geteuid() != 0:
        words += ['--user', '--map-root-user']
    inside = subprocess.run(words + ['true'], capture_output=True, text=True, check=False)
    if inside.returncode != 0:
        return 'name spaces cannot be made here: ' + inside.stderr.strip()
    os.environ[INSIDE] = '1'
    os.execvp(words[0], words + ['sh', '-c', 'ip link set lo up && exec "$@"', 'sh',
        sys.executable, os.path.abspath(__file__)] + sys.argv[1:])


def groups(torture, args, work, rng):
    running, starting, trees, singles, cuts = COUNTS[args.tier]
    if args.count is not None:
        running = starting = trees = singles = cuts = args.count
    intrude = os.path.join(os.path.dirname(args.vgm), '..', '..', 'test', 'torture', 'intrude')
    return {
        'lock': lambda: kills.run_lock(torture, args.vgm, work + '/lock'),
        'intrusion': lambda: intrusion.run(torture, args.vgm, work + '/intrusion', intrude),
        'disk': lambda: fulldisk.run(torture, args.vgm, work + '/disk'),
        'lasting': lambda: lasting.run(torture, args.vgm, work + '/lasting', rng),
        'kills': lambda: kills.run(torture, args.vgm, work + '/kills', trees, rng),
        'single': lambda: kills.run_single(torture, args.vgm, work + '/single', singles, rng),
        'points': lambda: points.run(torture, args.vgm, work + '/points', running, rng),
        'start': lambda: points.run_start(torture, args.vgm, work + '/start', starting, rng),
        'power': lambda: powercut.run(torture, args.vgm, work + '/power', cuts, rng),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--vgm', default='build/src/cmd/vgm', help='the program under test')
    parser.add_argument('--tier', choices=sorted(COUNTS), default='test')
    parser.add_argument('--seed', type=int, default=int(time.time()))
    parser.add_argument('--only', help='groups, with commas')
    parser.add_argument('--count', type=int, help='instead of the tier\'s counts')
    parser.add_argument('--keep', action='store_true', help='keep directories and logs')
    args = parser.parse_args()
    args.vgm = os.path.abspath(args.vgm)
    torture = Torture(args.keep)
    if not os.environ.get(INSIDE):
        torture.skipped('torture', enter())
    else:
        play(torture, args)
    counts = torture.counts
    print('%(passed)d passed, %(failed)d failed, %(skipped)d skipped' % counts, flush=True)
    return 1 if counts['failed'] else 0


def play(torture, args):
    print('torture: tier %s, seed %d' % (args.tier, args.seed), flush=True)
    work = tempfile.mkdtemp(prefix='vgm-torture-')
    wanted = args.only.split(',') if args.only else None
    try:
        table = groups(torture, args, work, random.Random(args.seed))
        for name, group in table.items():
            if wanted and name not in wanted:
                continue
            begin = time.monotonic()
            try:
                group()
            except Exception as error:  # a group that breaks does not end the others
                torture.failed(name, 'the group broke: %r' % error)
                if args.keep:
                    raise
            print('%s: %.0f s' % (name, time.monotonic() - begin), flush=True)
    finally:
        if args.keep:
            print('kept: ' + work)
        else:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == '__main__':
    sys.exit(main())
