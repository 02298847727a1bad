# SPDX-License-Identifier: EUPL-1.2
"""What a scenario is given: Scene. It starts what the scenario asks for, in a temporary directory,
and at the end stops all of it and asks the questions that every scenario must answer: do the
accounts agree, did anything crash, does the ledger verify, is no process left."""
import os
import shutil
import tempfile

from .accounting import Accounts
from .certificates import Authority
from .gateway import CRASH, Gateway
from .process import Failure, parents, tree, wait_until
from .sink import Sink

def alive(pids):
    """(none of them is left, those that are)."""
    table = parents()
    left = [(pid, table[pid][2]) for pid in pids if pid in table]
    return not left, left


class Skip(Exception):
    """The scenario cannot run here; the text says why."""


class Scene:
    def __init__(self, vgm, tier, sanitized, seed, keep=False):
        self.vgm, self.tier, self.sanitized, self.seed = vgm, tier, sanitized, seed
        self.path = tempfile.mkdtemp(prefix='vgm-scenario-')
        os.chmod(self.path, 0o755)
        self.accounts = Accounts()
        self.gateways, self.sinks, self.others = [], [], []
        self.settled = False
        self.keep = keep
        self.crash_expected = False
        self._authority = None
        self.counts = []

    # ---- things to start ----

    def directory(self, name):
        path = os.path.join(self.path, name)
        os.makedirs(path, exist_ok=True)
        return path

    def sink(self, *words, **options):
        self.sinks.append(Sink(*words, **options))
        return self.sinks[-1]

    def gateway(self, relay=None, start=True, **options):
        """A gateway that relays to the sink `relay` (a Sink, "HOST:PORT", or None)."""
        if hasattr(relay, 'hostport'):
            relay = relay.hostport()
        made = Gateway(self.vgm, self.directory('gateway%d' % len(self.gateways)), relay,
            sanitized=self.sanitized, **options)
        self.gateways.append(made)
        return made.start() if start else made

    def pair(self, **options):
        """(gateway, sink): everything goes to the sink."""
        sink = self.sink()
        return self.gateway(sink, **options), sink

    def authority(self):
        if not self._authority:
            self._authority = Authority(self.directory('authority'))
        return self._authority

    def add(self, thing):
        """Something else to stop at the end."""
        self.others.append(thing)
        return thing

    def by_tier(self, test, night, release=None):
        return {'test': test, 'night': night, 'release': release or night}[self.tier]

    def count(self, text):
        """A line for the report: what was tried of what exists."""
        self.counts.append(text)

    # ---- the end ----

    def settle(self, **options):
        """The accounting oracle over all gateways and sinks. Every scenario calls it, once all
        was sent."""
        self.settled = True
        return self.accounts.check(self.gateways, self.sinks, **options)

    def finish(self):
        """Stops everything; raises Failure when something is not as it must be after any
        scenario."""
        problems = []
        for gateway in self.gateways:
            problems += self._finish_gateway(gateway)
        if self.gateways and not self.settled:
            problems.append('the scenario never asked whether the accounts agree')
        if problems:
            raise Failure('; '.join(problems))

    def _finish_gateway(self, gateway):
        problems = []
        if gateway.process:
            under = tree(gateway.process.pid)
            try:
                gateway.stop()
            except Failure as failure:
                problems.append(str(failure))
            try:
                wait_until('the end of every process', lambda: alive(under), 2)
            except Failure as failure:
                problems.append(str(failure))
        log = gateway.log() if os.path.exists(gateway.log_path) else ''
        found = CRASH.search(log)
        if found and not self.crash_expected:
            problems.append('the log speaks of a crash: ' + log[found.start():][:1500])
        if gateway.served:
            try:
                gateway.run('verify', offline=True)
            except Failure as failure:
                problems.append(str(failure))
        return problems

    def close(self):
        for gateway in self.gateways:
            gateway.kill()
        for thing in self.others:
            thing.stop()
        for sink in self.sinks:
            sink.stop()
        if not self.keep:
            shutil.rmtree(self.path, ignore_errors=True)


def alone(function):
    """Marks a scenario that measures time or memory, or fills the machine."""
    function.alone = True
    return function


def whole_only(function):
    """Marks a scenario that makes no sense, or takes too long, on a sanitizer build."""
    function.whole_only = True
    return function


def expect(good, text):
    if not good:
        raise Failure(text() if callable(text) else text)
