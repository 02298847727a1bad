# SPDX-License-Identifier: EUPL-1.2
"""Clients that are many, slow or idle, and the good one that must not notice them."""
import os
import threading
import time

from harness.accounting import message
from harness.process import Failure, wait_until
from harness.scene import alone, expect, whole_only
from harness.smtp import Client

FAST = {'smtp': {'command_timeout': '3s', 'min_rate_after': '3s', 'max_clients': 1200}}


def quiet_close(clients):
    for client in clients:
        client.close()


def good_client(scene, gateway, count=5):
    """Seconds that the slowest of some ordinary sessions took."""
    worst = 0.0
    for number in range(count):
        begin = time.monotonic()
        _, final = scene.accounts.post(gateway.receive, 'good@b.example',
            'g%d@hopital.test' % time.monotonic_ns(), message())
        expect(final.code == 250, repr(final))
        worst = max(worst, time.monotonic() - begin)
    return worst


@alone
@whole_only
def test_slow_clients(scene):
    """200 idle, 200 dripping commands, 200 in the middle of DATA, 200 in a stalled handshake: a
    good client is served within a second, and the slow ones are cut."""
    gateway, _ = scene.pair()
    clients = []

    def crowd(prepare, source):
        for _ in range(200):
            client = Client(gateway.receive, source=source)
            prepare(client)
            clients.append(client)

    def dripping(client):
        client.send(b'EH')

    def in_data(client):
        client.ehlo()
        client.mail('a@b.example', ['slow@hopital.test'])
        client.expect('DATA', 354)
        client.send(b'Subject: x\r\n')

    def stalled(client):
        client.ehlo()
        client.expect('STARTTLS', 220)
        client.send(b'\x16\x03\x01\x02')
    for prepare, source in ((lambda c: None, '127.0.0.11'), (dripping, '127.0.0.12'),
            (in_data, '127.0.0.13'), (stalled, '127.0.0.14')):
        crowd(prepare, source)
    worst = good_client(scene, gateway)
    scene.count('good client %.3f s beside %d slow ones' % (worst, len(clients)))
    expect(worst < 1, 'a good client took %.2f s' % worst)
    quiet_close(clients)
    scene.settle()


@whole_only
def test_idle_is_cut(scene):
    """A client that says nothing is told 421 and cut; one that drips its body is cut too."""
    gateway, sink = scene.pair(options=FAST)
    with Client(gateway.receive, timeout=15) as client:
        begin = time.monotonic()
        expect(client.reply().code == 421, 'an idle client')
        expect(time.monotonic() - begin < 8, 'after %.0f s' % (time.monotonic() - begin))
    with Client(gateway.receive, timeout=15) as client:
        client.ehlo()
        client.mail('a@b.example', ['drip@hopital.test'])
        client.expect('DATA', 354)
        begin = time.monotonic()
        try:
            while time.monotonic() - begin < 20:
                client.send(b'x: y\r\n')
                time.sleep(0.3)
            raise Failure('a body of 20 bytes a second was let drip for 20 s')
        except OSError:
            pass
    scene.accounts.post(gateway.receive, 'a@b.example', 'bon@hopital.test', message())
    scene.settle()


@whole_only
def test_per_client_limit(scene):
    """One address gets so many sessions and no more; others still get in."""
    sink = scene.sink()
    gateway = scene.gateway(sink, options={'smtp': {'max_per_client': 10}})
    clients, refused = [], 0
    # Loopback itself is exempt, so the crowd must come through a proxy header.
    gateway.stop()
    gateway.options['receive']['proxies'] = ['127.0.0.2']
    gateway.write_config()
    gateway.start()
    for number in range(30):
        client = Client(gateway.receive, source='127.0.0.2', greet=False,
            first=b'PROXY TCP4 192.0.2.7 198.51.100.1 %d 25\r\n' % (4000 + number))
        try:
            refused += client.reply().code // 100 == 4
        except Failure:
            refused += 1
        clients.append(client)
    expect(15 <= refused <= 25, '%d of 30 refused' % refused)
    with Client(gateway.receive, source='127.0.0.2', greet=False,
            first=b'PROXY TCP4 192.0.2.8 198.51.100.1 4000 25\r\n') as client:
        expect(client.reply().code == 220, 'another address')
        client.ehlo()
        scene.accounts.over(client, 'a@b.example', ['x@hopital.test'], message())
        client.quit()
    quiet_close(clients)
    scene.settle()


@alone
@whole_only
def test_flood(scene):
    """Connections as fast as one machine can make them: good clients go on, nobody good is
    refused."""
    gateway, _ = scene.pair()
    seconds = scene.by_tier(5, 60)
    done, made = threading.Event(), [0]

    def flood():
        while not done.is_set():
            try:
                client = Client(gateway.receive, greet=False, timeout=2)
                made[0] += 1
                client.close()
            except (OSError, Failure):
                pass
    threads = [threading.Thread(target=flood) for _ in range(4)]
    for thread in threads:
        thread.start()
    worst, end = 0.0, time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            worst = max(worst, good_client(scene, gateway, 1))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    scene.count('%d connections in %d s, good client %.3f s at worst' % (made[0], seconds, worst))
    expect(worst < 1, 'a good client took %.2f s' % worst)
    scene.settle()


@alone
@whole_only
def test_many_clients_limit(scene):
    """Over the limit of all sessions the newcomer hears 421; when they go, all is well, and no
    descriptor is left."""
    gateway, _ = scene.pair(options={'smtp': {'max_clients': 100}})
    pids = gateway.roles()['smtpd']

    def descriptors():
        """How many are open; 0 where the processes are closed to us, as they are to any user."""
        try:
            return sum(len(os.listdir('/proc/%d/fd' % pid)) for pid in pids)
        except PermissionError:
            return 0
    before = descriptors()
    clients, codes = [], []
    for _ in range(150):
        client = Client(gateway.receive, greet=False, timeout=3)
        clients.append(client)
        try:
            codes.append(client.reply().code)
        except (Failure, OSError):
            codes.append(0)
    expect(90 <= codes.count(220) <= 100, '%d got in' % codes.count(220))
    expect(all(code in (220, 421, 0) for code in codes), str(set(codes)))
    quiet_close(clients)
    wait_until('descriptors are back', lambda: (descriptors() <= before + 4,
        '%d, %d before' % (descriptors(), before)), 10, 0.2)
    scene.accounts.post(gateway.receive, 'a@b.example', 'x@hopital.test', message())
    scene.settle()
