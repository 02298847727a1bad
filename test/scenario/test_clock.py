# SPDX-License-Identifier: EUPL-1.2
"""Clocks that jump: the wall clock decides nothing that cannot be undone (rule 6)."""
import glob
import os
import time

from harness.accounting import message
from harness.process import wait_until
from harness.scene import Skip, expect, whole_only


def clock(scene):
    """(environment, function that sets the shift): libfaketime reads the shift from a file."""
    libraries = glob.glob('/usr/lib/*/faketime/libfaketime.so.1')
    if not libraries:
        raise Skip('libfaketime is not installed')
    path = os.path.join(scene.path, 'shift')

    def shift(text):
        with open(path + '.new', 'w') as target:
            target.write(text + '\n')
        os.rename(path + '.new', path)
    shift('+0')
    return {'LD_PRELOAD': libraries[0], 'FAKETIME_TIMESTAMP_FILE': path, 'FAKETIME_NO_CACHE': '1',
        'FAKETIME_DONT_FAKE_MONOTONIC': '1', 'FAKETIME_DONT_RESET': '1'}, shift


@whole_only
def test_jump_during_retry(scene):
    """+10 years and back while mail waits: nothing expires, nothing is stuck, order is kept."""
    environment, shift = clock(scene)
    sink = scene.sink()
    sink.stop()
    gateway = scene.gateway(sink, env=environment, options={'queue': {'retry': ['1s'],
        'expire': '1h'}})
    for number, jump in enumerate(('+0', '+3650d', '+0', '-1h', '+1h')):
        shift(jump)
        time.sleep(0.3)
        _, final = scene.accounts.post(gateway.receive, 'a@b.example', 'j%d@hopital.test' % number,
            message())
        expect(final.code == 250, '%s: %r' % (jump, final))
    wait_until('all wait', lambda: len(gateway.queue()) == 5, 10, 0.2)
    shift('+0')
    sink.start()
    fates = scene.settle(seconds=30)
    expect(fates['bounced'] == 0, 'fates %s' % fates)


@whole_only
def test_strange_starts(scene):
    """Started in 1970, in 2038 and after it, one after the other on the same state: it serves,
    and nothing is destroyed."""
    environment, shift = clock(scene)
    sink = scene.sink()
    gateway = scene.gateway(sink, env=environment, start=False)
    for number, moment in enumerate(('+0', '@1970-01-02 00:00:00', '@2038-01-19 03:14:00',
            '@2038-01-19 03:14:09', '@2060-06-06 06:06:06', '+0')):
        shift(moment)
        gateway.start()
        _, final = scene.accounts.post(gateway.receive, 'a@b.example', 'y%d@hopital.test' % number,
            message())
        expect(final.code == 250, '%s: %r' % (moment, final))
        wait_until('delivered at ' + moment, lambda: sink.to('y%d@hopital.test' % number), 15)
        gateway.stop()
    shift('+0')
    gateway.start()
    scene.settle()
    for number in range(6):
        rows = gateway.rows('track', 'y%d@hopital.test' % number)
        gateway.run('show', '--raw', '--why', 'test', rows[0]['id'], raw=True)
