# SPDX-License-Identifier: EUPL-1.2
"""What a tree of processes costs: CPU, memory, syncs, bytes dirtied. Read from /proc and wait4."""
import os
import re
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'scenario'))
from harness.process import tree  # noqa: E402

TICK = os.sysconf('SC_CLK_TCK')
SYNCS = ('fsync', 'fdatasync', 'sync_file_range', 'syncfs', 'sync', 'msync')


def cpu_seconds(pid):
    """User and system time of pid, of everything under it, and of their dead children."""
    total = 0
    for each in tree(pid) | {pid}:
        try:
            with open('/proc/%d/stat' % each) as stat:
                fields = stat.read().rsplit(')', 1)[1].split()
        except OSError:
            continue
        total += sum(int(fields[i]) for i in (11, 12, 13, 14))
    return total / TICK


def wait_quiet(pid, seconds=15.0):
    """Until the tree has used less than one tick in half a second: views have caught up."""
    limit, last = time.monotonic() + seconds, cpu_seconds(pid)
    while time.monotonic() < limit:
        time.sleep(0.5)
        now = cpu_seconds(pid)
        if now - last <= 1.5 / TICK:
            return
        last = now


def memory_mib(pid):
    """PSS of the tree, and the memory of sealed descriptors that nobody has mapped, in MiB. None
    where /proc does not show it (not root, and the processes are closed to others)."""
    total, seen = 0, set()
    for each in tree(pid) | {pid}:
        try:
            with open('/proc/%d/smaps_rollup' % each) as rollup:
                text = rollup.read()
        except PermissionError:
            return None
        except OSError:
            continue
        found = re.search(r'^Pss:\s+(\d+) kB', text, re.M)
        total += int(found.group(1)) * 1024 if found else 0
        total += _unmapped(each, seen)
    return total / (1 << 20)


def _unmapped(pid, seen):
    """Bytes of memfds that pid holds; each counted once in a whole tree."""
    total = 0
    try:
        names = os.listdir('/proc/%d/fd' % pid)
    except OSError:
        return 0
    for name in names:
        path = '/proc/%d/fd/%s' % (pid, name)
        try:
            if not os.readlink(path).startswith('/memfd:'):
                continue
            status = os.stat(path)
        except OSError:
            continue
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            total += status.st_blocks * 512
    return total


class Peak(threading.Thread):
    """Samples memory_mib while it runs; .value is the largest seen."""

    def __init__(self, pid, every=0.1):
        super().__init__(daemon=True)
        self.pid, self.every, self.value, self.done = pid, every, 0.0, threading.Event()
        self.start()

    def run(self):
        while not self.done.is_set():
            now = memory_mib(self.pid)
            if now is None:
                self.value = None
                return
            self.value = max(self.value, now)
            self.done.wait(self.every)

    def end(self):
        self.done.set()
        self.join()
        return self.value


class SyncCount:
    """A strace around a command, that counts calls which force data to disk."""

    def __init__(self, path):
        self.path = path
        # -D: the command itself stays our child, strace stands aside.
        self.wrapper = ['strace', '-D', '-f', '--seccomp-bpf', '-qq', '-e', 'trace=' + ','.join(SYNCS),
            '-e', 'signal=none', '-o', path]

    def count(self):
        with open(self.path) as lines:
            return sum(1 for line in lines
                if re.search(r'\b(%s)\(' % '|'.join(SYNCS), line) and 'resumed' not in line)


def have(program):
    return subprocess.run(['which', program], capture_output=True, check=False).returncode == 0
