# SPDX-License-Identifier: EUPL-1.2
"""One process that a test started: its output in a file, stopped by its pid, never by a name."""
import os
import signal
import subprocess
import time


class Failure(AssertionError):
    """What a scenario expected did not happen; the text says what did."""


def wait_until(what, check, seconds=10.0, step=0.02):
    """Calls check until it returns something true, and returns that. what names it in the
    failure; check may return (False, detail)."""
    limit = time.monotonic() + seconds
    while True:
        result = check()
        good = result[0] if isinstance(result, tuple) else result
        if good:
            return result
        if time.monotonic() > limit:
            detail = ': %s' % (result[1],) if isinstance(result, tuple) else ''
            raise Failure('%s: not within %g s%s' % (what, seconds, detail))
        time.sleep(step)


class Process:
    def __init__(self, command, log_path, env=None, cwd=None):
        self.command = [str(word) for word in command]
        self.log_path = log_path
        self.started = time.time()
        with open(log_path, 'ab') as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, cwd=cwd, env=dict(os.environ, **(env or {})),
                start_new_session=True)
        self.pid = self.process.pid

    def alive(self):
        return self.process.poll() is None

    def log(self):
        with open(self.log_path, errors='replace') as log:
            return log.read()

    def stop(self, seconds=15.0):
        """SIGTERM and wait; returns the exit code. Cuts it with SIGKILL when it does not obey,
        and that is a failure."""
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Failure('%s did not stop within %g s of SIGTERM' % (
                os.path.basename(self.command[0]), seconds)) from None

    def kill(self):
        """SIGKILL for everything under our pid and for itself; returns when all of it is gone."""
        pids = [*tree(self.pid), self.pid]
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        wait_until('the end after SIGKILL', lambda: not set(pids) & set(parents()), 10)


def parents():
    """pid → (parent's pid, name, command line) of every process that runs and can be read; the dead
    that nobody has waited for yet are left out."""
    found = {}
    for entry in os.listdir('/proc'):
        if not entry.isdigit():
            continue
        try:
            with open('/proc/%s/stat' % entry) as stat:
                text = stat.read()
            with open('/proc/%s/cmdline' % entry, 'rb') as line:
                words = line.read().split(b'\0')
        except OSError:
            continue
        name = text[text.index('(') + 1:text.rindex(')')]
        state, parent = text[text.rindex(')') + 2:].split()[:2]
        if state == 'Z':
            continue
        found[int(entry)] = (int(parent), name,
            b' '.join(words).decode(errors='replace').strip())
    return found


def tree(pid):
    """Pids of everything under pid, without itself."""
    table, under, grew = parents(), {pid}, True
    while grew:
        more = {child for child, (parent, _, _) in table.items()
            if parent in under and child not in under}
        under |= more
        grew = bool(more)
    return under - {pid}
