# SPDX-License-Identifier: EUPL-1.2
"""The three doors: who may use which, copiers and their bare line feeds, proxies, trusted hops."""
import re
import socket
import struct

from harness.accounting import message
from harness.process import Failure, wait_until
from harness.scene import expect
from harness.smtp import Client

COPIER = (b'From: copieur@hopital.test\nTo: secretariat@hopital.test\nSubject: Numerisation\n'
    b'Message-ID: <scan%d@copieur>\n\nVoir la piece jointe.\n')


def test_copier(scene):
    """A copier's bare line feeds are repaired on the devices' door, and only there."""
    gateway, sink = scene.pair()
    for number, (name, raw) in enumerate([
            ('all LF', COPIER % 1), ('mixed', (COPIER % 2).replace(b'\n', b'\r\n', 3)),
            ('bare CR', (COPIER % 3).replace(b'\n', b'\r')), ('CRLF', (COPIER % 4).replace(b'\n', b'\r\n'))]):
        local = 'secretariat%d@hopital.test' % number
        with Client(gateway.devices) as client:
            words = client.ehlo('copieur')
            expect('STARTTLS' not in words and 'AUTH' not in words, 'TLS or AUTH for devices')
            client.mail('copieur@hopital.test', [local])
            client.expect('DATA', 354)
            wire = raw if raw.endswith(b'\r\n') else raw + b'\r\n'
            client.send(wire + b'.\r\n')
            final = client.reply()
            expect(final.code == 250, '%s: %r' % (name, final))
            client.quit()
        repaired = re.sub(rb'\r\n|\r|\n', b'\r\n', wire)
        scene.accounts.note('copieur@hopital.test', [local], repaired, True)
    scene.settle()
    expect(not sink.faults, sink.faults)


def test_copier_end_of_data(scene):
    """On the devices' door too, LF.LF ends nothing."""
    gateway, sink = scene.pair()
    with Client(gateway.devices) as client:
        client.ehlo()
        client.mail('copieur@hopital.test', ['x@hopital.test'])
        client.expect('DATA', 354)
        wire = (b'Subject: x\n\nx\n.\nMAIL FROM:<evil@b.example>\nRCPT TO:<y@hopital.test>\n'
            b'DATA\nSubject: z\n\nz\n\r\n')
        client.send(wire + b'.\r\n')
        final = client.reply()
        expect(client.is_open(), 'the session ended')
        client.quit()
    if final.code == 250:
        whole = re.sub(rb'\r\n|\r|\n', b'\r\n', wire)
        scene.accounts.note('copieur@hopital.test', ['x@hopital.test'], whole, True)
    scene.settle()
    expect(all(d.sender != 'evil@b.example' for d in sink.deliveries), 'smuggled')


def test_devices_inside_only(scene):
    """A machine sends to people inside; outside only if it is named so; a stranger not at all."""
    sink = scene.sink()
    gateway = scene.gateway(sink, start=False)
    gateway.options['devices']['machines'] = [{'name': 'copier', 'address': '127.0.0.1'},
        {'name': 'lab', 'address': '127.0.0.2', 'outside': True}]
    gateway.write_config()
    gateway.start()
    for source, recipient, good in (('127.0.0.1', 'a@hopital.test', True),
            ('127.0.0.1', 'a@ailleurs.example', False), ('127.0.0.2', 'b@ailleurs.example', True),
            ('127.0.0.3', 'c@hopital.test', False)):
        try:
            replies, final = scene.accounts.post(gateway.devices, 'm@hopital.test', recipient,
                message(), source=source)
            went = final is not None and final.code == 250
            expect(went or replies[0].code // 100 == 5, '%s: %r' % (recipient, replies))
        except Failure as refusal:
            expect(not good, str(refusal))
            went = False
        expect(went == good, '%s → %s: %s' % (source, recipient, went))
    scene.settle()


def test_machine_faults(scene):
    """Each machine's messages and faults are listed, by name; what was refused is in the log."""
    sink = scene.sink(lambda session, stage, detail: '550 5.1.1 nobody\r\n'
        if stage == 'rcpt' and 'lost@' in detail else None)
    gateway = scene.gateway(sink, start=False)
    gateway.options['devices']['machines'] = [{'name': 'copieur 3', 'address': '127.0.0.1'},
        {'name': 'automate', 'address': '127.0.0.2'}, {'name': 'neuf', 'address': '127.0.0.3'}]
    gateway.write_config()
    gateway.start()
    with Client(gateway.devices) as client:
        client.expect('HELO copieur salle 3', 250)
        client.expect('MAIL FROM:copieur@hopital.test', 250)
        client.expect('RCPT TO:<x@ailleurs.example>', 550)
        client.expect('RCPT TO:<a@hopital.test>', 250)
        client.expect('DATA', 354)
        client.send(COPIER % 7 + b'\r\n.\r\n')
        expect(client.reply().code == 250, 'refused')
        client.quit()
    scene.accounts.note('copieur@hopital.test', ['a@hopital.test'],
        (COPIER % 7 + b'\r\n').replace(b'\r\n', b'\n').replace(b'\n', b'\r\n'), True)
    scene.accounts.post(gateway.devices, 'copieur@hopital.test', 'b@hopital.test', message())
    scene.accounts.post(gateway.devices, 'm@hopital.test', 'lost@hopital.test', message(),
        source='127.0.0.2')
    scene.settle()
    rows = {row['machine']: row for row in gateway.rows('devices')}
    expect(list(rows) == ['copieur 3', 'automate', 'neuf'], rows)

    def is_so(machine, messages, repaired, undelivered, **faults):
        row, none = rows[machine], dict.fromkeys(('bare_lf', 'bare_cr', 'path', 'name'), 0)
        found = (row['messages'], row['repaired'], row['undelivered'], row['faults'])
        expect(found == (messages, repaired, undelivered, {**none, **faults}), row)
    is_so('copieur 3', 2, 1, 0, bare_lf=1, path=1, name=1)
    is_so('automate', 1, 0, 1)
    is_so('neuf', 0, 0, 0)
    text = gateway.run('devices')
    expect('copieur 3' in text and 'LF' in text, text)
    expect('"machine":"copieur 3"' in gateway.log() and 'smtp_machine_outside' in gateway.log(),
        'the refusal is not in the log')


def test_submit_by_address(scene):
    """Relays that are named may submit; another address may not."""
    sink = scene.sink()
    gateway = scene.gateway(sink, start=False)
    gateway.options['submit']['relays'] = ['127.0.0.1', '127.0.1.0/24']
    gateway.write_config()
    gateway.start()
    for source, good in (('127.0.0.1', True), ('127.0.1.77', True), ('127.0.2.1', False)):
        with Client(gateway.submit, source=source) as client:
            client.ehlo()
            reply = client.command('MAIL FROM:<a@hopital.test>')
            if reply.code == 250:
                reply = client.command('RCPT TO:<x@ailleurs.example>')
            expect((reply.code == 250) == good, '%s: %r' % (source, reply))
            client.command('RSET')
            if good:
                scene.accounts.over(client, 'a@hopital.test', ['x%s@ailleurs.example' % source],
                    message())
    scene.settle()


def v2(command, family, payload):
    return (b'\r\n\r\n\0\r\nQUIT\n' + bytes([0x20 | command, family]) +
        struct.pack('>H', len(payload)) + payload)


def addresses(client, server):
    return socket.inet_aton(client) + socket.inet_aton(server) + struct.pack('>HH', 4000, 25)


def test_proxy(scene):
    """Behind a named proxy the client's address is the one in the PROXY header, v1 and v2; without
    or with a broken header the connection is cut."""
    sink = scene.sink()
    gateway = scene.gateway(sink, start=False)
    gateway.options['receive']['proxies'] = ['127.0.0.2']
    gateway.write_config()
    gateway.start()
    good = [('v1', b'PROXY TCP4 192.0.2.7 198.51.100.1 4000 25\r\n', '192.0.2.7'),
        ('v1 IPv6', b'PROXY TCP6 2001:db8::7 2001:db8::1 4000 25\r\n', '2001:db8::7'),
        ('v1 unknown', b'PROXY UNKNOWN\r\n', '127.0.0.2'),
        ('v2', v2(1, 0x11, addresses('192.0.2.8', '198.51.100.1')), '192.0.2.8'),
        ('v2 with fields', v2(1, 0x11, addresses('192.0.2.9', '198.51.100.1') + b'\x04\0\1x'),
            '192.0.2.9'),
        ('v2 local', v2(0, 0, b''), '127.0.0.2')]
    for number, (name, header, address) in enumerate(good):
        with Client(gateway.receive, source='127.0.0.2', first=header) as client:
            client.ehlo()
            scene.accounts.over(client, 'a@b.example', ['p%d@hopital.test' % number], message())
            client.quit()
    scene.settle()
    for number, (name, header, address) in enumerate(good):
        data = sink.to('p%d@hopital.test' % number)[0].data
        expect(address.encode() in data[:400], '%s: %r' % (name, data[:300]))
    for name, header in (('none', b'EHLO x\r\n'), ('junk', b'PROXY TCP4 x y z\r\n'),
            ('too long', b'PROXY TCP4 ' + b'1' * 200 + b'\r\n'),
            ('v2 short', v2(1, 0x11, b'abc')), ('v2 huge', v2(1, 0x11, b'a' * 60000)),
            ('v2 wrong version', b'\r\n\r\n\0\r\nQUIT\n\x11\x11\0\0')):
        with Client(gateway.receive, source='127.0.0.2', greet=False, timeout=10) as client:
            client.send(header + b'EHLO x\r\n')
            try:
                reply = client.reply()
                expect(reply.code // 100 in (4, 5), '%s: %r' % (name, reply))
            except (Failure, OSError) as error:
                expect('closed' in str(error) or 'lost' in str(error), '%s: %s' % (name, error))
    with Client(gateway.receive, source='127.0.0.3') as client:
        expect(client.command('PROXY TCP4 1.2.3.4 1.2.3.4 1 2').code // 100 == 5, 'a stranger')


def test_trusted_hop(scene):
    """Behind our own first hop the client is who its Received field names; a forged field from
    anyone else changes nothing."""
    sink = scene.sink()
    gateway = scene.gateway(sink, start=False)
    gateway.options['receive']['trusted_hops'] = ['127.0.0.2']
    gateway.write_config()
    gateway.start()
    field = 'Received: from mx.far.example (far.example [203.0.113.9]) by hop.hopital.test;' \
        ' Mon, 23 Nov 2026 09:00:00 +0100\r\n'
    for number, source in enumerate(('127.0.0.2', '127.0.0.3')):
        scene.accounts.post(gateway.receive, 'a@b.example', 't%d@hopital.test' % number,
            field.encode() + message(), source=source)
    scene.settle()
    heads = [gateway.run('show', '--json', '--why', 'test', wait_until('tracked', lambda: gateway.rows(
        'track', 't%d@hopital.test' % number, expect=None), 5, 0.2)[0]['id']) for number in (0, 1)]
    expect('203.0.113.9' in heads[0], 'behind the hop: ' + heads[0])
    expect('203.0.113.9' not in heads[1], 'a stranger was believed: ' + heads[1])


def test_directory(scene):
    """Recipients are checked in the session against the directory, whatever the case; their routes
    are taken from it; a changed directory counts after a reload."""
    main, cloud = scene.sink(), scene.sink()
    people = '%s@hopital.test alias=autre@hopital.test\ndeux@hopital.test route=cloud\n'
    gateway = scene.gateway(options={'routes': [
        {'name': 'main', 'domains': ['hopital.test'], 'to': [main.hostport()]},
        {'name': 'cloud', 'domains': ['cloud.invalid'], 'to': [cloud.hostport()]}]},
        directory_text=people % 'un')
    replies, _ = scene.accounts.post(gateway.receive, 'a@b.example',
        ['un@hopital.test', 'Deux@Hopital.TEST', 'trois@hopital.test', 'autre@hopital.test'],
        message())
    expect([r.code for r in replies] == [250, 250, 550, 250], repr(replies))
    gateway.write_directory(people % 'trois')
    gateway.reload()

    def taken():
        with Client(gateway.receive) as client:
            client.ehlo()
            client.expect('MAIL FROM:<a@b.example>', 250)
            return client.command('RCPT TO:<trois@hopital.test>').code == 250
    wait_until('the new directory', taken, 10, 0.2)
    scene.accounts.post(gateway.receive, 'a@b.example', 'trois@hopital.test', message())
    scene.settle()
    expect(len(cloud.received()) == 1 and len(main.received()) >= 2, 'routes: %d %d' % (
        len(cloud.received()), len(main.received())))
