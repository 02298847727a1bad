# SPDX-License-Identifier: EUPL-1.2
"""Clocks that jump: the wall clock decides nothing that cannot be undone (rule 6)."""
import calendar
import os
import shutil
import struct
import subprocess
import time

from harness.accounting import message
from harness.process import wait_until
from harness.scene import Skip, expect, whole_only

HERE = os.path.dirname(os.path.abspath(__file__))
YEAR = 365 * 86400
# What programs need of /etc; ld.so.preload comes to it.
ETC = ('ld.so.cache', 'passwd', 'group', 'nsswitch.conf', 'hosts', 'localtime',
    'ssl/openssl.cnf', 'ssl/certs/ca-certificates.crt')


class Clock:
    """The wall clock of what runs under .wrapper: shift(seconds) moves it at once, for all of its
    processes (see clockshift.c)."""

    def __init__(self, scene):
        if os.geteuid() != 0 or subprocess.run(['unshare', '-m', 'true'], check=False,
                capture_output=True).returncode != 0:
            raise Skip('a mount namespace needs root')
        self.path = os.path.join(scene.path, 'shift')
        library = os.path.join(scene.path, 'clockshift.so')
        etc = scene.directory('etc')
        self.shift(0)
        subprocess.run(['cc', '-shared', '-fPIC', '-O1', '-DSHIFT_FILE="%s"' % self.path, '-o',
            library, os.path.join(HERE, 'clockshift.c'), '-ldl'], check=True)
        for name in ETC:
            if os.path.exists('/etc/' + name):
                os.makedirs(os.path.dirname(os.path.join(etc, name)), exist_ok=True)
                shutil.copy('/etc/' + name, os.path.join(etc, name))
        with open(os.path.join(etc, 'ld.so.preload'), 'w') as file:
            file.write(library + '\n')
        self.wrapper = ['unshare', '-m', 'sh', '-c', 'mount --bind "$0" /etc && exec "$@"', etc]

    def shift(self, seconds):
        with open(self.path, 'r+b' if os.path.exists(self.path) else 'w+b') as file:
            file.write(struct.pack('=q', int(seconds)))

    def set(self, year, month, day, hour=0, minute=0, second=0):
        self.shift(calendar.timegm((year, month, day, hour, minute, second)) - time.time())


@whole_only
def test_jump_during_retry(scene):
    """+10 years and back while mail waits: nothing expires, nothing is stuck, order is kept."""
    clock = Clock(scene)
    sink = scene.sink()
    sink.stop()
    gateway = scene.gateway(sink, wrapper=clock.wrapper, options={'queue': {'retry': ['1s'],
        'expire': '1h'}})
    for number, jump in enumerate((0, 10 * YEAR, 0, -3600, 3600, -10 * YEAR)):
        clock.shift(jump)
        time.sleep(0.3)
        _, final = scene.accounts.post(gateway.receive, 'a@b.example', 'j%d@hopital.test' % number,
            message())
        expect(final.code == 250, '%d: %r' % (jump, final))
    wait_until('all wait', lambda: len(gateway.queue()) == 6, 10, 0.2)
    past = time.gmtime(time.time() - 10 * YEAR).tm_year
    wait_until('a log line of that year', lambda: '"at":"%d-' % past in gateway.log(), 20, 0.2)
    rows = sorted((gateway.rows('track', 'j%d@hopital.test' % n)[0] for n in range(6)),
        key=lambda row: row['sequence'])
    times = [row['time'] for row in rows]
    expect(times == sorted(times), 'ledger time went backwards: %s' % times)
    clock.shift(0)
    sink.start()
    fates = scene.settle(seconds=30)
    expect(fates['bounced'] == 0, 'fates %s' % fates)


@whole_only
def test_strange_starts(scene):
    """Started in 1970, around the end of 32-bit time and in 2060, one after the other on the same
    state: it serves, and nothing is destroyed or closed by it."""
    clock = Clock(scene)
    sink = scene.sink()
    gateway = scene.gateway(sink, wrapper=clock.wrapper, start=False)
    now = time.gmtime()[:6]
    moments = [now, (1970, 1, 2), (2038, 1, 19, 3, 14, 0), (2038, 1, 19, 3, 14, 9),
        (2060, 6, 6), now]
    for number, moment in enumerate(moments):
        clock.set(*moment)
        gateway.start()
        _, final = scene.accounts.post(gateway.receive, 'a@b.example', 'y%d@hopital.test' % number,
            message())
        expect(final.code == 250, '%s: %r' % (moment, final))
        wait_until('delivered in %d' % moment[0],
            lambda: sink.to('y%d@hopital.test' % number), 15)
        gateway.stop()
    clock.shift(0)
    gateway.start()
    scene.settle()
    for number in range(len(moments)):
        row = wait_until('tracked', lambda: gateway.rows('track', 'y%d@hopital.test' % number,
            expect=None), 10, 0.2)[0]
        gateway.run('show', '--raw', '--why', 'test', row['id'], raw=True)
