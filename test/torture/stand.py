# SPDX-License-Identifier: EUPL-1.2
"""The stand of every torture: one gateway, one sink behind it, clients in front, and the books.

Each message has a recipient of its own, so that its fate is looked up, not searched. The books
know three answers of the gateway: acknowledged (250), refused (4xx, 5xx), unknown (the session
broke before the answer). The oracle: what was acknowledged arrives, byte for byte behind whole
trace headers; what was refused with 5xx never does; nothing arrives that nobody sent."""
import base64
import collections
import itertools
import os
import random
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'scenario'))

from harness.accounting import split_trace  # noqa: E402
from harness.gateway import DOMAIN, Gateway  # noqa: E402
from harness.process import Failure, parents, tree, wait_until  # noqa: E402
from harness.sink import Sink  # noqa: E402
from harness.smtp import Client, stuff  # noqa: E402

__all__ = ['DOMAIN', 'Books', 'Failure', 'Load', 'Stand', 'tree', 'wait_until']

# Small enough that segments change and reserves are met within a test.
OPTIONS = {
    'ledger': {'segment_size': '1M', 'reserve': '1M', 'checkpoint_every': '1s'},
    'filter': {'admit': 2, 'render': 2, 'show': 1},
    'queue': {'retry': ['1s', '1s', '2s'], 'in_flight': 50},
    'devices': {'listen': []},
    'log': {'level': 'info'},
}
CONNECTIONS = 20  # of the route: what can be on its way out at a kill
_numbers = itertools.count(1)


class Item:
    __slots__ = ('number', 'data', 'answer', 'at', 'arrived', 'faulty')

    def __init__(self, number, data):
        self.number, self.data = number, data
        self.answer = None      # None: unknown; else the code of the last reply
        self.at = None          # when the answer was read (wall clock)
        self.arrived = []       # when the sink had it
        self.faulty = None      # what was wrong with what arrived

    @property
    def recipient(self):
        return 'p%d@%s' % (self.number, DOMAIN)


class Books:
    def __init__(self):
        self.items, self.strays = {}, []
        self._lock = threading.Lock()

    def new(self, rng, size=None):
        number = next(_numbers)
        size = size or rng.choice((300, 900, 4000, 4000, 20000, 70000))
        head = ('From: <a@partenaire.example>\r\nTo: <p%d@%s>\r\nSubject: torture %d\r\n'
            'Message-ID: <%d.torture@partenaire.example>\r\n\r\n' % (number, DOMAIN, number,
                number)).encode()
        # What hardly packs: the size on disk is known.
        body = base64.encodebytes(rng.randbytes(max(1, (size - len(head)) * 3 // 4)))
        item = Item(number, head + body.replace(b'\n', b'\r\n'))
        with self._lock:
            self.items[item.recipient] = item
        return item

    def note_delivery(self, delivery):
        if delivery.acknowledged:
            for address in delivery.addresses():
                self._note(address, delivery)

    def _note(self, address, delivery):
        item = self.items.get(address.lower())
        if item is None:
            self.strays.append('%s, from <%s>' % (address, delivery.sender))
            return
        if split_trace(delivery.data, item.data) is None:
            item.faulty = '%d bytes arrived, not the %d that were sent' % (
                len(delivery.data), len(item.data))
        item.arrived.append(delivery.at)

    def acknowledged(self):
        with self._lock:
            return [item for item in self.items.values() if item.answer == 250]

    def missing(self):
        return [item for item in self.acknowledged() if not item.arrived]

    def count(self):
        """Counter of fates."""
        with self._lock:
            items = list(self.items.values())
        found = collections.Counter(sent=len(items))
        for item in items:
            found['acknowledged'] += item.answer == 250
            found['refused'] += item.answer is not None and item.answer != 250
            found['unknown'] += item.answer is None
            found['duplicates'] += max(0, len(item.arrived) - 1)
        return found

    def problems(self):
        """What is wrong, apart from what has not arrived yet."""
        found = ['nobody sent: ' + stray for stray in self.strays]
        with self._lock:
            items = list(self.items.values())
        for item in items:
            if item.faulty:
                found.append('message %d: %s' % (item.number, item.faulty))
            if item.arrived and item.answer is not None and item.answer >= 500:
                found.append('message %d arrived though refused with %d' % (
                    item.number, item.answer))
        return found


def post(stand, item):
    """One message in a session of its own. Notes the answer when there is one. Raises OSError or
    Failure when the session broke."""
    session = Client(stand.gateway.receive, timeout=15, source=stand.source)
    try:
        if session.greeting.code != 220:
            item.answer, item.at = session.greeting.code, time.time()
            return
        session.expect('EHLO torture.test', 250)
        for command in ('MAIL FROM:<a@partenaire.example>', 'RCPT TO:<%s>' % item.recipient,
                'DATA'):
            reply = session.command(command)
            if reply.code >= 400:
                item.answer, item.at = reply.code, time.time()
                return
        session.send(stuff(item.data) + b'.\r\n')
        reply = session.reply()
        item.answer, item.at = reply.code, time.time()
    finally:
        session.close()


class Load:
    """Clients that send until stopped (or until each has sent `each` messages)."""

    def __init__(self, stand, clients, seed, each=None, size=None, pause=0.0):
        self.stand, self.each, self.size, self.pause = stand, each, size, pause
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(random.Random(seed * 100 + i),),
            daemon=True) for i in range(clients)]
        for thread in self.threads:
            thread.start()

    def _run(self, rng):
        sent = 0
        while not self.ending.is_set() and (self.each is None or sent < self.each):
            sent += 1
            try:
                post(self.stand, self.stand.books.new(rng, self.size))
            except (OSError, Failure):
                time.sleep(0.02)
            if self.pause:
                time.sleep(self.pause)

    def stop(self):
        self.ending.set()
        self.join()

    def join(self, seconds=60):
        for thread in self.threads:
            thread.join(seconds)
            if thread.is_alive():
                raise Failure('a client hangs')


class Stand:
    def __init__(self, vgm, directory, options=None, wrapper=(), sink=None, start=True,
            books=None):
        os.makedirs(directory, exist_ok=True)
        self.books = books or Books()
        self.own_sink = sink is None
        self.sink = sink or Sink(on_delivery=self.books.note_delivery)
        self.source = '127.0.0.1'
        merged = {key: dict(value) for key, value in OPTIONS.items()}
        for key, value in (options or {}).items():
            merged[key] = dict(merged.get(key, {}), **value) if isinstance(value, dict) else value
        merged['routes'] = [{'name': 'main', 'domains': ['*'], 'to': [self.sink.hostport()],
            'connections': CONNECTIONS}]
        self.gateway = Gateway(vgm, directory, options=merged, wrapper=wrapper)
        if start:
            self.start()

    def start(self):
        """Returns when every role serves, not only the doors: the master has said so in a line for
        people, which names the port."""
        path = self.gateway.log_path
        before = os.path.getsize(path) if os.path.exists(path) else 0
        self.gateway.start()

        def said():
            with open(path, errors='replace') as log:
                log.seek(before)
                return any(':%d' % self.gateway.receive in line and not line.startswith('{')
                    for line in log)
        wait_until('the line that says ready', said, 10)

    def restart(self):
        self.gateway.stop()
        self.start()

    def close(self):
        self.gateway.kill()
        if self.own_sink:
            self.sink.stop()

    def move(self):
        """Clients come from another network: ten dead filters an hour put one off (rule 12)."""
        octets = self.source.split('.')
        octets[2] = str(int(octets[2]) % 250 + 1)
        self.source = '.'.join(octets)

    # ---- service ----

    def serves(self):
        """A probe that is acknowledged."""
        item = self.books.new(random.Random(0), 300)
        try:
            post(self, item)
        except (OSError, Failure):
            pass
        return item.answer == 250

    def wait_service(self, seconds=10.0):
        """Seconds until mail is taken again; the gateway is started again when it has ended."""
        begin = time.monotonic()
        while True:
            if not self.gateway.process or not self.gateway.process.alive():
                self.gateway.kill()
                self.start()
            if self.serves():
                return time.monotonic() - begin
            if time.monotonic() - begin > seconds:
                raise Failure('mail is not taken %g s after the fault' % seconds)
            time.sleep(0.02)

    def settle(self, seconds=20.0, duplicates=None):
        """The oracle: waits until everything acknowledged has arrived."""
        def arrived():
            missing = self.books.missing()
            return not missing, '%d acknowledged messages have not arrived, the first: %d' % (
                len(missing), missing[0].number if missing else 0)
        wait_until('delivery of all that was acknowledged', arrived, seconds, 0.02)
        problems = self.books.problems() + self.sink.faults
        counted = self.books.count()
        if duplicates is not None and counted['duplicates'] > duplicates:
            problems.append('%d duplicates, %d allowed' % (counted['duplicates'], duplicates))
        if problems:
            raise Failure('; '.join(problems[:5]))
        return counted

    # ---- who is who ----

    def roles(self):
        """Pids by kind: 'master', 'smtpd', 'keyd', 'keyd-tls', 'ledgerd', ..., and for the pools
        'admit' (the template) and 'admit-worker'."""
        table, found = parents(), collections.defaultdict(list)
        master = self.master()
        found['master'] = [master]
        for pid in sorted(tree(master)):
            parent, _, line = table.get(pid, (0, '', ''))
            words = line.split()
            if '--role' not in words:
                continue
            name = words[words.index('--role') + 1]
            if parent != master:
                name += '-worker'
            elif name == 'keyd' and self._uses(pid, 'keys-tls'):
                name = 'keyd-tls'
            elif name == 'smtpd' and not self._listens(pid, self.gateway.receive):
                name = 'smtpd-submit'
            found[name].append(pid)
        return found

    def wait_kind(self, kind, seconds=5):
        """Pids of a kind; it may be on its way back from the fault before."""
        found = []

        def look():
            found[:] = self.roles().get(kind, [])
            return bool(found)
        wait_until('a process of the kind ' + kind, look, seconds)
        return found

    def master(self):
        pid = self.gateway.process.pid
        if not self.gateway.wrapper:
            return pid
        under = [each for each, (_, _, line) in parents().items()
            if each in tree(pid) and ' serve ' in line and '--role' not in line]
        return under[0] if under else pid

    @staticmethod
    def _uses(pid, name):
        links = []
        try:
            for fd in os.listdir('/proc/%d/fd' % pid):
                links.append(os.readlink('/proc/%d/fd/%s' % (pid, fd)))
        except OSError:
            pass
        return any(os.path.basename(link) == name for link in links)

    @staticmethod
    def _listens(pid, port):
        wanted = set()
        with open('/proc/net/tcp') as table:
            for line in table.readlines()[1:]:
                words = line.split()
                if words[3] == '0A' and int(words[1].split(':')[1], 16) == port:
                    wanted.add('socket:[%s]' % words[9])
        try:
            return any(os.readlink('/proc/%d/fd/%s' % (pid, fd)) in wanted
                for fd in os.listdir('/proc/%d/fd' % pid))
        except OSError:
            return False
