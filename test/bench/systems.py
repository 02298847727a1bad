# SPDX-License-Identifier: EUPL-1.2
"""The two systems that are measured: the gateway and a bare Postfix relay, each started fresh in
a directory of its own, relaying to the bench's sink. Bench needs root: Postfix does."""
import ctypes
import json
import mmap
import os
import signal
import struct
import subprocess
import time

import account  # first: it makes the harness importable
from harness import postfix
from harness.gateway import greets
from harness.ports import free_port
from harness.process import Failure, Process, wait_until


class Gateway:
    name = 'vgm'

    def __init__(self, vgm):
        self.vgm = vgm

    def start(self, directory, relay, wrapper=()):
        self.directory, self.relay, self.wrapper = directory, relay, list(wrapper)
        self.port = free_port()
        self.begin()

    def begin(self):
        # Waits are short, so that a queue of mail that could not go out is tried again soon.
        config = os.path.join(self.directory, 'vgm.yaml')
        host, port = self.relay.rsplit(':', 1)
        with open(config, 'w') as file:
            file.write('hostname: gw.dest.test\ndomains: [dest.test]\nlanguage: en\n'
                'state: %s\nreceive: {listen: ["127.0.0.1:%d"]}\nsubmit: {listen: []}\n'
                'queue: {retry: ["1s", "2s"]}\n'
                'routes:\n  - {name: main, domains: ["*"], to: ["%s:%s"], connections: 50}\n' % (
                    os.path.join(self.directory, 'state'), self.port, host, port))
        os.makedirs(os.path.join(self.directory, 'state'), exist_ok=True)
        self.process = Process([*self.wrapper, self.vgm, 'serve', '--config', config],
            os.path.join(self.directory, 'log'))

    def wait_ready(self):
        def check():
            if not self.process.alive():
                raise Failure('vgm ended: ' + self.process.log()[-1500:])
            return greets(self.port)
        wait_until('vgm ready', check, 60, 0.01)

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        """Returns the bytes that the whole life dirtied."""
        return reap(self.process, self.process.pid)


class Postfix:
    name = 'postfix'

    def start(self, directory, relay, wrapper=()):
        os.chmod(directory, 0o755)
        self.postfix = postfix.Postfix(directory, relay=relay, wrapper=wrapper, options={
            'relay_domains': 'dest.test', 'smtputf8_enable': 'no', 'mydestination': '',
            'minimal_backoff_time': '1s', 'maximal_backoff_time': '2s', 'queue_run_delay': '1s',
            'qmgr_message_active_limit': '20000', 'qmgr_message_recipient_limit': '20000'})

    def begin(self):
        self.postfix.start(wait=False)

    def wait_ready(self):
        wait_until('postfix ready', lambda: greets(self.port), 120, 0.01)

    @property
    def port(self):
        return self.postfix.port

    @property
    def pid(self):
        return self.postfix.process.pid

    @property
    def process(self):
        return self.postfix.process

    def stop(self):
        with open(os.path.join(self.postfix.spool, 'pid/master.pid')) as file:
            return reap(self.postfix.process, int(file.read()))


def become_subreaper():
    """Orphans of what we measure come to us, so that what they did is counted."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(36, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), 'PR_SET_CHILD_SUBREAPER')


def reap(process, head):
    """Stops the tree of a process by SIGTERM to its head; returns the bytes that it dirtied, dead
    children included (rusage's oublock)."""
    under = account.tree(process.pid) | {process.pid}
    os.kill(head, signal.SIGTERM)
    dirtied, limit = 0, time.monotonic() + 60
    while under:
        for pid in list(under):
            try:
                done, status, usage = os.wait4(pid, os.WNOHANG)
            except ChildProcessError:  # not ours: waited for by its own parent, or not an orphan yet
                if not os.path.exists('/proc/%d' % pid):
                    under.discard(pid)
                continue
            if done:
                under.discard(pid)
                dirtied += usage.ru_oublock * 512
                if pid == process.pid:
                    process.process.returncode = os.waitstatus_to_exitcode(status)
        if time.monotonic() > limit:
            for pid in under:
                os.kill(pid, signal.SIGKILL)
            raise Failure('%s did not stop' % process.command[0])
        time.sleep(0.01)
    return dirtied


class Sink:
    """The counting sink, and its counters."""

    def __init__(self, program, directory, limit=2000000):
        self.program, self.limit = program, limit
        self.path = os.path.join(directory, 'counters')
        self.port = free_port()
        self.process = None
        self.start()

    def start(self):
        if os.path.exists(self.path):
            os.remove(self.path)
        self.process = subprocess.Popen([self.program, str(self.port), self.path, str(self.limit)])
        wait_until('sink', lambda: greets(self.port), 10)
        with open(self.path, 'rb') as file:
            self.map = mmap.mmap(file.fileno(), 40, prot=mmap.PROT_READ)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def read(self):
        """messages, duplicates, unnumbered, first and last acknowledgement (monotonic seconds)."""
        values = struct.unpack('=5Q', self.map[:40])
        return values[0], values[1], values[2], values[3] / 1e9, values[4] / 1e9

    def wait(self, count, seconds):
        wait_until('%d at the sink' % count, lambda: (self.read()[0] >= count, self.read()[0]),
            seconds, 0.01)

    def hostport(self):
        return '127.0.0.1:%d' % self.port


class Load:
    """The load generator; numbers go on from run to run, so that the sink sees what comes twice."""

    def __init__(self, program):
        self.program, self.next = program, 0

    def run(self, port, sessions, count, body, per_connection=20):
        done = subprocess.run([self.program, str(port), str(sessions), str(count),
            str(per_connection), str(self.next), body], capture_output=True, text=True,
            check=False, timeout=1800)
        self.next += count
        if done.returncode != 0:
            raise Failure('load: ' + done.stderr)
        result = json.loads(done.stdout)
        if result['accepted'] != count:
            raise Failure('load: %s of %d accepted' % (result, count))
        return result

    def idle(self, port, sessions, body):
        """A process that holds so many idle sessions; close its stdin to end it."""
        process = subprocess.Popen([self.program, str(port), str(sessions), '0', '1', '0', body],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        result = json.loads(process.stdout.readline())
        if result['idle'] != sessions:
            process.kill()
            raise Failure('only %d of %d idle sessions' % (result['idle'], sessions))
        return process


__all__ = ['Gateway', 'Postfix', 'Sink', 'Load', 'account']
