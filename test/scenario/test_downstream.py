# SPDX-License-Identifier: EUPL-1.2
"""Next hops that say no, say nothing, drop, lie or attack; and what the sender hears of it."""
import email
import email.policy
import threading
import time

from harness.accounting import message, notice_facts
from harness.ports import free_port
from harness.process import wait_until
from harness.scene import expect
from harness.sink import DROP, RESET, STALL
from harness.smtp import Client

STAGES = ('connect', 'ehlo', 'mail', 'rcpt', 'data', 'dot')


def once(stage_wanted, reply, times=1):
    """Replies of a sink that misbehaves that many times at one stage, then is well."""
    left = [times]

    def replies(session, stage, detail):
        if stage == stage_wanted and left[0] > 0:
            left[0] -= 1
            return reply
    return replies


def test_temporary(scene):
    """4xx at every stage: the message waits and is delivered at the next attempt."""
    for stage in STAGES:
        sink = scene.sink(once(stage, b'451 4.3.0 later'))
        gateway = scene.gateway(sink)
        _, final = scene.accounts.post(gateway.receive, 'a@b.example', stage + '@hopital.test',
            message())
        expect(final.code == 250, repr(final))
    scene.settle()


def test_permanent(scene):
    """5xx for one recipient of three: that one's failure is told to the sender, others get it."""
    def replies(session, stage, detail):
        if stage == 'rcpt' and detail.startswith('parti'):
            return b'550 5.1.1 No such person here'
    sink = scene.sink(replies)
    gateway = scene.gateway(sink)
    scene.accounts.post(gateway.submit, 'chef@hopital.test',
        ['un@hopital.test', 'parti@hopital.test', 'deux@hopital.test'], message())
    fates = scene.settle()
    expect(fates['delivered'] == 2 and fates['bounced'] == 1, 'fates %s' % fates)
    notice = sink.to('chef@hopital.test')[0]
    text = notice.data.decode('utf-8', 'replace')
    expect('No such person here' in text, 'the peer\'s own words are missing')
    expect('5.1.1' in text, 'the status is missing')


def test_permanent_stages(scene):
    """5xx at MAIL, RCPT, DATA and after the dot: a notice each; at the greeting it is not yet
    the end."""
    for stage in ('mail', 'rcpt', 'data', 'dot'):
        def replies(session, at, detail, stage=stage):
            if at == stage and session.sender != '' and (at != 'mail' or '<>' not in detail) and (
                    at != 'dot' or detail.sender != ''):
                return b'554 5.7.1 no'
        sink = scene.sink(replies)
        gateway = scene.gateway(sink)
        scene.accounts.post(gateway.submit, 'chef@hopital.test', stage + '@ailleurs.example',
            message())
    fates = scene.settle()
    expect(fates['bounced'] == 4, 'fates %s' % fates)


def test_drops(scene):
    """The connection ends at every stage, by FIN or reset: tried again, delivered once; after the
    dot at most one duplicate."""
    for act in (DROP, RESET):
        for stage in STAGES:
            sink = scene.sink(once(stage, act))
            gateway = scene.gateway(sink)
            scene.accounts.post(gateway.receive, 'a@b.example', '%s%d@hopital.test' % (stage,
                act is DROP), message())
    scene.settle()
    for sink in scene.sinks:
        expect(len({d.data.split(b'Message-ID:')[1][:40] for d in sink.deliveries}) == 1,
            'another Message-ID at the second attempt')


def test_silence(scene):
    """A next hop that never answers: time-outs count, others are served meanwhile."""
    dead = scene.sink(lambda session, stage, detail: STALL if stage == 'mail' else None)
    fine = scene.sink()
    gateway = scene.gateway(options={
        'routes': [{'name': 'dead', 'domains': ['dead.example'], 'to': [dead.hostport()]},
            {'name': 'fine', 'domains': ['*'], 'to': [fine.hostport()]}],
        'relay': {'reply_timeout': '2s', 'connect_timeout': '2s'}})
    for number in range(5):
        scene.accounts.post(gateway.submit, 'a@hopital.test', 'd%d@dead.example' % number, message())
    begin = time.monotonic()
    scene.accounts.post(gateway.submit, 'a@hopital.test', 'x@fine.example', message())
    wait_until('the other destination', lambda: fine.to('x@fine.example'), 2)
    expect(time.monotonic() - begin < 2, 'it waited for the dead one')
    wait_until('deferred', lambda: len(gateway.queue()) == 5, 10, 0.2)
    dead.replies = None
    scene.settle(seconds=40)


def writes(data, then=True):
    def act(connection):
        connection.sendall(data)
        return then
    act.says = data
    return act


def endless(connection):
    for _ in range(4000):
        connection.sendall(b'250-more\r\n' * 100)
    return False


def endless_line(connection):
    for _ in range(400):
        connection.sendall(b'2' * 65536)
    return False


# What a hostile next hop says at EHLO, MAIL and the dot.
HOSTILE = [
    ('bare LF', writes(b'250 ok\n')),
    ('LF in the text', writes(b'250-a\n250 b\r\n')),
    ('NUL', writes(b'250 o\0k\r\n')),
    ('ESC', writes(b'451 4.0.0 \x1b[31m\x07red\r\n')),
    ('no number', writes(b'hello\r\n')),
    ('number too large', writes(b'999 x\r\n')),
    ('number too short', writes(b'25 x\r\n')),
    ('mixed numbers', writes(b'250-a\r\n451 b\r\n')),
    ('line of 100 KB', writes(b'250 ' + b'x' * 100000 + b'\r\n')),
    ('endless lines', endless),
    ('endless line', endless_line),
    ('two replies', writes(b'250 a\r\n250 b\r\n250 c\r\n')),
    ('354 out of place', writes(b'354 go\r\n')),
    ('221', writes(b'221 bye\r\n')),
    ('421', writes(b'421 4.3.2 bye\r\n')),
    ('text with our commands', writes(b'451 4.0.0 x MAIL FROM:<evil@b.example>\r\n')),
]


def test_hostile(scene):
    """Hostile replies at every stage: nothing crashes, no memory is eaten, the mail waits, and is
    delivered when the hop is well again."""
    state = {}
    lock = threading.Lock()

    def replies(session, stage, detail):
        with lock:
            act = state.get(stage)
        return act
    sink = scene.sink(replies)
    gateway = scene.gateway(sink, options={'queue': {'retry': ['1s']},
        'relay': {'reply_timeout': '3s', 'reuse_timeout': '0s'}})
    for number, (name, act) in enumerate(HOSTILE):
        for stage in scene.by_tier(('ehlo', 'dot'), STAGES):
            with lock:
                state.clear()
                state[stage] = act
            sessions = len(sink.sessions)
            scene.accounts.post(gateway.receive, 'a@b.example',
                'h%d-%s@hopital.test' % (number, stage), message())
            wait_until('%s at %s: an attempt' % (name, stage),
                lambda: len(sink.sessions) > sessions, 15)
            time.sleep(0.2)
    with lock:
        state.clear()
    expect('relayd' in gateway.roles(), 'relayd is away')
    scene.count('%d replies × stages' % len(HOSTILE))
    # A reply that cannot be understood after the dot may have been a "yes": one duplicate each.
    scene.settle(seconds=25, duplicates=3 * len(HOSTILE))
    expect(b'\x1b' not in open(gateway.log_path, 'rb').read(), 'raw control bytes in the log')


def test_back_off(scene):
    """4xx for long: attempts get rarer, a warning after the set time, a failure notice at the end
    of the set time; the notices are well-formed and hold headers only."""
    def replies(session, stage, detail):
        if stage == 'rcpt' and detail == 'lent@hopital.test':
            return b'450 4.2.1 try later'
    sink = scene.sink(replies)
    gateway = scene.gateway(sink, options={'queue': {'retry': ['1s', '2s', '4s'],
        'expire': '12s', 'warn_after': '3s'}})
    data = message('chef@hopital.test', body='SECRET ' * 50000)
    scene.accounts.post(gateway.submit, 'chef@hopital.test', 'lent@hopital.test', data)
    fates = scene.settle(seconds=40)
    expect(fates['bounced'] == 1 and fates['notice delayed'] == 1, 'fates %s' % fates)
    attempts = sum(b'RCPT TO:<lent@' in c for s in sink.sessions for c in s.commands)
    expect(2 <= attempts <= 8, '%d attempts' % attempts)
    for notice in sink.to('chef@hopital.test'):
        check_notice(notice, data)


def check_notice(notice, original):
    """RFC 3464: parts, fields, the null sender, headers of the original only."""
    expect(notice.sender == '', 'sender <%s>' % notice.sender)
    parsed = email.message_from_bytes(notice.data, policy=email.policy.default)
    expect(not parsed.defects, 'defects: %s' % parsed.defects)
    expect(parsed.get_content_type() == 'multipart/report' and
        parsed.get_param('report-type') == 'delivery-status', parsed['Content-Type'])
    kinds = [part.get_content_type() for part in parsed.iter_parts()]
    expect(kinds[:2] == ['text/plain', 'message/delivery-status'] and len(kinds) == 3 and
        kinds[2] in ('text/rfc822-headers', 'message/rfc822-headers'), kinds)
    blocks = list(parsed.iter_parts())[1].get_payload()
    expect(blocks[0]['Reporting-MTA'], 'no Reporting-MTA')
    for block in blocks[1:]:
        expect(block['Final-Recipient'] and block['Action'] and block['Status'], str(block))
        expect(str(block['Status'])[0] in '245', str(block['Status']))
    expect(b'SECRET' not in notice.data, 'the original\'s body is in the notice')
    expect(len(notice.data) < 64000, 'a notice of %d bytes' % len(notice.data))
    for field in ('From', 'To', 'Subject', 'Date', 'Message-ID', 'Auto-Submitted', 'MIME-Version'):
        expect(parsed[field], 'no ' + field)
    expect(str(parsed['Auto-Submitted']).startswith('auto-'), str(parsed['Auto-Submitted']))


def test_notice_form(scene):
    """A failure notice in French and one in English: well-formed, in the site's language, with
    what to do, whom to call and a reference that `vgm track` finds."""
    def replies(session, stage, detail):
        if stage == 'rcpt' and detail.startswith('parti'):
            return b'550 5.1.1 unknown'
    for language, word in (('fr', 'message'), ('en', 'message')):
        sink = scene.sink(replies)
        gateway = scene.gateway(sink, options={'language': language})
        data = message('chef@hopital.test', body='SECRET\r\n')
        scene.accounts.post(gateway.submit, 'chef@hopital.test', 'parti@hopital.test', data)
        wait_until('notice', lambda: sink.to('chef@hopital.test'), 20)
        notice = sink.to('chef@hopital.test')[0]
        check_notice(notice, data)
        text = list(email.message_from_bytes(notice.data, policy=email.policy.default).iter_parts())[0]
        body = text.get_content()
        expect('+33 1 23 45 67 89' in body, 'no telephone: ' + body)
        expect(word in body.lower(), body)
    scene.settle()


def test_null_sender(scene):
    """A mail from the null sender that fails makes no notice: no bounce is ever bounced."""
    sink = scene.sink(lambda s, stage, d: b'550 5.1.1 no' if stage == 'rcpt' else None)
    gateway = scene.gateway(sink)
    scene.accounts.post(gateway.submit, '', 'parti@hopital.test', message())
    wait_until('the attempt', lambda: sink.sessions, 10)
    wait_until('the end', lambda: not gateway.queue(), 10, 0.2)
    scene.settle(gone=['parti@hopital.test'])
    expect(not sink.deliveries, 'something was sent')


def test_no_backscatter(scene):
    """Mail from outside that its recipient's system refuses after we took it: one notice, of
    headers only, however large it was."""
    sink = scene.sink(lambda s, stage, d: b'554 5.7.1 no' if stage == 'dot' and d.sender else None)
    gateway = scene.gateway(sink)
    data = message('faux@victime.example', size=10 << 20)
    scene.accounts.post(gateway.receive, 'faux@victime.example', 'x@hopital.test', data, timeout=60)
    scene.settle(seconds=60)
    notice = [d for d in sink.received() if d.sender == '']
    expect(len(notice) == 1 and len(notice[0].data) < 64000, '%d notices' % len(notice))


def test_dsn_requests(scene):
    """RFC 3461: NOTIFY, ORCPT, RET, ENVID go on to a hop that knows them; towards one that does
    not, a "relayed" notice; NEVER stays silent."""
    knows, plain = scene.sink(), scene.sink(extensions=('PIPELINING', '8BITMIME'))
    gateway = scene.gateway(options={'routes': [
        {'name': 'plain', 'domains': ['plain.example'], 'to': [plain.hostport()]},
        {'name': 'knows', 'domains': ['*'], 'to': [knows.hostport()]}]})
    scene.accounts.post(gateway.submit, 'chef@hopital.test', 'a@knows.example', message(),
        'RET=HDRS ENVID=QQ+2B314', 'NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;orig+2Ba@knows.example')
    scene.accounts.post(gateway.submit, 'chef@hopital.test', 'b@plain.example', message(),
        'ENVID=QQ315', 'NOTIFY=SUCCESS')
    scene.accounts.post(gateway.submit, 'chef@hopital.test', 'c@plain.example', message(),
        '', 'NOTIFY=NEVER')
    scene.settle()
    wait_until('the relayed notice', lambda: knows.to('chef@hopital.test'), 10)
    got = knows.to('a@knows.example')[0]
    words = (got.sender_words + ' ' + got.recipients[0][1]).upper()
    for word in ('RET=HDRS', 'ENVID=QQ+2B314', 'NOTIFY=', 'SUCCESS', 'FAILURE',
            'ORCPT=RFC822;ORIG+2BA@KNOWS.EXAMPLE'):
        expect(word in words, '%s is not in %r' % (word, words))
    notices = knows.to('chef@hopital.test')
    expect(len(notices) == 1, '%d notices' % len(notices))
    facts, _ = notice_facts(notices[0].data)
    expect(facts == [('b@plain.example', 'relayed')], 'facts %s' % facts)
    expect(b'QQ315' in notices[0].data, 'no Original-Envelope-Id')


def test_8bit_to_old_hop(scene):
    """8-bit mail for a hop without 8BITMIME: it is never damaged; either it is recoded by rule or
    the sender is told."""
    sink = scene.sink(extensions=('PIPELINING',))
    gateway = scene.gateway(sink)
    data = message('chef@hopital.test', extra='Content-Type: text/plain; charset=utf-8\r\n'
        'Content-Transfer-Encoding: 8bit\r\nMIME-Version: 1.0\r\n', body='é\r\n')
    scene.accounts.post(gateway.submit, 'chef@hopital.test', 'vieux@hopital.test', data,
        'BODY=8BITMIME')
    fates = scene.settle()
    expect(fates['bounced'] + fates['delivered'] == 1, 'fates %s' % fates)


def test_helo_only(scene):
    """A next hop that knows only HELO gets its mail."""
    sink = scene.sink(lambda s, stage, d: b'502 5.5.1 no' if stage == 'ehlo' else None)
    gateway = scene.gateway(sink)
    scene.accounts.post(gateway.receive, 'a@b.example', 'x@hopital.test', message())
    scene.settle()


def test_size_of_next_hop(scene):
    """A message over the SIZE of the next hop fails at once, without being sent."""
    sink = scene.sink(extensions=('PIPELINING', 'SIZE 10000'))
    gateway = scene.gateway(sink)
    scene.accounts.post(gateway.submit, 'chef@hopital.test', 'x@hopital.test', message(size=50000))
    fates = scene.settle()
    expect(fates['bounced'] == 1, 'fates %s' % fates)
    expect(all(len(d.data) < 10000 for d in sink.deliveries), 'it was sent all the same')


def test_second_host(scene):
    """The first of two hosts of a route is down: the second is used."""
    sink = scene.sink()
    gateway = scene.gateway(options={'routes': [{'name': 'main', 'domains': ['*'],
        'to': ['127.0.0.1:%d' % free_port(), sink.hostport()]}]})
    scene.accounts.post(gateway.receive, 'a@b.example', 'x@hopital.test', message())
    scene.settle(seconds=6)


def test_connections(scene):
    """Never more connections to a destination than its route allows; few are used for many."""
    sink = scene.sink(lambda s, stage, d: time.sleep(0.05) if stage == 'dot' else None)
    gateway = scene.gateway(options={'routes': [{'name': 'main', 'domains': ['*'],
        'to': [sink.hostport()], 'connections': 3}]})
    with Client(gateway.receive) as client:
        client.ehlo()
        for number in range(60):
            scene.accounts.over(client, 'a@b.example', ['c%d@hopital.test' % number], message())
        client.quit()
    scene.settle()
    expect(sink.open_most <= 3, '%d connections at one time' % sink.open_most)
    expect(len(sink.sessions) < 30, '%d connections for 60 messages' % len(sink.sessions))
