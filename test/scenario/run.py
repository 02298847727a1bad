#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""Runs scenarios: every function test_* of every test_*.py here, each with a fresh Scene.

    run.py [--vgm PROGRAM] [--tier test|night|release] [--jobs N] [NAME...]

A scenario's first line of documentation is its name in people's words. Those marked with
@alone (harness) never share the machine with another; those marked @whole_only are not run on
the sanitizer build. Prints a line a scenario and, last, `N passed, N failed, N skipped`.
"""
import argparse
import concurrent.futures
import importlib
import os
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

from harness.scene import Scene, Skip  # noqa: E402


def find_vgm(given):
    for path in [given] if given else ['build/src/cmd/vgm', 'build-test/src/cmd/vgm']:
        path = os.path.join(TOP, path)
        if os.access(path, os.X_OK):
            return path
    sys.exit('run.py: no vgm program; build it first, or name it with --vgm')


def scenarios(names):
    found = []
    for file in sorted(os.listdir(HERE)):
        if file.startswith('test_') and file.endswith('.py'):
            module = importlib.import_module(file[:-3])
            for name, function in vars(module).items():
                full = '%s.%s' % (file[5:-3], name[5:])
                if name.startswith('test_') and callable(function) and (
                        not names or any(word in full for word in names)):
                    found.append((full, function))
    return found


def play(full, function, args, vgm):
    """('ok' | 'FAIL' | 'skip', seconds, text)."""
    begin = time.monotonic()
    scene = Scene(vgm, args.tier, args.sanitized, args.seed, args.keep)
    result, text = 'ok', ''
    try:
        function(scene)
        scene.finish()
        text = '; '.join(scene.counts)
    except Skip as reason:
        result, text = 'skip', str(reason)
    except Exception as error:  # whatever it is, the other scenarios go on
        result = 'FAIL'
        frames = traceback.extract_tb(error.__traceback__)
        place = [f for f in frames if 'harness' not in f.filename and 'run.py' not in f.filename]
        where = '%s:%d: ' % (os.path.basename(place[-1].filename), place[-1].lineno) \
            if place else ''
        text = where + (str(error) or repr(error)) + (
            '' if isinstance(error, AssertionError) else '\n' + traceback.format_exc())
    finally:
        try:
            scene.close()
        except Exception as error:
            result, text = 'FAIL', text + '\nand it could not be cleared away: %r' % error
    if result == 'FAIL' and args.keep:
        text += '\nkept: ' + scene.path
    return result, time.monotonic() - begin, text


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--vgm', help='the program under test')
    parser.add_argument('--tier', choices=['test', 'night', 'release'], default='test')
    parser.add_argument('--sanitized', action='store_true', help='the program is a sanitizer build')
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--seed', type=int, default=int(time.time()))
    parser.add_argument('--keep', action='store_true', help='keep directories of failed ones')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('names', nargs='*', help='parts of names; all when none is given')
    args = parser.parse_args()
    chosen = scenarios(args.names)
    if args.list:
        for full, function in chosen:
            print('%-40s %s' % (full, (function.__doc__ or '').split('\n')[0]))
        return 0
    vgm = find_vgm(args.vgm)
    if args.sanitized:
        chosen = [(full, f) for full, f in chosen if not getattr(f, 'whole_only', False)]
    print('%d scenarios, tier %s, seed %d, %s' % (len(chosen), args.tier, args.seed,
        os.path.relpath(vgm)), flush=True)
    tally = {'ok': 0, 'FAIL': 0, 'skip': 0}

    def report(full, outcome):
        result, seconds, text = outcome
        tally[result] += 1
        print('%-4s %s (%.1f s)%s' % (result, full, seconds, ': ' + text if text else ''),
            flush=True)

    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        waiting = {pool.submit(play, full, f, args, vgm): full
            for full, f in chosen if not getattr(f, 'alone', False)}
        for done in concurrent.futures.as_completed(waiting):
            report(waiting[done], done.result())
    for full, function in chosen:
        if getattr(function, 'alone', False):
            report(full, play(full, function, args, vgm))
    print('%(ok)d passed, %(FAIL)d failed, %(skip)d skipped' % tally)
    return 1 if tally['FAIL'] else 0


if __name__ == '__main__':
    sys.exit(main())
