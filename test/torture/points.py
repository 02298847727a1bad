# SPDX-License-Identifier: EUPL-1.2
"""SIGKILL and errors at the Nth state-changing system call of a role, by strace, on the release
build (rule 14: strace attaches to running roles, so it needs root or a user name space).

A first pass counts the calls that the standard load makes, role by role: the points that exist. Of
these a sample is tried: first every (role, call, effect) once, then more of them, spread evenly.
Each point: the load runs while the fault waits for its call; afterwards mail is taken again within
some seconds, every acknowledged message has arrived, and an error (not a kill) has killed nobody
and drawn no 5xx."""
import os
import re
import subprocess
import time

from stand import Failure, Load, Stand

CALLS = ('write writev pwrite64 pwritev fsync fdatasync rename renameat renameat2 unlink unlinkat '
    'ftruncate fallocate openat mkdirat memfd_create sendmsg sendto sendfile accept4 socket connect '
    'clone recvmsg recvfrom read pread64 epoll_wait').split()
# A kill is tried where something changes: of files, of other processes, of peers.
KILL_CALLS = set(CALLS) - {'recvmsg', 'recvfrom', 'read', 'pread64', 'epoll_wait'}
ERRORS = {
    'fsync': ('EIO', 'ENOSPC'), 'fdatasync': ('EIO', 'ENOSPC'), 'pwrite64': ('EIO', 'ENOSPC'),
    'pwritev': ('EIO', 'ENOSPC', 'EINTR'), 'writev': ('EINTR', 'ENOSPC'),
    'rename': ('EIO', 'ENOSPC'), 'renameat': ('EIO', 'ENOSPC'), 'unlink': ('EIO',),
    'unlinkat': ('EIO',), 'ftruncate': ('EIO', 'ENOSPC'), 'fallocate': ('ENOSPC', 'EIO'),
    'openat': ('EMFILE', 'ENFILE', 'ENOSPC', 'EIO'), 'memfd_create': ('EMFILE', 'ENFILE'),
    'accept4': ('EMFILE', 'ENFILE', 'ECONNABORTED', 'EINTR'), 'socket': ('EMFILE', 'ENFILE'),
    'connect': ('EADDRNOTAVAIL', 'ECONNREFUSED', 'EINTR'), 'clone': ('EAGAIN', 'ENOMEM'),
    'sendmsg': ('EINTR',), 'sendto': ('EINTR', 'ECONNRESET'), 'recvmsg': ('EINTR',),
    'recvfrom': ('EINTR', 'ECONNRESET'), 'read': ('EINTR',), 'pread64': ('EIO', 'EINTR'),
    'epoll_wait': ('EINTR',),
}
SERVICE_SECONDS = 10
LOAD = {'clients': 3, 'each': 5}


class Tracer:
    """strace on running processes, until stopped."""

    def __init__(self, pids, log_path, *words):
        self.log_path = log_path
        command = ['strace', '-o', log_path, *words]
        for pid in pids:
            command += ['-p', str(pid)]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        attached = 0
        while attached < len(pids):
            line = self.process.stderr.readline()
            if not line or 'Operation not permitted' in line:
                self.stop()
                raise Failure('strace could not attach: ' + line)
            attached += line.rstrip().endswith('attached')

    def text(self):
        with open(self.log_path, errors='replace') as log:
            return log.read()

    def struck(self):
        text = self.text()
        return '(INJECTED)' in text or 'killed by SIGKILL' in text

    def stop(self):
        self.process.terminate()
        self.process.stderr.close()
        self.process.wait()


class Point:
    def __init__(self, kind, call, nth, effect):
        self.kind, self.call, self.nth, self.effect = kind, call, nth, effect

    def __str__(self):
        return '%s at %s %s, number %d' % (self.effect, self.kind, self.call, self.nth)

    def words(self):
        act = 'signal=KILL' if self.effect == 'KILL' else 'error=' + self.effect
        return ['-e', 'trace=' + self.call, '-e', 'inject=%s:%s:when=%d' % (
            self.call, act, self.nth)]


def count_calls(stand, seed):
    """(kind, call) → the most calls that one process of the kind made under the load."""
    roles = stand.roles()
    kind_of = {pid: kind for kind, pids in roles.items() for pid in pids}
    log = os.path.join(stand.gateway.path, 'count.trace')
    tracer = Tracer(list(kind_of), log, '-f', '-e', 'trace=' + ','.join(CALLS))
    try:
        Load(stand, LOAD['clients'], seed, each=LOAD['each']).join()
        stand.settle()
        time.sleep(0.8)  # timers: views in batches, checkpoints
    finally:
        tracer.stop()
    by_process = {}
    for found in re.finditer(r'^(\d+) +(\w+)\(', tracer.text(), re.M):
        pid, call = int(found.group(1)), found.group(2)
        if pid in kind_of:
            by_process[pid, call] = by_process.get((pid, call), 0) + 1
    most = {}
    for (pid, call), count in by_process.items():
        key = kind_of[pid], call
        most[key] = max(most.get(key, 0), count)
    return most


def all_points(counted):
    found = []
    for (kind, call), count in sorted(counted.items()):
        effects = (['KILL'] if call in KILL_CALLS else []) + list(ERRORS.get(call, ()))
        for effect in effects:
            found.append([Point(kind, call, n, effect) for n in range(1, count + 1)])
    return found


def sample(groups, count, rng):
    """Each group once, then again from the start, until there are enough. Small numbers are
    likelier to be reached."""
    groups = [sorted(rng.sample(group, len(group)), key=lambda p: rng.random() * p.nth)
        for group in groups]
    rng.shuffle(groups)
    while groups and count:
        for group in list(groups):
            if not count:
                break
            yield group.pop(0)
            count -= 1
            if not group:
                groups.remove(group)


def deaths(log, since):
    return [line for line in log[since:].splitlines()
        if re.search(r'"event":"role_(died|ended_badly)"', line) or 'vgm: bug' in line]


def strike(stand, point, seed):
    """One point. None when its call did not come; else seconds until mail was taken again."""
    pids = stand.wait_kind(point.kind)
    log_before = len(stand.gateway.log())
    refused_before = {item for item in stand.books.items.values() if (item.answer or 0) >= 500}
    trace = os.path.join(stand.gateway.path, 'point.trace')
    tracer = Tracer(pids, trace, *point.words())
    reached = False
    try:
        for round_ in range(3):
            Load(stand, LOAD['clients'], seed + round_, each=LOAD['each']).join()
            reached = tracer.struck()
            if reached:
                break
            time.sleep(0.1)
    finally:
        tracer.stop()
    if point.kind == 'admit-worker':
        stand.move()
    took = stand.wait_service(SERVICE_SECONDS)
    stand.settle()
    refused = [item for item in stand.books.items.values()
        if (item.answer or 0) >= 500 and item not in refused_before]
    if refused:
        raise Failure('%d messages were refused for good (%d)' % (len(refused), refused[0].answer))
    if point.effect != 'KILL':
        died = deaths(stand.gateway.log(), log_before)
        if died:
            raise Failure('a role died of it: ' + died[0][:400])
    return took if reached else None


def run(torture, vgm, directory, count, rng):
    """Tries `count` points; tells torture of each."""
    stand = Stand(vgm, directory)
    try:
        groups = all_points(count_calls(stand, rng.randrange(1 << 30)))
        existing = sum(map(len, groups))
        tried = unreached = 0
        slowest = 0.0
        for point in sample(groups, existing, rng):
            if tried >= count:
                break
            try:
                took = strike(stand, point, rng.randrange(1 << 30))
            except Failure as failure:
                tried += 1
                torture.failed(str(point), failure, stand.gateway.log_path)
                stand = renew(stand, vgm, directory, tried)
                continue
            if took is None:
                unreached += 1
                continue
            tried += 1
            slowest = max(slowest, took)
            torture.passed(str(point))
        counted = stand.books.count()
        torture.say('points: %d tried of %d existing (%d more not reached), %d messages '
            'acknowledged, %d duplicates, slowest return %.2f s' % (tried, existing, unreached,
                counted['acknowledged'], counted['duplicates'], slowest))
        finish(torture, stand)
    finally:
        stand.close()


def renew(stand, vgm, directory, number):
    """A fresh stand after a failure, so that the next point is judged alone."""
    stand.close()
    return Stand(vgm, '%s-%d' % (directory, number))


def finish(torture, stand):
    try:
        stand.gateway.stop()
        stand.gateway.run('verify', offline=True)
        torture.passed('the ledger verifies after all points')
    except Failure as failure:
        torture.failed('the ledger verifies after all points', failure, stand.gateway.log_path)


# ---- while starting ----

START_CALLS = ('pwrite64 pwritev write fsync fdatasync renameat rename unlinkat unlink ftruncate '
    'fallocate mkdirat openat').split()


def count_start(vgm, directory, prepared):
    """call → the most that one process makes of it while starting on the prepared state."""
    log = directory + '.trace'
    stand = start_on(vgm, directory, prepared, ['strace', '-f', '-o', log, '-e',
        'trace=' + ','.join(START_CALLS)], wait=True)
    stand.close()
    counts = {}
    with open(log, errors='replace') as text:
        for found in re.finditer(r'^(\d+) +(\w+)\(', text.read(), re.M):
            counts[found.groups()] = counts.get(found.groups(), 0) + 1
    most = {}
    for (_, call), count in counts.items():
        most[call] = max(most.get(call, 0), count)
    return most


def start_on(vgm, directory, prepared, wrapper, wait):
    """A stand that starts on a copy of the prepared one's state, under strace."""
    subprocess.run(['rm', '-rf', directory], check=True)
    os.makedirs(directory)
    if prepared.copy_from:
        subprocess.run(['cp', '-a', '--sparse=always', prepared.copy_from,
            os.path.join(directory, 'state')], check=True)
    for item in prepared.waiting:
        item.arrived.clear()
    stand = Stand(vgm, directory, sink=prepared.sink, books=prepared.books, start=False,
        wrapper=wrapper)
    try:
        stand.gateway.start(4 if wait else 1.5)
    except Failure:
        if wait:
            raise
    return stand


class Prepared:
    """A state with mail in its queue, or (empty) none at all."""

    def __init__(self, vgm, directory, empty):
        stand = Stand(vgm, directory)
        self.sink, self.books, self.copy_from = stand.sink, stand.books, None
        if not empty:
            self.sink.stop()
            Load(stand, 2, 7, each=10).join()
            stand.gateway.stop()
            self.copy_from = stand.gateway.state
        else:
            stand.gateway.kill()
        self.waiting = [item for item in self.books.acknowledged() if not item.arrived]
        if self.copy_from:
            self.sink.start()

    def settle(self, stand):
        stand.start()
        stand.settle()
        stand.gateway.stop()
        stand.gateway.run('verify', offline=True)


def run_start(torture, vgm, directory, count, rng):
    """Kills at the Nth call of any process while the gateway starts: then it starts whole."""
    existing = tried = 0
    for empty in (True, False):
        prepared = Prepared(vgm, '%s-%s' % (directory, 'empty' if empty else 'full'), empty)
        counts = count_start(vgm, directory + '-count', prepared)
        points = [(call, n) for call, most in sorted(counts.items()) for n in range(1, most + 1)]
        existing += len(points)
        for call, nth in sorted(rng.sample(points, min(len(points), count // 2))):
            name = 'KILL at start (%s state) at %s, number %d' % (
                'no' if empty else 'full', call, nth)
            tried += 1
            try:
                stand = start_on(vgm, directory, prepared, ['strace', '-f', '-o', '/dev/null',
                    '-e', 'trace=' + call, '-e', 'inject=%s:signal=KILL:when=%d' % (call, nth)],
                    wait=False)
                stand.gateway.kill()
                stand.gateway.wrapper = []
                prepared.settle(stand)
                torture.passed(name)
            except Failure as failure:
                torture.failed(name, failure, stand.gateway.log_path)
            finally:
                stand.gateway.kill()
        prepared.sink.stop()
    torture.say('points while starting: %d tried of %d existing' % (tried, existing))
