#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""Figures of the gateway beside a bare Postfix relay, measured in turns in one run.

Both receive the same mail from the same generator over loopback and relay it to the same sink;
Postfix only passes it on, the gateway seals it as well. One line a figure: name, our value, unit,
Postfix's value, ratio, target, met or missed; the same as JSON in var/bench.json. Losses, latency
and memory gate (exit 1 when missed); CPU, syncs and bytes are what we work towards.

    bench.py [--build DIR] [--quick] [--only cpu,syncs,dirtied,latency,memory,restart]
"""
import argparse
import base64
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
os.environ.setdefault('VGM_TEST_PORTS', '22000-22999')

import account  # noqa: E402
import systems  # noqa: E402
from harness.process import Failure, wait_until  # noqa: E402

SIZES = {'4 KB': 4096, '50 KB': 51200, '1 MB': 1 << 20}
GATES = ('lost', 'latency', 'memory', 'restart')
WORDS = ('le la les une des dans pour avec patient service dossier compte rendu examen biologie '
    'imagerie rendez-vous consultation urgence traitement ordonnance résultat médecin infirmière '
    'réunion planning équipe bloc pharmacie laboratoire demande merci cordialement bonjour').split()


def make_body(path, size, seed):
    """MIME mail of about that size: French text, and for larger ones a base64 attachment that does
    not compress, as scans and PDFs do not."""
    rng = random.Random(seed)
    text = []
    while sum(map(len, text)) < min(size, 4096) - 900:
        text.append(' '.join(rng.choice(WORDS) for _ in range(10)) + '\r\n')
    head = ('MIME-Version: 1.0\r\nDate: Mon, 23 Nov 2026 09:00:00 +0100\r\n'
        'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
        'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n')
    parts = [head, *text]
    if size > 5000:
        parts.append('\r\n--b\r\nContent-Type: application/pdf; name="cr.pdf"\r\n'
            'Content-Transfer-Encoding: base64\r\n\r\n')
        missing = size - sum(len(p.encode()) for p in parts) - 50
        raw = rng.randbytes(missing * 57 // 78)
        parts += [base64.b64encode(raw[i:i + 57]).decode() + '\r\n' for i in range(0, len(raw), 57)]
    parts.append('--b--\r\n.\r\n')
    with open(path, 'wb') as body:
        body.write(''.join(parts).encode())


class Bench:
    def __init__(self, args, directory):
        self.args, self.path = args, directory
        self.figures = []
        self.lost = 0
        self.bodies = {}
        for number, (name, size) in enumerate(SIZES.items()):
            self.bodies[name] = os.path.join(directory, 'body%d' % number)
            make_body(self.bodies[name], size, number)
        programs = {}
        for name in ('load', 'sink'):
            programs[name] = os.path.join(directory, name)
            subprocess.run(['cc', '-std=gnu17', '-D_GNU_SOURCE', '-O2', '-o', programs[name],
                os.path.join(HERE, name + '.c')], check=True)
        self.load = systems.Load(programs['load'])
        self.sink = systems.Sink(programs['sink'], directory)
        self.runs = 0

    def scale(self, count):
        return max(20, count // 10) if self.args.quick else count

    # ---- one run of one system ----

    def fresh(self, kind, wrapper=()):
        """A started system of that kind, in a new directory."""
        self.runs += 1
        directory = os.path.join(self.path, '%s%d' % (kind, self.runs))
        os.makedirs(directory)
        system = systems.Gateway(self.args.vgm) if kind == 'vgm' else systems.Postfix()
        system.start(directory, self.sink.hostport(), wrapper)
        system.wait_ready()
        return system

    def push(self, system, sessions, count, size):
        """Sends and waits until all is delivered; returns the generator's result."""
        before = self.sink.read()[0]
        result = self.load.run(system.port, sessions, count, self.bodies[size])
        try:
            self.sink.wait(before + count, 120)
        except Failure:
            missing = before + count - self.sink.read()[0]
            self.lost += missing if system.name == 'vgm' else 0
            print('    %s: %d messages never arrived' % (system.name, missing), flush=True)
        return result

    def both(self, measure):
        """(ours, Postfix's) of a measure, the order turned each time."""
        kinds = ['vgm', 'postfix'] if self.runs % 2 == 0 else ['postfix', 'vgm']
        found = {kind: measure(kind) for kind in kinds}
        return found['vgm'], found['postfix']

    # ---- lines ----

    def figure(self, group, name, value, unit, peer=None, target=None, ratio_target=None):
        """One line. target: our value may not be above it; ratio_target: the same for the ratio."""
        ratio = value / peer if peer and value is not None else None
        measured, aimed = (ratio, ratio_target) if ratio_target is not None else (value, target)
        met = None  # compared as shown: a sync too many in two thousand mails is not a miss
        if measured is not None and aimed is not None:
            met = round(measured, 2) <= aimed
        entry = {'group': group, 'name': name, 'value': value, 'unit': unit, 'peer': peer,
            'ratio': ratio, 'target': target, 'ratio_target': ratio_target, 'met': met}
        self.figures.append(entry)
        aim = '≤ %g × Postfix' % ratio_target if ratio_target is not None else (
            '≤ %g' % target if target is not None else '-')
        word = {True: 'met', False: 'MISSED', None: '-'}[met]
        print('%-38s %10s %-5s Postfix %10s  ratio %6s  target %-14s %s' % (name, show(value), unit,
            show(peer), show(ratio), aim, word), flush=True)

    # ---- figures ----

    def cpu(self):
        """CPU ms per mail, delivered and quiet, in three rounds that take turns."""
        counts = {'4 KB': 3000, '50 KB': 1500, '1 MB': 200}
        targets = {'4 KB': 0.5, '50 KB': 0.5, '1 MB': 0.8}
        rounds = 1 if self.args.quick else 3

        def measure(kind, size, sessions):
            system = self.fresh(kind)
            try:
                self.push(system, sessions, max(sessions, 20), size)  # everything is loaded once
                account.wait_quiet(system.pid)
                before, count = account.cpu_seconds(system.pid), self.scale(counts[size])
                self.push(system, sessions, count, size)
                account.wait_quiet(system.pid)
                return 1000 * (account.cpu_seconds(system.pid) - before) / count
            finally:
                system.stop()
        for size in SIZES:
            for sessions in (1, 10, 50):
                pairs = [self.both(lambda kind: measure(kind, size, sessions))
                    for _ in range(rounds)]
                self.figure('cpu', 'CPU per mail, %s, %d sessions' % (size, sessions),
                    statistics.median(p[0] for p in pairs), 'ms',
                    statistics.median(p[1] for p in pairs), ratio_target=targets[size])

    def syncs(self):
        """Syncs per accepted mail, counted by strace in a run of its own."""
        def measure(kind, sessions):
            trace = account.SyncCount(os.path.join(self.path, 'syncs%d' % self.runs))
            system = self.fresh(kind, trace.wrapper)
            try:
                self.push(system, sessions, sessions, '4 KB')
                time.sleep(0.5)
                before, count = trace.count(), self.scale(2000)
                self.push(system, sessions, count, '4 KB')
                time.sleep(0.5)
                return (trace.count() - before) / count
            finally:
                system.stop()
        for sessions, target in ((1, 1.0), (50, 0.1)):
            ours, peer = self.both(lambda kind: measure(kind, sessions))
            self.figure('syncs', 'syncs per mail, %d sessions' % sessions, ours, '', peer, target)

    def dirtied(self):
        """KB dirtied per mail at 10 sessions: a life with mail less a life without."""
        def life(kind, count, size):
            system = self.fresh(kind)
            if count:
                self.push(system, 10, count, size)
                account.wait_quiet(system.pid)
            return system.stop()

        def measure(kind, count, size):
            return (life(kind, count, size) - life(kind, 0, size)) / count / 1024
        for size, count, target in (('4 KB', 6000, 8), ('50 KB', 2000, 48), ('1 MB', 200, 900)):
            ours, peer = self.both(lambda kind: measure(kind, self.scale(count), size))
            self.figure('dirtied', 'KB dirtied per mail, %s' % size, ours, 'KB', peer, target)

    def latency(self):
        """Time from the end of data to its 250, one session, 4 KB."""
        def measure(kind):
            system = self.fresh(kind)
            try:
                self.push(system, 1, 20, '4 KB')
                return self.push(system, 1, self.scale(2000), '4 KB')
            finally:
                system.stop()
        ours, peer = self.both(measure)
        for name, target in (('p50', 2), ('p95', 5), ('p99', None)):
            self.figure('latency', 'dot to 250, one session, ' + name, ours[name] / 1000, 'ms',
                peer[name] / 1000, target)

    def memory(self):
        """Largest memory of the tree: 50 sessions of 4 KB and of 1 MB, 1,000 idle sessions."""
        def busy(kind, size, count):
            system = self.fresh(kind)
            peak = account.Peak(system.pid)
            try:
                self.push(system, 50, self.scale(count), size)
                return peak.end()
            finally:
                system.stop()

        def idle(kind):
            system = self.fresh(kind)
            sessions = self.load.idle(system.port, 1000, self.bodies['4 KB'])
            try:
                time.sleep(1)
                return account.memory_mib(system.pid)
            finally:
                sessions.communicate('')
                system.stop()
        for size, count, target in (('4 KB', 5000, 96), ('1 MB', 400, 160)):
            ours, peer = self.both(lambda kind: busy(kind, size, count))
            self.figure('memory', 'memory, 50 sessions of %s' % size, ours, 'MiB', peer, target)
        # Postfix serves as many sessions as it has processes (100 here): nothing to compare.
        self.figure('memory', 'memory, 1,000 idle sessions', idle('vgm'), 'MiB', None, 300)

    def restart(self):
        """A long queue: time from start to listening and to the first delivery."""
        count = self.scale(100000)

        def measure(kind):
            self.sink.stop()
            system = self.fresh(kind)
            self.load.run(system.port, 20, count, self.bodies['4 KB'], 100)
            system.stop()
            self.sink.start()
            begin = time.monotonic()
            system.begin()
            system.wait_ready()
            listening = time.monotonic() - begin
            wait_until('first delivery', lambda: self.sink.read()[0] > 0, 120, 0.005)
            first = self.sink.read()[3] - begin
            if kind == 'vgm':
                self.drain(count)
            system.stop()
            self.sink.stop()
            self.sink.start()
            return listening, first
        ours, peer = self.both(measure)
        name = '{:,} queued'.format(count)
        self.figure('restart', name + ': listening', ours[0], 's', peer[0], 2)
        self.figure('restart', name + ': first delivery', ours[1], 's', peer[1], 5)

    def drain(self, count):
        try:
            self.sink.wait(count, 600)
        except Failure:
            self.lost += count - self.sink.read()[0]

    def run(self):
        groups = ['latency', 'cpu', 'syncs', 'dirtied', 'memory', 'restart']
        for name in groups:
            if not self.args.only or name in self.args.only.split(','):
                try:
                    getattr(self, name)()
                except Failure as failure:
                    self.figure(name, '%s: not measured: %s' % (name, failure), None, '')
                    self.figures[-1]['met'] = False
        counts = self.sink.read()
        self.figure('lost', 'acknowledged and lost', self.lost, 'mails', None, 0)
        return counts


def show(value):
    if value is None:
        return '-'
    return '%.0f' % value if abs(value) >= 100 else '%.3g' % value


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--build', default='build')
    parser.add_argument('--quick', action='store_true', help='a tenth of the counts, one round')
    parser.add_argument('--only', help='groups, with commas')
    args = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit('bench.py: Postfix, which we are measured beside, needs root')
    args.vgm = os.path.join(TOP, args.build, 'src/cmd/vgm')
    var = os.path.join(TOP, 'var')
    os.makedirs(var, exist_ok=True)
    directory = tempfile.mkdtemp(prefix='bench-', dir=var)
    os.chmod(directory, 0o755)
    systems.become_subreaper()
    begin, bench = time.time(), None
    try:
        bench = Bench(args, directory)
        bench.run()
    finally:
        if bench:
            bench.sink.stop()
        shutil.rmtree(directory, ignore_errors=True)
    missed = [f for f in bench.figures if f['met'] is False]
    gating = [f for f in missed if f['group'] in GATES]
    with open(os.path.join(var, 'bench.json'), 'w') as out:
        json.dump({'quick': args.quick, 'seconds': round(time.time() - begin),
            'cpus': os.cpu_count(), 'figures': bench.figures}, out, indent=1, ensure_ascii=False)
    print('%d figures, %d missed, %d of them gate; %d s; var/bench.json' % (len(bench.figures),
        len(missed), len(gating), time.time() - begin))
    return 1 if gating else 0


if __name__ == '__main__':
    sys.exit(main())
