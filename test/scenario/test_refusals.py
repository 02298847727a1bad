# SPDX-License-Identifier: EUPL-1.2
"""What is refused, with which code, and that the session goes on in step after it."""
from harness.accounting import message
from harness.process import Failure
from harness.scene import expect
from harness.smtp import Client, Closed, stuff

PEOPLE = '''# the people of these dialogues
marie.dubois@hopital.test
paul.martin@hopital.test
'''

TO = 'RCPT TO:<marie.dubois@hopital.test>'
FROM = 'MAIL FROM:<a@partenaire.example>'

# A dialogue: (command, code or class) pairs after EHLO; 0 = the connection is closed.
DIALOGUES = [
    ('DATA first', [('DATA', 503)]),
    ('RCPT first', [(TO, 503)]),
    ('MAIL twice', [(FROM, 250), (FROM, 503), (TO, 250)]),
    ('DATA without RCPT', [(FROM, 250), ('DATA', 503)]),
    ('DATA after all RCPTs were refused', [(FROM, 250),
        ('RCPT TO:<nobody@hopital.test>', 550), ('DATA', 5)]),
    ('RSET forgets', [(FROM, 250), (TO, 250), ('RSET', 250), ('DATA', 503)]),
    ('EHLO forgets', [(FROM, 250), (TO, 250), ('EHLO again.test', 250), ('DATA', 503)]),
    ('unknown command', [('FROBNICATE', 500), ('NOOP', 250)]),
    ('empty command', [('', 500), ('NOOP', 250)]),
    ('HELP, VRFY, EXPN tell nothing', [('VRFY marie.dubois', 252), ('EXPN staff', 5)]),
    ('lower case', [('mail from:<a@partenaire.example>', 250),
        ('rcpt to:<marie.dubois@hopital.test>', 250), ('rset', 250)]),
    ('null sender', [('MAIL FROM:<>', 250), (TO, 250)]),
    ('unknown recipient', [(FROM, 250), ('RCPT TO:<nobody@hopital.test>', 550), (TO, 250)]),
    ('relaying', [(FROM, 250), ('RCPT TO:<x@ailleurs.example>', 5), (TO, 250)]),
    ('relaying by percent, bang, source route', [(FROM, 250),
        ('RCPT TO:<x%ailleurs.example@hopital.test>', 5),
        ('RCPT TO:<ailleurs.example!x@hopital.test>', 5),
        ('RCPT TO:<@hopital.test:x@ailleurs.example>', 5)]),
    ('postmaster exists', [(FROM, 250), ('RCPT TO:<postmaster@hopital.test>', 250),
        ('RCPT TO:<Postmaster>', 250)]),
    ('sender syntax', [('MAIL FROM:a@b.example', 501), ('MAIL FROM:<a@b', 501),
        ('MAIL FROM:<a b@c.example>', 501), ('MAIL FROM:<@>', 501), ('MAIL FROM <a@b.example>', 501),
        ('MAIL FROM:<a@b.example> NONSENSE=1', 5), ('MAIL FROM:<a@-b.example>', 501),
        ('MAIL FROM:<a@b..example>', 501)]),
    ('recipient syntax', [(FROM, 250), ('RCPT TO:<>', 5), ('RCPT TO:<@>', 501),
        ('RCPT TO:marie', 501), ('RCPT TO:<marie.dubois@hopital.test> X=1', 5)]),
    ('SIZE', [('MAIL FROM:<a@b.example> SIZE=999999999999', 552),
        ('MAIL FROM:<a@b.example> SIZE=99999999999999999999999', 5),
        ('MAIL FROM:<a@b.example> SIZE=-1', 501), ('MAIL FROM:<a@b.example> SIZE=x', 501),
        ('MAIL FROM:<a@b.example> SIZE=10 SIZE=10', 501),
        ('MAIL FROM:<a@b.example> SIZE=10', 250)]),
    ('BODY', [('MAIL FROM:<a@b.example> BODY=9BIT', 501), ('MAIL FROM:<a@b.example> BODY=7BIT', 250)]),
    ('DSN words', [('MAIL FROM:<a@b.example> RET=SOME', 501),
        ('MAIL FROM:<a@b.example> RET=HDRS ENVID=a+0Db', 501),
        ('MAIL FROM:<a@b.example> RET=HDRS ENVID=a+ZZb', 501),
        ('MAIL FROM:<a@b.example> RET=HDRS ENVID=abc+2Bd', 250),
        (TO + ' NOTIFY=NEVER,SUCCESS', 501), (TO + ' NOTIFY=SOMETIMES', 501),
        (TO + ' ORCPT=rfc822;a+0D+0ARCPT', 501), (TO + ' ORCPT=marie', 501),
        (TO + ' NOTIFY=SUCCESS,DELAY ORCPT=rfc822;m@hopital.test', 250)]),
    ('UTF-8 without SMTPUTF8', [('MAIL FROM:<andré@b.example>', 5), (FROM, 250),
        ('RCPT TO:<hélène@hopital.test>', 5)]),
    ('XCLIENT, XFORWARD from a stranger', [('XCLIENT ADDR=1.2.3.4', 5),
        ('XFORWARD ADDR=1.2.3.4', 5)]),
    ('PROXY from a stranger', [('PROXY TCP4 1.2.3.4 1.2.3.4 1 1', 5), ('NOOP', 0)]),
    ('STARTTLS with words, inside MAIL', [('STARTTLS now', 501), (FROM, 250), ('STARTTLS', 503)]),
    ('AUTH where nobody signs in', [('AUTH PLAIN AGEAYg==', 5)]),
    ('shell and expansion texts are only names', [(FROM, 250),
        ('RCPT TO:<`touch${IFS}x`@hopital.test>', 5), ('RCPT TO:<${run{/bin/sh}}@hopital.test>', 5),
        ('RCPT TO:<|/bin/sh@hopital.test>', 5), ('RCPT TO:<../../etc/passwd@hopital.test>', 5),
        ('MAIL FROM:<;touch${IFS}x;@b.example>', 5)]),
    ('QUIT, then nothing', [('QUIT', 221), ('NOOP', 0)]),
]


def test_dialogues(scene):
    """Wrong order, wrong syntax, unknown recipients, relaying: the right code, session usable."""
    gateway, sink = scene.pair(directory_text=PEOPLE)
    faults = []
    for name, dialogue in DIALOGUES:
        with Client(gateway.receive, timeout=5) as client:
            client.ehlo()
            for command, code in dialogue:
                try:
                    got = client.command(command).code
                except (Closed, OSError):
                    got = 0
                if got != code and (code == 0 or got // 100 != code):
                    faults.append('%s: %r → %d, not %d' % (name, command, got, code))
                if got == 0:
                    break
            else:
                if not client.is_open():
                    faults.append(name + ': the session is not usable any more')
    expect(not faults, '; '.join(faults))
    scene.settle()
    expect(not sink.received(), 'something was delivered')


# Raw bytes as a command: (name, bytes, acceptable codes; 0 = cut).
RAW = [
    ('ends LF', b'NOOP\n', (500, 501, 0)),
    ('ends CR, then more', b'NOOP\rNOOP\r\n', (500, 501, 0)),
    ('ends CRCRLF', b'NOOP\r\r\n', (500, 501, 0)),
    ('NUL', b'NO\0OP\r\n', (500, 501, 0)),
    ('ESC', b'\x1b[31mNOOP\r\n', (500, 501, 0)),
    ('two in one by LF', b'MAIL FROM:<a@b.example>\nRCPT TO:<c@hopital.test>\r\n', (500, 501, 0)),
    ('512 bytes', b'NOOP ' + b'x' * 507 + b'\r\n', (250, 500, 501)),
    ('4 KB', b'NOOP ' + b'x' * 4096 + b'\r\n', (500, 0)),
    ('64 KB', b'NOOP ' + b'x' * 65536 + b'\r\n', (500, 0)),
    ('16 MB', b'NOOP ' + b'x' * (16 << 20) + b'\r\n', (500, 0)),
    ('overlong UTF-8', b'MAIL FROM:<a\xc0\xaf@b.example> SMTPUTF8\r\n', (500, 501, 553, 0)),
    ('surrogate', b'MAIL FROM:<a\xed\xa0\x80@b.example> SMTPUTF8\r\n', (500, 501, 553, 0)),
    ('invalid UTF-8', b'MAIL FROM:<a\xff@b.example> SMTPUTF8\r\n', (500, 501, 553, 0)),
    ('HTTP', b'POST / HTTP/1.1\r\nHost: x\r\n\r\n', (500, 501, 502, 421, 554, 0)),
    ('Redis', b'*1\r\n$4\r\nPING\r\n', (500, 501, 502, 421, 554, 0)),
]


def test_raw_commands(scene):
    """Commands that end wrongly, never end or hold strange bytes: one refusal or a cut, never two
    commands."""
    gateway, _ = scene.pair()
    faults = []
    for name, data, codes in RAW:
        with Client(gateway.receive, timeout=10) as client:
            client.ehlo()
            try:
                client.send(data)
                got = client.reply().code
            except (Closed, OSError):
                got = 0
            if got not in codes:
                faults.append('%s: %d' % (name, got))
            if got and name in ('ends LF', 'two in one by LF', 'ends CR, then more'):
                client.socket.settimeout(0.3)
                try:
                    extra = client.reply()
                    if extra.code == 250:
                        faults.append('%s: a second reply %r' % (name, extra))
                except (Closed, OSError):
                    pass
    expect(not faults, '; '.join(faults))
    scene.settle()


def test_first_line_is_not_smtp(scene):
    """HTTP or Redis at the SMTP port are cut at the first line."""
    gateway, _ = scene.pair()
    for first in (b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n', b'GET / HTTP/1.0\r\n\r\n',
            b'*1\r\n$4\r\nPING\r\n', b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + b'\0' * 40 + b'\r\n'):
        with Client(gateway.receive, timeout=5) as client:
            client.send(first + b'MAIL FROM:<a@b.example>\r\n' * 5)
            got = []
            try:
                while True:
                    got.append(client.reply().code)
            except (Failure, OSError):
                pass
            expect(250 not in got and len(got) <= 2, '%r: %s' % (first[:20], got))
    scene.settle()


def test_body_before_354(scene):
    """A body that does not wait for 354 is not taken for commands or for a second mail."""
    gateway, sink = scene.pair()
    with Client(gateway.receive, timeout=5) as client:
        client.ehlo()
        client.send(b'MAIL FROM:<a@b.example>\r\nRCPT TO:<x@hopital.test>\r\nDATA\r\n'
            b'Subject: one\r\nMessage-ID: <early@t>\r\n\r\nx\r\n.\r\n'
            b'MAIL FROM:<evil@b.example>\r\nRCPT TO:<y@hopital.test>\r\nQUIT\r\n')
        codes = []
        try:
            while True:
                codes.append(client.reply().code)
        except (Failure, OSError):
            pass
    if 354 in codes and codes[codes.index(354) + 1:][:1] == [250]:
        scene.accounts.note('a@b.example', ['x@hopital.test'],
            b'Subject: one\r\nMessage-ID: <early@t>\r\n\r\nx\r\n', True)
    scene.settle()
    expect(all(d.sender != 'evil@b.example' for d in sink.received()), 'a second mail')


# Bodies that must be refused: (name, bytes as sent between DATA's 354 and CRLF.CRLF).
BAD_BODIES = [
    ('bare LF', b'Subject: x\n\nhello\n\r\n'),
    ('bare CR', b'Subject: x\r\n\r\nhel\rlo\r\n'),
    ('bare LF in a header', b'Subject: x\nX-Evil: 1\r\n\r\nhello\r\n'),
    ('NUL in the header', b'Subject: x\0y\r\n\r\nhello\r\n'),
    ('NUL in the body', b'Subject: x\r\n\r\nhe\0llo\r\n'),
    ('CRCRLF', b'Subject: x\r\r\n\r\nhello\r\n'),
]


def test_bodies(scene):
    """Bare CR, bare LF and NUL in a body: refused after the dot, session in step, by DATA and by
    BDAT."""
    gateway, _ = scene.pair()
    faults = []
    for way in ('DATA', 'BDAT'):
        for name, data in BAD_BODIES:
            with Client(gateway.receive, timeout=10) as client:
                client.ehlo()
                client.mail('a@partenaire.example', ['x@hopital.test'])
                final = client.body(data) if way == 'DATA' else client.bdat(data)
                scene.accounts.note('a@partenaire.example', ['x@hopital.test'], data,
                    final.code == 250, final)
                if final.code // 100 != 5:
                    faults.append('%s by %s: %r' % (name, way, final))
                if not client.is_open():
                    faults.append('%s by %s: session is cut' % (name, way))
    expect(not faults, '; '.join(faults))
    scene.settle()


def test_oversize(scene):
    """Too large: 552 at MAIL when it is announced, after the dot when it is not; by BDAT as soon as
    the sum is too large; the session goes on."""
    gateway, _ = scene.pair(options={'smtp': {'max_size': '100K'}})
    data = message(size=150000)
    with Client(gateway.receive) as client:
        expect(client.ehlo().get('SIZE') == ['102400'], 'SIZE in EHLO')
        expect(client.command('MAIL FROM:<a@b.example> SIZE=150000').code == 552, 'announced')
        client.mail('a@b.example', ['x@hopital.test'])
        final = client.body(data)
        expect(final.code == 552, 'after the dot: %r' % final)
        client.mail('a@b.example', ['x@hopital.test'])
        final = client.bdat(data, 60000)
        expect(final.code == 552, 'by BDAT: %r' % final)
        client.command('RSET')
        _, final = scene.accounts.over(client, 'a@b.example', ['x@hopital.test'],
            message(size=50000), 'SIZE=10')
        expect(final.code in (250, 552), 'more than announced: %r' % final)
        _, final = scene.accounts.over(client, 'a@b.example', ['juste@hopital.test'],
            message(size=102400))
        expect(final.code == 250, 'exactly the largest size: %r' % final)
        client.quit()
    scene.settle()


def test_loops(scene):
    """50 Received fields, or our own name too often: a loop, 5xx at the dot."""
    gateway, _ = scene.pair()
    hop = 'Received: from a.example by b.example; Mon, 23 Nov 2026 09:00:00 +0100\r\n'
    for count, code in ((10, 250), (49, 250), (50, 554), (5000, 554)):
        data = hop.encode() * count + message()
        _, final = scene.accounts.post(gateway.receive, 'a@b.example', 'l%d@hopital.test' % count,
            data)
        expect(final.code // 100 == code // 100, '%d hops: %r' % (count, final))
    scene.settle()


def test_header_sizes(scene):
    """Header lines of 100 KB and 8 MB, 50,000 fields: kept whole or refused, never cut."""
    gateway, _ = scene.pair()
    for name, block in (('100 KB', 'X-Long: %s\r\n' % ('a' * 102500)),
            ('8 MB', 'X-Long: %s\r\n' % ('b' * (8 << 20))),
            ('50,000 fields', 'X-Field: y\r\n' * 50000),
            ('100,000 folds', 'X-Fold: a\r\n' + ' b\r\n' * 100000),
            ('100,000 addresses', 'To: %s\r\n' % ',\r\n '.join(['x@y.example'] * 100000))):
        data = block.encode() + message()
        _, final = scene.accounts.post(gateway.receive, 'a@b.example', 'h@hopital.test', data,
            timeout=60)
        expect(final.code == 250 or final.code // 100 == 5, '%s: %r' % (name, final))
    scene.settle()


def test_junk_is_limited(scene):
    """1,000 of the same idle command: 421 within 100."""
    gateway, _ = scene.pair()
    for command in ('NOOP', 'RSET', 'VRFY x', 'EHLO x', 'JUNK', 'RCPT TO:<>'):
        with Client(gateway.receive, timeout=5) as client:
            client.ehlo()
            codes = []
            try:
                for _ in range(1000):
                    codes.append(client.command(command).code)
            except (Failure, OSError):
                pass
            expect(len(codes) <= 100 and codes[-1] == 421, '%s: %d replies, last %s' % (command,
                len(codes), codes[-1:]))
    scene.settle()


def test_disconnects(scene):
    """The client goes, by FIN or by reset, at every stage up to CRLF.CR: nothing is delivered, and
    no session stays behind."""
    gateway, sink = scene.pair()
    data = stuff(message())
    stages = [b'', b'EHLO x\r\n', b'MAIL FROM:<a@b.example>\r\n', b'RCPT TO:<gone@hopital.test>\r\n',
        b'DATA\r\n', data[:10], data[10:], b'.', b'\r']
    for last in range(1, len(stages) + 1):
        for way in ('fin', 'reset'):
            client = Client(gateway.receive)
            for number, piece in enumerate(stages[:last]):
                client.send(piece)
                if 1 <= number <= 4:
                    client.reply()
            client.close() if way == 'fin' else client.reset()
    scene.accounts.post(gateway.receive, 'a@b.example', 'after@hopital.test', message())
    scene.settle()
    expect(not sink.to('gone@hopital.test'), 'a torn message was delivered')


def test_escapes_in_logs(scene):
    """Control bytes in HELO, MAIL and Subject never reach the log or a list raw."""
    gateway, _ = scene.pair()
    with Client(gateway.receive) as client:
        client.send(b'EHLO \x1b[31mred\r\n')
        client.reply()
        client.ehlo()
        data = message(subject='\x1b]0;owned\x07 x')
        scene.accounts.over(client, 'a@b.example', ['esc@hopital.test'], data)
        client.quit()
    scene.settle()
    with open(gateway.log_path, 'rb') as log:
        raw = log.read()
    expect(b'\x1b' not in raw and b'\x07' not in raw, 'raw control bytes in the log')
    for words in (('track', 'esc@hopital.test'), ('search', 'to:esc@hopital.test')):
        out = gateway.run(*words, expect=None, raw=True)
        expect(b'\x1b' not in out and b'\x07' not in out, 'raw control bytes in a list')
