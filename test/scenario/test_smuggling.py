# SPDX-License-Identifier: EUPL-1.2
"""SMTP smuggling: nothing but CRLF.CRLF ends a message, and nothing bare ever leaves."""
import itertools
import re

from harness.corpus import smuggling
from harness.process import Failure
from harness.scene import Skip, expect
from harness.smtp import Client

EVIL = 'evil@attacker.example'

# Our own variants: each line end of the end-of-data replaced by each wrong one.
WRONG = [b'\n', b'\r', b'\r\r\n', b'\n\n', b'\r\0\n', b'\0', b'\x0b', b'\x85', b'\r\n\0']


def own_variants():
    found = [before + b'.' + after
        for before, after in itertools.product([b'\r\n', *WRONG], repeat=2)]
    return [('own %r' % each, each) for each in found if b'\r\n.\r\n' not in each]


def attack(sequence):
    """What a smuggler sends: a body, the false end, a whole second transaction."""
    return (b'Subject: outer\r\nMessage-ID: <outer@t>\r\n\r\nbody' + sequence +
        b'MAIL FROM:<%s>\r\nRCPT TO:<victim@hopital.test>\r\nDATA\r\n' % EVIL.encode() +
        b'Subject: smuggled\r\nMessage-ID: <inner@t>\r\n\r\nevil\r\n')


def undotted(data):
    """What a server makes of these bytes inside DATA."""
    return re.sub(rb'(^|\r\n)\.', rb'\1', data)


def replies_until_closed(client, data):
    client.send(data)
    codes = []
    try:
        while True:
            codes.append(client.reply().code)
    except (Failure, OSError):
        return codes


def run(scene, variants, way):
    gateway, sink = scene.pair()
    faults, taken = [], 0
    for number, (name, sequence) in enumerate(variants):
        data = attack(sequence)
        local = 'v%d@hopital.test' % number
        with Client(gateway.receive, timeout=10) as client:
            client.ehlo()
            client.mail('a@partenaire.example', [local])
            if way == 'DATA':
                client.expect('DATA', 354)
                client.send(data + b'\r\n.\r\n')
                kept = undotted(data) + b'\r\n'
            else:
                client.send(b'BDAT %d LAST\r\n' % len(data) + data)
                kept = data
            codes = replies_until_closed(client, b'NOOP\r\nQUIT\r\n')
        if codes[1:] != [250, 221]:
            faults.append('%s: replies %s: hidden commands were read' % (name, codes))
        taken += codes[0] == 250
        scene.accounts.note('a@partenaire.example', [local], kept, codes[0] == 250)
        if codes[0] != 250 and codes[0] // 100 != 5:
            faults.append('%s: %s' % (name, codes))
    expect(not faults, '%d of %d: %s' % (len(faults), len(variants), '; '.join(faults[:8])))
    scene.count('%d variants, %d refused' % (len(variants), len(variants) - taken))
    scene.settle()
    expect(all(d.sender != EVIL for d in sink.deliveries), 'a smuggled message was delivered')
    expect(not sink.to('victim@hopital.test'), 'a smuggled message was delivered')


def test_data(scene):
    """Every false end of data that we can think of, in DATA."""
    run(scene, own_variants(), 'DATA')


def test_bdat(scene):
    """The same inside BDAT, then sent out by DATA."""
    run(scene, own_variants(), 'BDAT')


def test_known_tools(scene):
    """The sequences of the public smuggling tools, in DATA and in BDAT."""
    variants = smuggling()
    if not variants:
        raise Skip('the conformance folder is not beside the project')
    run(scene, variants, 'DATA')
    run(scene, variants, 'BDAT')


def test_split_ends(scene):
    """A false end that arrives in two packets, cut at every byte."""
    gateway, sink = scene.pair()
    for number, (_, sequence) in enumerate(own_variants()[::scene.by_tier(9, 1)]):
        for cut in range(1, len(sequence)):
            with Client(gateway.receive, timeout=10) as client:
                client.ehlo()
                client.mail('a@partenaire.example', ['s%d-%d@hopital.test' % (number, cut)])
                client.expect('DATA', 354)
                client.send(b'Subject: x\r\n\r\nx' + sequence[:cut])
                client.send(sequence[cut:] + b'MAIL FROM:<%s>\r\n' % EVIL.encode())
                client.send(b'\r\n.\r\n')
                final = client.reply()
                data = b'Subject: x\r\n\r\nx' + sequence + b'MAIL FROM:<%s>\r\n\r\n' % EVIL.encode()
                scene.accounts.note('a@partenaire.example', ['s%d-%d@hopital.test' % (number, cut)],
                    undotted(data), final.code == 250, final)
    scene.settle()
    expect(all(d.sender != EVIL for d in sink.deliveries), 'a smuggled message was delivered')
