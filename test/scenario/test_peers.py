# SPDX-License-Identifier: EUPL-1.2
"""Real peers: Debian's Postfix before and behind the gateway, swaks, Python's smtplib."""
import os
import re
import shutil
import smtplib
import subprocess
import threading

from harness import postfix
from harness.accounting import message
from harness.gateway import greets
from harness.ports import free_port
from harness.process import Process, wait_until
from harness.scene import Skip, expect, whole_only
from harness.smtp import Client, send_mail


def started(scene, **options):
    why = postfix.available()
    if why:
        raise Skip(why)
    return scene.add(postfix.Postfix(scene.directory('postfix%d' % len(scene.others)), **options))


@whole_only
def test_postfix_sends(scene):
    """Postfix relays 200 mails of many sorts to the gateway; all arrive, its queue is empty."""
    sink = scene.sink()
    gateway = scene.gateway(sink)
    sender = started(scene, relay='127.0.0.1:%d' % gateway.receive)
    sent = []
    with Client(sender.port) as client:
        client.ehlo()
        for number in range(200):
            data = message(size=100 * number, extra='X-Case: été\r\n' if number % 5 == 0 else '')
            client.mail('a@partenaire.example', ['p%d@hopital.test' % number],
                'BODY=8BITMIME')
            expect(client.body(data).code == 250, 'postfix refused')
            sent.append(data)
        client.quit()
    wait_until('200 delivered', lambda: (len(sink.received()) >= 200, len(sink.received())), 60, 0.2)
    for number, data in enumerate(sent):
        got = sink.to('p%d@hopital.test' % number)[0].data
        expect(got.endswith(data), 'mail %d was changed' % number)
        # Postfix adds its own trace field before the gateway sees the message.
        scene.accounts.note('a@partenaire.example', ['p%d@hopital.test' % number],
            got[got.index(b'Received: from client.test'):], True)
    scene.settle()
    expect('status=bounced' not in sender.log() and 'status=deferred' not in sender.log(),
        'postfix deferred or bounced')


@whole_only
def test_postfix_receives(scene):
    """The gateway delivers 200 mails to Postfix as the main system; each is in a mailbox, byte for
    byte behind the trace."""
    receiver = started(scene, mailboxes='hopital.test')
    gateway = scene.gateway(receiver)
    sent = {}
    with Client(gateway.receive) as client:
        client.ehlo()
        for number in range(200):
            data = message(size=100 * number)
            client.mail('a@partenaire.example', ['p%d@hopital.test' % number])
            expect(client.body(data).code == 250, 'refused')
            sent[re.search(rb'Message-ID: (\S+)', data).group(1)] = data
        client.quit()
    wait_until('200 in mailboxes', lambda: (len(receiver.kept()) >= 200, len(receiver.kept())),
        60, 0.5)
    for kept in receiver.kept():
        data = sent.pop(re.search(rb'Message-ID: (\S+)', kept).group(1))
        expect(kept.endswith(data.replace(b'\r\n', b'\n')), 'changed: %r' % kept[:300])
    expect(not sent and not gateway.queue(), '%d missing' % len(sent))
    scene.settle()


@whole_only
def test_postfix_goes_away(scene):
    """Postfix as the main system is stopped for a while: everything arrives all the same."""
    receiver = started(scene, mailboxes='hopital.test')
    gateway = scene.gateway(receiver)
    with Client(gateway.receive) as client:
        client.ehlo()
        for number in range(60):
            if number == 20:
                receiver.process.kill()
            client.mail('a@partenaire.example', ['p%d@hopital.test' % number])
            expect(client.body(message()).code == 250, 'refused')
        client.quit()
    receiver.start()
    wait_until('60 in mailboxes', lambda: (len(receiver.kept()) >= 60, len(receiver.kept())), 60, 0.5)
    expect(len(receiver.kept()) <= 64, '%d copies' % len(receiver.kept()))
    scene.settle()


@whole_only
def test_swaks(scene):
    """swaks by all its ways: plain, pipelined, an attachment, a wrong recipient."""
    if not shutil.which('swaks'):
        raise Skip('swaks is not installed')
    sink = scene.sink()
    gateway = scene.gateway(sink, directory_text='un@hopital.test\n')
    base = ['swaks', '--server', '127.0.0.1', '--port', str(gateway.receive), '--from',
        'a@partenaire.example', '--to', 'un@hopital.test', '--ehlo', 'swaks.test']
    attachment = os.path.join(scene.path, 'x.pdf')
    with open(attachment, 'wb') as file:
        file.write(b'%PDF-1.4\n' + bytes(range(256)) * 100)
    ways = [([], 0), (['--pipeline'], 0), (['--attach', '@' + attachment], 0),
        (['--body', 'é' * 3000], 0), (['--to', 'personne@hopital.test'], 24), (['--quit-after', 'RCPT'], 0),
        (['--to', 'x@ailleurs.example'], 24)]
    good = 0
    for words, code in ways:
        done = subprocess.run(base + words, capture_output=True, timeout=30, check=False)
        expect(done.returncode == code, '%s: exit %d\n%s' % (words, done.returncode,
            done.stdout.decode('utf-8', 'replace')[-800:]))
        good += code == 0 and '--quit-after' not in words
    wait_until('delivered', lambda: len(sink.received()) == good, 15, 0.1)
    for each in sink.received():
        scene.accounts.note(each.sender, each.addresses(), each.data[each.data.index(b'Date:'):], True)
    scene.settle()


def test_smtplib(scene):
    """Python's smtplib, in clear and with STARTTLS, from eight threads."""
    sink = scene.sink()
    gateway = scene.gateway(sink)
    failures = []

    def session(number):
        try:
            with smtplib.SMTP('127.0.0.1', gateway.receive, 'smtplib.test', 20) as server:
                if number % 2:
                    server.starttls()
                for each in range(10):
                    data = message(size=2000 * each)
                    recipient = 'l%d-%d@hopital.test' % (number, each)
                    refused = server.sendmail('a@partenaire.example', [recipient], data)
                    expect(not refused, str(refused))
                    scene.accounts.note('a@partenaire.example', [recipient], data, True)
        except Exception as error:
            failures.append(error)
    threads = [threading.Thread(target=session, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    scene.settle()


def test_own_sink(scene):
    """`vgm sink`, the store that is part of the product, keeps exactly what the gateway sends."""
    port, store = free_port(), scene.directory('store')
    process = Process([scene.vgm, 'sink', '--listen', '127.0.0.1:%d' % port, '--maildir', store],
        scene.path + '/sink.log')
    try:
        wait_until('vgm sink', lambda: greets(port), 15)
        gateway = scene.gateway('127.0.0.1:%d' % port)
        sent = {}
        for number in range(20):
            data = message(size=500 * number)
            _, final = send_mail(gateway.receive, 'a@b.example', ['k%d@hopital.test' % number], data)
            expect(final.code == 250, repr(final))
            sent[re.search(rb'Message-ID: (\S+)', data).group(1)] = data

        def kept():
            found = []
            for folder, _, names in os.walk(store):
                for name in names:
                    with open(os.path.join(folder, name), 'rb') as mail:
                        content = mail.read()
                    if b'Message-ID: ' in content:
                        found.append(content)
            return found
        wait_until('20 kept', lambda: (len(kept()) >= 20, len(kept())), 20, 0.2)
        for content in kept():
            data = sent.pop(re.search(rb'Message-ID: (\S+)', content).group(1))
            expect(data in content, 'changed: %r' % content[:300])
        expect(not sent, '%d missing' % len(sent))
        scene.settle()
    finally:
        process.stop()
