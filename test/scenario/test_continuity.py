# SPDX-License-Identifier: EUPL-1.2
"""What stops and comes back: the main system, one role, the whole gateway, its configuration."""
import os
import signal
import subprocess
import threading
import time

from harness.accounting import message
from harness.gateway import yaml
from harness.process import Failure, wait_until
from harness.scene import alone, expect
from harness.smtp import Client


def test_main_system_down(scene):
    """The main system is down while mail comes in; when it is back it is not flooded: one
    connection first, more after each success; everything arrives."""
    sink = scene.sink()
    sink.stop()
    gateway = scene.gateway(sink, options={'queue': {'retry': ['1s', '2s']}})
    with Client(gateway.receive) as client:
        client.ehlo()
        for number in range(100):
            scene.accounts.over(client, 'a@b.example', ['m%d@hopital.test' % number], message())
        client.quit()
    opened = []

    def replies(session, stage, detail):
        if stage == 'connect':
            opened.append((time.monotonic(), len(sink.received())))
        if stage == 'dot':
            time.sleep(0.02)
    sink.replies = replies
    sink.start()
    scene.settle(seconds=40)
    expect(opened[1][1] >= 1, 'the second connection came before the first success: %s' % opened[:3])
    expect(sink.open_most <= 20, '%d connections' % sink.open_most)


def test_kill_each_role(scene):
    """Each role is killed in turn while mail flows: it is restarted, sessions of others go on,
    nothing acknowledged is lost."""
    gateway, sink = scene.pair()
    names = [name for name in gateway.roles()]
    expect(len(names) >= 8, 'roles seen: %s' % names)
    allowed = 0
    for name in sorted(names):
        before = gateway.roles()[name]
        keeper = None
        if name != 'smtpd':
            keeper = Client(gateway.receive)
            keeper.ehlo()
        for pid in before:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

        def again(name=name, before=before):
            now = gateway.roles().get(name, [])
            return bool(set(now) - set(before)) and not set(now) & set(before)
        wait_until(name + ' is restarted', again, 10, 0.05)
        if keeper:
            expect(keeper.is_open(), 'a session ended when %s was killed' % name)
            keeper.close()

        def flows(name=name):
            try:
                _, final = scene.accounts.post(gateway.receive, 'a@b.example',
                    '%s%d@hopital.test' % (name, time.monotonic_ns()), message())
                return final is not None and final.code == 250
            except (Failure, OSError):
                return False
        wait_until('mail flows after %s' % name, flows, 15, 0.2)
        allowed += 5
    scene.settle(seconds=40, duplicates=allowed, crashes=True)
    scene.count('%d roles' % len(names))


def test_kill_under_load(scene):
    """A filter, ledgerd or relayd dies under load: senders hear 4xx or a cut and try again; every
    250 is delivered."""
    gateway, sink = scene.pair()
    done = threading.Event()

    def sender(number):
        count = 0
        while not done.is_set():
            count += 1
            try:
                scene.accounts.post(gateway.receive, 'a@b.example',
                    'l%d-%d@hopital.test' % (number, count), message(size=5000))
            except (Failure, OSError):
                time.sleep(0.05)
    threads = [threading.Thread(target=sender, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(scene.by_tier(2, 20)):
            for name in ('admit', 'ledgerd', 'relayd', 'render', 'keyd', 'viewd'):
                time.sleep(0.7)
                for pid in gateway.roles().get(name, [])[:1]:
                    os.kill(pid, signal.SIGKILL)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    expect(len(scene.accounts.accepted()) > 20, 'only %d accepted' % len(scene.accounts.accepted()))
    scene.settle(seconds=60, duplicates=200, crashes=True)


def test_second_instance(scene):
    """A second gateway on the same state is refused, with a reason; after kill -9 of the first a
    new one starts."""
    gateway, sink = scene.pair()
    done = subprocess.run([gateway.vgm_path, 'serve', '--config', gateway.config_path],
        capture_output=True, text=True, timeout=20, check=False)
    expect(done.returncode not in (0, None), 'the second started')
    expect(done.stderr.strip() or done.stdout.strip(), 'without a word')
    expect(gateway.process.alive(), 'the first ended')
    scene.accounts.post(gateway.receive, 'a@b.example', 'un@hopital.test', message())
    gateway.kill()
    gateway.start()
    scene.accounts.post(gateway.receive, 'a@b.example', 'deux@hopital.test', message())
    scene.settle(duplicates=1)


def test_reload(scene):
    """A right configuration is taken at SIGHUP, sessions go on; a wrong one is named by line and
    the old one stays."""
    gateway, sink = scene.pair()
    keeper = Client(gateway.receive)
    keeper.ehlo()
    gateway.options['domains'] = ['hopital.test', 'annexe.test']
    gateway.write_config()
    gateway.reload()

    def takes(domain):
        with Client(gateway.receive) as client:
            client.ehlo()
            client.expect('MAIL FROM:<a@b.example>', 250)
            return client.command('RCPT TO:<x@%s>' % domain).code == 250
    wait_until('the new domain', lambda: takes('annexe.test'), 10, 0.2)
    expect(keeper.is_open(), 'a session ended')
    good = yaml(gateway.options)
    bad = good.replace('domains:', 'domainz:')
    line = 1 + good[:good.index('domains:')].count('\n')
    gateway.write_config(bad)
    gateway.reload()
    wait_until('the fault is named', lambda: '%d' % line in gateway.log() and 'domainz' in
        gateway.log(), 10, 0.2)
    expect(takes('annexe.test'), 'the old configuration is gone')
    done = subprocess.run([gateway.vgm_path, 'config', 'check', gateway.config_path],
        capture_output=True, text=True, timeout=20, check=False)
    expect(done.returncode == 4, 'config check: exit %d' % done.returncode)
    expect(':%d:' % line in done.stderr + done.stdout, 'no line: ' + done.stderr + done.stdout)
    expect('domains' in done.stderr + done.stdout, 'no proposal: ' + done.stderr)
    scene.accounts.over(keeper, 'a@b.example', ['x@hopital.test'], message())
    keeper.quit()
    gateway.write_config(good)
    scene.settle()


def test_wrong_configurations(scene):
    """`vgm serve` with a wrong file does not start; it says file, line, column and what was
    expected."""
    gateway = scene.gateway('127.0.0.1:9', start=False)
    good = yaml(gateway.options)
    cases = [('unknown key', good + 'colour: blue\n', 'colour'),
        ('twice', good + 'language: fr\n', 'language'),
        ('not a number', good + 'smtp:\n  max_recipients: lots\n', 'lots'),
        ('too small', good + 'smtp:\n  max_recipients: 1\n', 'max_recipients'),
        ('time', good + 'relay:\n  connect_timeout: 5 parsecs\n', 'parsecs'),
        ('tab', good + 'smtp:\n\tmax_size: 1M\n', ''),
        ('not YAML', 'a: [b\n', ''), ('alias', 'a: &x 1\nb: *x\n', ''),
        ('a list where a text stands', good.replace('"gw.hopital.test"', '[a]'), 'hostname'),
        ('no such directory file', good + 'directory: /nowhere/people.yaml\n', '/nowhere')]
    for name, text, word in cases:
        gateway.write_config(text)
        done = subprocess.run([gateway.vgm_path, 'serve', '--config', gateway.config_path],
            capture_output=True, text=True, timeout=20, check=False)
        said = done.stderr + done.stdout
        expect(done.returncode != 0, name + ': it started')
        expect(gateway.config_path in said or name.startswith('no such'), '%s: %s' % (name, said))
        expect(word in said, '%s: %s' % (name, said))
    scene.settle()


def test_stop_is_clean(scene):
    """SIGTERM while sessions are open: it stops within seconds, finished mail is kept, the rest
    gets 421 or a cut."""
    gateway, sink = scene.pair()
    clients = [Client(gateway.receive) for _ in range(5)]
    for client in clients:
        client.ehlo()
    scene.accounts.over(clients[0], 'a@b.example', ['x@hopital.test'], message())
    clients[1].mail('a@b.example', ['y@hopital.test'])
    clients[1].expect('DATA', 354)
    clients[1].send(b'Subject: x\r\n')
    begin = time.monotonic()
    gateway.stop()
    expect(time.monotonic() - begin < 15, 'it took %.0f s' % (time.monotonic() - begin))
    for client in clients:
        client.close()
    gateway.start()
    scene.settle(duplicates=1)
    expect(not sink.to('y@hopital.test'), 'half a message')


@alone
def test_long_queue(scene):
    """A queue of thousands: after a restart it listens and delivers at once."""
    sink = scene.sink()
    sink.stop()
    gateway = scene.gateway(sink, options={'queue': {'retry': ['1s']}})
    count = scene.by_tier(2000, 20000)
    data = message()
    with Client(gateway.receive) as client:
        client.ehlo()
        for number in range(count):
            scene.accounts.over(client, 'a@b.example', ['n%d@hopital.test' % number], data)
    gateway.stop()
    sink.start()
    begin = time.monotonic()
    gateway.start()
    listening = time.monotonic() - begin
    wait_until('first delivery', sink.received, 10, 0.01)
    first = time.monotonic() - begin
    scene.count('%d queued: listening after %.2f s, first delivery after %.2f s' % (count,
        listening, first))
    expect(scene.sanitized or (listening < 2 and first < 5), 'too slow')
    scene.settle(seconds=120)
