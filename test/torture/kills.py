# SPDX-License-Identifier: EUPL-1.2
"""kill -9 at random moments under load: of the whole tree, and of one process of it. And the lock
that keeps a second instance off the state."""
import os
import signal
import subprocess
import time

from stand import CONNECTIONS, DOMAIN, Failure, Load, Stand

CLIENTS = 8


def run(torture, vgm, directory, count, rng):
    stand = Stand(vgm, directory)
    slowest, most = 0.0, 0
    try:
        for number in range(count):
            before = stand.books.count()['duplicates']
            name = 'kill -9 of the whole tree, number %d' % (number + 1)
            try:
                load = Load(stand, CLIENTS, rng.randrange(1 << 30))
                time.sleep(rng.uniform(0.02, 0.35))
                stand.gateway.kill()
                load.stop()
                slowest = max(slowest, stand.wait_service())
                stand.settle()
                duplicates = stand.books.count()['duplicates'] - before
                most = max(most, duplicates)
                if duplicates > CONNECTIONS:
                    raise Failure('%d duplicates of one kill' % duplicates)
                torture.passed(name)
            except Failure as failure:
                torture.failed(name, failure, stand.gateway.log_path)
                stand.close()
                stand = Stand(vgm, '%s-%d' % (directory, number))
        report(torture, stand, '%d kills of the tree' % count, slowest)
        torture.say('duplicates of one kill: at most %d (in flight: %d)' % (most, CONNECTIONS))
    finally:
        stand.close()


def run_single(torture, vgm, directory, count, rng):
    """One process at a time, of any kind, while the others go on."""
    stand = Stand(vgm, directory)
    slowest = 0.0
    try:
        for number in range(count):
            kinds = stand.roles()
            kind = rng.choice(sorted(kinds))
            name = 'kill -9 of one %s, number %d' % (kind, number + 1)
            try:
                load = Load(stand, CLIENTS, rng.randrange(1 << 30))
                time.sleep(rng.uniform(0.02, 0.2))
                try:
                    os.kill(rng.choice(kinds[kind]), signal.SIGKILL)
                except ProcessLookupError:
                    pass
                time.sleep(rng.uniform(0.0, 0.2))
                load.stop()
                stand.move()
                slowest = max(slowest, stand.wait_service())
                stand.settle()
                torture.passed(name)
            except Failure as failure:
                torture.failed(name, failure, stand.gateway.log_path)
                stand.close()
                stand = Stand(vgm, '%s-%d' % (directory, number))
        report(torture, stand, '%d kills of one process' % count, slowest)
    finally:
        stand.close()


def report(torture, stand, what, slowest):
    counted = stand.books.count()
    torture.say('%s: %d messages sent, %d acknowledged, 0 of them lost, %d without an answer, %d '
        'duplicates, slowest return %.2f s' % (what, counted['sent'], counted['acknowledged'],
            counted['unknown'], counted['duplicates'], slowest))
    try:
        stand.gateway.stop()
        stand.gateway.run('verify', offline=True)
        torture.passed('the ledger verifies after ' + what)
    except Failure as failure:
        torture.failed('the ledger verifies after ' + what, failure, stand.gateway.log_path)


def run_lock(torture, vgm, directory):
    """A second instance is refused (exit 3); after kill -9 of the first the state is free."""
    stand = Stand(vgm, directory)
    name = 'a second instance on the same state is refused'
    try:
        second = subprocess.run([vgm, 'serve', '--domain', DOMAIN, '--listen', '127.0.0.1:0',
            '--submit', '127.0.0.1:0', '--relay', '127.0.0.1:9', '--state', stand.gateway.state],
            capture_output=True, text=True, timeout=20, check=False)
        if second.returncode != 3:
            raise Failure('exit %d: %s' % (second.returncode, second.stderr + second.stdout))
        stand.wait_service()
        stand.settle()
        torture.passed(name)
        name = 'the state is free again after kill -9'
        stand.gateway.kill()
        stand.start()
        stand.wait_service()
        stand.settle()
        torture.passed(name)
    except (Failure, subprocess.TimeoutExpired) as failure:
        torture.failed(name, failure, stand.gateway.log_path)
    finally:
        stand.close()
