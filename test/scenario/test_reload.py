# SPDX-License-Identifier: EUPL-1.2
"""Reload while mail flows: what is wrong changes nothing, what needs a restart waits for it."""
import json
import ssl
import subprocess
import threading
import time

from harness.accounting import message
from harness.process import Failure, wait_until
from harness.scene import expect
from harness.smtp import Client

MACHINES = 10000
LOGINS = 1000
HASH = '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$' + 'A' * 43


def events(gateway, name):
    found = []
    for line in gateway.log().splitlines():
        if '"event":"%s"' % name in line:
            found.append(json.loads(line))
    return found


def reload_and_wait(gateway, event):
    before = len(events(gateway, event))
    gateway.reload()
    wait_until(event, lambda: len(events(gateway, event)) > before, 20, 0.05)


def subject_of(port):
    with Client(port) as client:
        client.ehlo()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        client.starttls(context)
        der = client.socket.getpeercert(True)
    done = subprocess.run(['openssl', 'x509', '-inform', 'DER', '-noout', '-subject'], input=der,
        capture_output=True, check=True)
    return done.stdout.decode()


def test_thousands_of_rows(scene):
    """10,000 machines and 1,000 logins: it starts, takes them at a reload, knows the last one."""
    sink = scene.sink()
    gateway = scene.gateway(sink, start=False)
    machines = [{'name': 'automate de laboratoire numero %d' % n,
        'address': '10.%d.%d.%d' % (n >> 16, n >> 8 & 255, n & 255)} for n in range(MACHINES - 1)]
    gateway.options['devices']['machines'] = machines + [
        {'name': 'copier', 'address': '127.0.0.1'}]
    gateway.options['submit']['logins'] = [{'name': 'personne%04d' % n, 'password': HASH,
        'senders': ['personne%04d@hopital.test' % n]} for n in range(LOGINS)]
    gateway.write_config()
    gateway.start()
    for number in range(2):
        _, final = scene.accounts.post(gateway.devices, 'm@hopital.test',
            'a%d@hopital.test' % number, message())
        expect(final.code == 250, final)
        reload_and_wait(gateway, 'reloaded')
    scene.settle()
    platform = events(gateway, 'platform')
    expect(len(platform) == 1 and 'landlock' in platform[0] and 'seccomp' in platform[0],
        'the platform line: %r' % platform)


def test_wrong_certificate_keeps_the_old(scene):
    """A certificate that does not fit its key refuses the reload; a right one is taken."""
    authority = scene.authority()
    sink = scene.sink()
    gateway = scene.gateway(sink, start=False)
    first, first_key = authority.issue('un.hopital.test')
    second, second_key = authority.issue('deux.hopital.test')
    gateway.options['tls'] = {'certificate': first, 'key': first_key}
    gateway.write_config()
    gateway.start()
    expect('un.hopital.test' in subject_of(gateway.receive), 'the first certificate')
    for wrong in ({'certificate': second, 'key': first_key},
            {'certificate': second + '.not-there', 'key': second_key}):
        gateway.options['tls'] = wrong
        gateway.write_config()
        reload_and_wait(gateway, 'reload_refused')
        gateway.run('config', 'check', gateway.config_path, expect=None)
        time.sleep(0.3)
        expect('un.hopital.test' in subject_of(gateway.receive), 'not the first any more')
    gateway.options['tls'] = {'certificate': second, 'key': second_key}
    gateway.write_config()
    reload_and_wait(gateway, 'reloaded')

    def taken():
        try:
            return 'deux.hopital.test' in subject_of(gateway.receive)
        except (ssl.SSLError, Failure):
            return False  # keyd is just starting with the new one
    wait_until('the second certificate', taken, 20, 0.1)
    expect(not events(gateway, 'role_died'), 'a reload is no death')
    _, final = scene.accounts.post(gateway.receive, 'a@partenaire.example', 'b@hopital.test',
        message())
    expect(final.code == 250, final)
    scene.settle()


def test_while_mail_flows(scene):
    """Twenty reloads under load, one that changes what needs a restart: all that was taken
    arrives."""
    sink = scene.sink()
    gateway = scene.gateway(sink)
    ending = threading.Event()
    failures = []

    def send(number):
        count = 0
        while not ending.is_set():
            count += 1
            try:
                _, final = scene.accounts.post(gateway.receive, 'a@partenaire.example',
                    'p%d.%d@hopital.test' % (number, count), message())
                if final.code != 250:
                    failures.append(final)
            except OSError as broken:
                failures.append(broken)
            time.sleep(0.01)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(3)]
    for each in threads:
        each.start()
    try:
        for n in range(20):
            gateway.options['entity'] = 1 + n % 3
            gateway.options['smtp'] = {'max_errors': 20 + n}
            gateway.write_config('not: [a, configuration' if n % 5 == 4 else None)
            gateway.reload()
            time.sleep(0.15)
    finally:
        ending.set()
        for each in threads:
            each.join()
    gateway.write_config()
    scene.settle()
    expect(not failures, failures[:3])
    expect(events(gateway, 'restart_needed') and events(gateway, 'reload_refused'), 'not said')
