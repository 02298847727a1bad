# SPDX-License-Identifier: EUPL-1.2
"""A mail comes in by every way that SMTP has, and goes out byte for byte."""
import threading

from harness.accounting import message, split_trace
from harness.gateway import greets
from harness.ports import free_port
from harness.process import Failure, Process, wait_until
from harness.scene import expect
from harness.smtp import Client

HEAD = b'From: <a@partenaire.example>\r\nTo: <b@hopital.test>\r\nSubject: s\r\nMessage-ID: <%s@t>\r\n'

# Bodies that a relay may be tempted to change; (name, everything after the header block).
BODIES = [
    ('plain', b'\r\nBonjour\r\n'),
    ('no header end', b''),
    ('no body', b'\r\n'),
    ('dots', b'\r\n.\r\n..\r\n...x\r\n.x\r\n\r\n.\r\n'),
    ('last line is a dot', b'\r\nx\r\n.\r\n'),
    ('blank lines at the end', b'\r\nx\r\n\r\n\r\n\r\n'),
    ('blanks before line ends', b'\r\nx \t \r\n\t\r\n \r\n'),
    ('8-bit', b'Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n'
        b'\r\n\xc3\xa9\xc3\xa8\xe2\x82\xac\r\n'),
    ('8-bit without a declaration', b'\r\n\xe9\xe8\xff\x80\r\n'),
    ('8-bit in a header', b'X-Nom: H\xe9l\xe8ne\r\n\r\nx\r\n'),
    ('line of 998', b'\r\n' + b'x' * 998 + b'\r\n'),
    ('line of 100,000', b'\r\n' + b'y' * 100000 + b'\r\n'),
    ('header line of 100,000', b'X-Long: ' + b'z' * 100000 + b'\r\n\r\nx\r\n'),
    ('From line', b'\r\nFrom here on\r\n>From there\r\n'),
    ('Return-Path and Bcc stay', b'Return-Path: <old@x.example>\r\nBcc: <c@x.example>\r\n\r\nx\r\n'),
    ('header without a name', b': strange\r\nno colon here\r\n\r\nx\r\n'),
    ('folded header', b'X-Fold: a\r\n b\r\n\tc\r\n\r\nx\r\n'),
    ('control bytes', b'\r\n\x01\x02\x07\x08\x0b\x0c\x1b[31m\x7f\r\n'),
    ('300 KB', b'\r\n' + (b'0123456789' * 7 + b'\r\n') * 4200),
]


def cases(prefix):
    return [('%s-%d' % (prefix, number), name, HEAD % name.replace(' ', '-').encode() + rest)
        for number, (name, rest) in enumerate(BODIES)]


def test_data(scene):
    """Every body comes out as it went in, by DATA."""
    gateway, _ = scene.pair()
    with Client(gateway.receive) as client:
        client.ehlo()
        for local, name, data in cases('data'):
            _, final = scene.accounts.over(client, 'a@partenaire.example',
                [local + '@hopital.test'], data, 'BODY=8BITMIME')
            expect(final.code == 250, '%s: %r' % (name, final))
        client.quit()
    scene.settle()


def test_bdat(scene):
    """The same by BDAT, in one chunk, in small ones and byte by byte."""
    gateway, _ = scene.pair()
    for chunk in (1 << 30, 1000, 7, 1):
        with Client(gateway.receive) as client:
            expect('CHUNKING' in client.ehlo(), 'no CHUNKING')
            for local, name, data in cases('bdat%d' % chunk):
                if len(data) > 3000 and chunk < 1000:
                    continue
                _, final = scene.accounts.over(client, 'a@partenaire.example',
                    [local + '@hopital.test'], data, 'BODY=8BITMIME', bdat=chunk)
                expect(final.code == 250, '%s in chunks of %d: %r' % (name, chunk, final))
            client.quit()
    scene.settle()


def test_bdat_mixed(scene):
    """BDAT and DATA mixed, BDAT without MAIL, BDAT 0 LAST, wrong sizes: refused at once."""
    gateway, _ = scene.pair()
    port = gateway.receive
    with Client(port) as client:
        client.ehlo()
        client.send(b'BDAT 4\r\nab\r\n')
        expect(client.reply().code == 503, 'BDAT without MAIL')
        client.mail('a@partenaire.example', ['x@hopital.test'])
        client.send(b'BDAT 4\r\nab\r\n')
        expect(client.reply().code == 250, 'first chunk')
        expect(client.command('DATA').code == 503, 'DATA after BDAT')
        client.expect('RSET', 250)
        client.mail('a@partenaire.example', ['x@hopital.test'])
        client.send(b'BDAT 0 LAST\r\n')
        empty = client.reply()
        expect(empty.code in (250, 554, 550), 'an empty message: %r' % empty)
        if empty.code == 250:
            scene.accounts.note('a@partenaire.example', ['x@hopital.test'], b'', True)
        client.quit()
    for words in ('BDAT', 'BDAT -1', 'BDAT x', 'BDAT 10x', 'BDAT 4294967296 LAST',
            'BDAT 18446744073709551615', 'BDAT 99999999999999999999', 'BDAT 1 LAST x'):
        with Client(port, timeout=5) as client:
            client.ehlo()
            client.mail('a@partenaire.example', ['x@hopital.test'])
            reply = client.command(words)
            expect(reply.code // 100 == 5, '%s: %r' % (words, reply))
    scene.settle()


def test_pipelined(scene):
    """A whole transaction in one write; three in one write; answers in order."""
    gateway, _ = scene.pair()
    mails = [message() for _ in range(3)]
    script = b'EHLO client.test\r\n'
    for number, data in enumerate(mails):
        script += b'MAIL FROM:<a@partenaire.example>\r\nRCPT TO:<p%d@hopital.test>\r\n' % number
        script += b'BDAT %d LAST\r\n' % len(data) + data
    with Client(gateway.receive) as client:
        client.send(script + b'NOOP\r\n')
        codes = [client.reply().code for _ in range(1 + 3 * 3 + 1)]
        expect(codes == [250] * 11, 'codes %s' % codes)
        client.send(b'MAIL FROM:<a@partenaire.example>\r\nRCPT TO:<p3@hopital.test>\r\nDATA\r\n')
        codes = [client.reply().code for _ in range(3)]
        expect(codes == [250, 250, 354], 'codes %s' % codes)
        final = client.finish(mails[0])
        client.quit()
    for number, data in enumerate(mails):
        scene.accounts.note('a@partenaire.example', ['p%d@hopital.test' % number], data, True)
    scene.accounts.note('a@partenaire.example', ['p3@hopital.test'], mails[0],
        final.code == 250, final)
    scene.settle()


def test_split_anywhere(scene):
    """The same session, cut at every byte into two writes."""
    gateway, _ = scene.pair()
    data = message(body='a\r\n.b\r\n\r\n')
    wire = data.replace(b'\r\n.', b'\r\n..') + b'.\r\n'
    step = scene.by_tier(5, 1)
    with Client(gateway.receive) as client:
        client.ehlo()
        for cut in range(1, len(wire), step):
            local = 'cut%d@hopital.test' % cut
            client.mail('a@partenaire.example', [local])
            client.expect('DATA', 354)
            client.send(wire[:cut])
            client.send(wire[cut:])
            final = client.reply()
            scene.accounts.note('a@partenaire.example', [local], data, final.code == 250, final)
            expect(final.code == 250, 'cut at %d: %r' % (cut, final))
        client.quit()
    scene.settle()


def test_many_recipients(scene):
    """One message to 100 people is delivered to each of them, and stored once."""
    gateway, sink = scene.pair()
    people = ['person%d@hopital.test' % n for n in range(100)]
    replies, final = scene.accounts.post(gateway.receive, 'a@partenaire.example', people,
        message(size=20000))
    expect(all(r.code == 250 for r in replies) and final.code == 250, repr(final))
    scene.settle()
    expect(len(sink.received()) <= 10, '%d transactions for 100 recipients of one route' % len(
        sink.received()))


def test_too_many_recipients(scene):
    """5,000 recipients: the first 100 at least are taken, then 452, and the session goes on."""
    gateway, _ = scene.pair()
    with Client(gateway.receive) as client:
        client.ehlo()
        client.expect('MAIL FROM:<a@partenaire.example>', 250)
        people = ['n%d@hopital.test' % n for n in range(5000)]
        codes = []
        for start in range(0, 5000, 100):
            client.send(b''.join(b'RCPT TO:<%s>\r\n' % p.encode()
                for p in people[start:start + 100]))
            try:
                codes += [client.reply().code for _ in range(100)]
            except Failure:
                break
            if codes[-1] != 250:
                break
        taken = codes.count(250)
        expect(100 <= taken <= 1000 and codes[:taken] == [250] * taken, 'taken %d' % taken)
        expect(codes[taken] == 452, 'then %d' % codes[taken])
        data = message()
        final = client.body(data)
        expect(final.code == 250, repr(final))
        client.quit()
    scene.accounts.note('a@partenaire.example', people[:taken], data, True)
    scene.settle()


def test_utf8(scene):
    """SMTPUTF8: addresses and headers in UTF-8 reach a next hop that can, unchanged."""
    gateway, sink = scene.pair()
    data = message('andré@exemple.example', extra='X-Médecin: Élodie\r\n')
    with Client(gateway.receive) as client:
        expect('SMTPUTF8' in client.ehlo(), 'no SMTPUTF8')
        _, final = scene.accounts.over(client, 'andré@exemple.example', ['héloïse@hopital.test'],
            data, 'SMTPUTF8 BODY=8BITMIME')
        expect(final.code == 250, repr(final))
        client.quit()
    scene.settle()
    words = sink.received()[0].sender_words.upper()
    expect('SMTPUTF8' in words, 'MAIL without SMTPUTF8: %r' % words)


def test_utf8_refused_by_next_hop(scene):
    """SMTPUTF8 towards a hop that cannot: the sender is told, nothing is mangled."""
    sink = scene.sink(extensions=('PIPELINING', 'SIZE 1000000', '8BITMIME'))
    gateway = scene.gateway(sink)
    data = message('a@partenaire.example', extra='X-Médecin: Élodie\r\n')
    scene.accounts.post(gateway.receive, 'a@partenaire.example', 'héloïse@hopital.test', data,
        'SMTPUTF8 BODY=8BITMIME')
    fates = scene.settle()
    expect(fates['bounced'] == 1, 'fates %s' % fates)


def test_trace(scene):
    """One Received field of ours stands before the message and says from whom, by whom, for whom
    the protocol was; its id is what `vgm track` finds."""
    gateway, sink = scene.pair()
    data = message()
    scene.accounts.post(gateway.receive, 'a@partenaire.example', 'un@hopital.test', data)
    scene.settle()
    trace = split_trace(sink.received()[0].data, data).decode()
    expect(trace.count('Received:') == 1, trace)
    for word in ('from client.test', '127.0.0.1', 'by gw.hopital.test', 'with ESMTP', 'id '):
        expect(word in trace, '%r is not in %r' % (word, trace))
    expect(all(len(line) <= 998 for line in trace.split('\r\n')), 'a long line: ' + trace)


def test_large(scene):
    """A message of 30 MB passes; the memory of the tree stays far below it times sessions."""
    gateway, _ = scene.pair()
    data = message(size=30 << 20)
    _, final = scene.accounts.post(gateway.receive, 'a@partenaire.example', 'gros@hopital.test',
        data, timeout=60)
    expect(final.code == 250, repr(final))
    scene.settle(seconds=60)


def test_sessions(scene):
    """20 sessions of 20 messages each at one time, then every one is there."""
    gateway, sink = scene.pair()
    failures = []

    def session(number):
        try:
            with Client(gateway.receive) as client:
                client.ehlo()
                for each in range(20):
                    _, final = scene.accounts.over(client, 's%d@partenaire.example' % number,
                        ['s%d-%d@hopital.test' % (number, each)], message(size=3000 * each))
                    expect(final.code == 250, repr(final))
                client.quit()
        except Exception as error:
            failures.append(error)
    threads = [threading.Thread(target=session, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    scene.settle(seconds=60)
    expect(len(sink.sessions) < 400, 'a connection for each message: none was used twice')


def test_submitted(scene):
    """Mail from inside for any domain goes out by submit; from outside it is relaying."""
    gateway, _ = scene.pair()
    _, final = scene.accounts.post(gateway.submit, 'c@hopital.test', 'x@ailleurs.example',
        message('c@hopital.test'))
    expect(final.code == 250, repr(final))
    replies, _ = scene.accounts.post(gateway.receive, 'c@hopital.test', 'x@ailleurs.example',
        message('c@hopital.test'))
    expect(replies[0].code // 100 == 5, 'relaying: %r' % replies[0])
    expect(replies[0].enhanced() and replies[0].enhanced().startswith('5.7'), repr(replies[0]))
    scene.settle()


def test_serve_without_file(scene):
    """`vgm serve --domain --listen --relay --state` alone is a complete gateway."""
    sink, port, inside = scene.sink(), free_port(), free_port()
    state = scene.directory('trial')
    process = Process([scene.vgm, 'serve', '--domain', 'essai.test', '--listen',
        '127.0.0.1:%d' % port, '--submit', '127.0.0.1:%d' % inside, '--relay', sink.hostport(),
        '--state', state],
        scene.path + '/trial.log')
    try:
        wait_until('ready', lambda: greets(port), 20)
        expect(len(process.log().strip().splitlines()) >= 1, 'no line when ready')
        _, final = scene.accounts.post(port, 'a@partenaire.example', 'b@essai.test', message())
        expect(final.code == 250, repr(final))
        _, final = scene.accounts.post(inside, 'b@essai.test', 'x@ailleurs.example', message())
        expect(final.code == 250, 'loopback may submit: %r' % final)
        scene.settle()
    finally:
        code = process.stop()
    expect(code == 0, 'exit %d after SIGTERM: %s' % (code, process.log()[-1000:]))
