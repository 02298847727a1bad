# SPDX-License-Identifier: EUPL-1.2
"""TLS in both directions and signing in: STARTTLS, its floor, what must not slip through it."""
import base64
import socket
import ssl
import subprocess

from harness.accounting import message
from harness.certificates import fingerprint
from harness.ports import free_port
from harness.process import Failure
from harness.scene import expect
from harness.sink import Sink
from harness.smtp import Client, anything

PASSWORD = 'Cheval-Pile-Agrafe-7'


def plain(name, password):
    return 'AUTH PLAIN ' + base64.b64encode(b'\0%s\0%s' % (name.encode(), password.encode())).decode()


def password_hash(scene):
    done = subprocess.run([scene.vgm, 'config', 'password'], input=PASSWORD.encode() + b'\n',
        capture_output=True, check=False, timeout=30)
    text = done.stdout.decode().strip().splitlines()
    expect(done.returncode == 0 and text and text[-1].startswith('$argon2id$'),
        'vgm config password: exit %d, %r' % (done.returncode, done.stdout + done.stderr))
    return text[-1]


def with_login(scene, **more):
    sink = scene.sink()
    tls_port = free_port()
    submit = {'listen': ['127.0.0.1:%d' % free_port()], 'listen_tls': ['127.0.0.1:%d' % tls_port],
        'logins': [{'name': 'claire', 'password': password_hash(scene),
            'senders': ['claire.petit@hopital.test']}]}
    gateway = scene.gateway(sink, options={'submit': submit}, **more)
    gateway.submit = int(submit['listen'][0].rsplit(':', 1)[1])
    return gateway, sink, tls_port


def test_starttls(scene):
    """STARTTLS at every door that has it: TLS 1.3, mail inside, the trace says so."""
    gateway, sink = scene.pair()
    for port in (gateway.receive, gateway.submit):
        with Client(port) as client:
            expect('STARTTLS' in client.ehlo(), 'no STARTTLS')
            client.starttls()
            expect(client.socket.version() == 'TLSv1.3', client.socket.version())
            words = client.ehlo()
            expect('STARTTLS' not in words, 'STARTTLS again inside TLS')
            _, final = scene.accounts.over(client, 'a@hopital.test',
                ['b%d@hopital.test' % port], message())
            expect(final.code == 250, repr(final))
            expect(client.command('STARTTLS').code in (502, 503), 'a second STARTTLS')
            client.quit()
    scene.settle()
    expect(b'with ESMTPS' in sink.received()[0].data, sink.received()[0].data[:400])


def test_floor(scene):
    """TLS 1.0 and 1.1, anonymous and weak ciphers are refused; 1.2 with AEAD is taken."""
    gateway, _ = scene.pair()
    tries = [(['-tls1'], False), (['-tls1_1'], False), (['-tls1_2'], True), (['-tls1_3'], True),
        (['-tls1_2', '-cipher', 'aNULL:@SECLEVEL=0'], False),
        (['-tls1_2', '-cipher', 'eNULL:@SECLEVEL=0'], False),
        (['-tls1_2', '-cipher', 'RC4:3DES:@SECLEVEL=0'], False),
        (['-tls1_2', '-cipher', 'kRSA:@SECLEVEL=0'], False)]
    faults = []
    for words, good in tries:
        if words[0] in ('-tls1', '-tls1_1'):
            words = words + ['-cipher', 'ALL:@SECLEVEL=0']
        done = subprocess.run(['openssl', 's_client', '-connect', '127.0.0.1:%d' % gateway.receive,
            '-starttls', 'smtp', '-quiet', '-ign_eof', *words], input=b'QUIT\r\n',
            capture_output=True, timeout=20, check=False)
        went = b'221 ' in done.stdout
        if went != good:
            faults.append('%s: %s' % (' '.join(words), done.stderr[-300:].decode()))
    expect(not faults, '; '.join(faults))
    expect(gateway.process.alive(), 'the gateway ended')
    scene.settle()


def test_injection(scene):
    """Commands put behind STARTTLS in the same packet are thrown away."""
    gateway, sink = scene.pair()
    with Client(gateway.receive) as client:
        client.ehlo()
        client.send(b'STARTTLS\r\nMAIL FROM:<evil@b.example>\r\nRCPT TO:<x@hopital.test>\r\n')
        try:
            expect(client.reply().code == 220, 'STARTTLS')
            client.wrap()
            expect(client.command('DATA').code == 503, 'the injected MAIL was kept')
            client.ehlo()
            expect(client.command('RCPT TO:<x@hopital.test>').code == 503, 'MAIL was kept')
        except (Failure, OSError) as error:
            if 'was kept' in str(error):
                raise
    scene.settle()
    expect(not sink.deliveries, 'something was delivered')


def test_state_is_forgotten(scene):
    """What was said before STARTTLS counts no more after it."""
    gateway, _ = scene.pair()
    with Client(gateway.receive) as client:
        client.ehlo()
        client.starttls()
        expect(client.command('MAIL FROM:<a@b.example>').code in (250, 503), 'MAIL without EHLO')
        client.ehlo('second.test')
        _, final = scene.accounts.over(client, 'a@b.example', ['x@hopital.test'], message())
        client.quit()
    scene.settle()
    expect(b'second.test' in scene.sinks[0].received()[0].data[:500], 'the name after TLS counts')


def test_cut_inside(scene):
    """TLS cut without close_notify inside DATA: nothing is delivered."""
    gateway, sink = scene.pair()
    for way in ('fin', 'reset'):
        client = Client(gateway.receive)
        client.ehlo()
        client.starttls()
        client.ehlo()
        client.mail('a@b.example', ['cut@hopital.test'])
        client.expect('DATA', 354)
        client.send(message() + b'.\r')
        raw = socket.socket(fileno=client.socket.detach())
        if way == 'reset':
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        raw.close()
    scene.accounts.post(gateway.receive, 'a@b.example', 'after@hopital.test', message())
    scene.settle()
    expect(not sink.to('cut@hopital.test'), 'a torn message was delivered')


def test_stalled_handshake(scene):
    """A handshake of junk or of nothing does not disturb others."""
    gateway, _ = scene.pair()
    stalled = []
    for junk in (b'', b'\x16\x03\x01', b'hello?\r\n' * 50, b'\x16\x03\x01\xff\xff' + b'\0' * 3000):
        client = Client(gateway.receive)
        client.ehlo()
        client.expect('STARTTLS', 220)
        client.send(junk)
        stalled.append(client)
    scene.accounts.post(gateway.receive, 'a@b.example', 'after@hopital.test', message())
    for client in stalled:
        client.close()
    scene.settle()


def test_certificate_stays(scene):
    """The certificate that is made at the first start is the same after a restart."""
    gateway, _ = scene.pair()

    def certificate():
        with Client(gateway.receive) as client:
            client.ehlo()
            client.starttls()
            return client.socket.getpeercert(binary_form=True)
    first = certificate()
    gateway.restart()
    expect(certificate() == first, 'another certificate after a restart')
    scene.settle()


def test_given_certificate(scene):
    """A certificate of our own is shown, and checks against its authority."""
    sink = scene.sink()
    certificate, key = scene.authority().issue('gw.hopital.test')
    gateway = scene.gateway(sink, options={'tls': {'certificate': certificate, 'key': key}})
    context = ssl.create_default_context(cafile=scene.authority().certificate)
    with Client(gateway.receive) as client:
        client.ehlo()
        client.expect('STARTTLS', 220)
        client.socket = context.wrap_socket(client.socket, server_hostname='gw.hopital.test')
        client.ehlo()
        scene.accounts.over(client, 'a@b.example', ['x@hopital.test'], message())
        client.quit()
    scene.settle()


def test_sign_in(scene):
    """AUTH only after TLS; right and wrong passwords; senders of that account only."""
    gateway, _, tls_port = with_login(scene)
    with Client(gateway.submit) as client:
        expect('AUTH' not in client.ehlo(), 'AUTH offered before TLS')
        expect(client.command(plain('claire', PASSWORD)).code in (503, 530, 538), 'AUTH before TLS')
        replies = [client.command('MAIL FROM:<claire.petit@hopital.test>')]
        if replies[0].code == 250:
            replies.append(client.command('RCPT TO:<x@ailleurs.example>'))
        expect(replies[-1].code in (530, 550, 554), 'submission without signing in: %r' % replies)
        client.command('RSET')
        client.starttls()
        words = client.ehlo()
        expect({'PLAIN', 'LOGIN'} <= set(words.get('AUTH', [])), 'AUTH %s' % words.get('AUTH'))
        for name, password in (('claire', 'wrong'), ('nobody', PASSWORD), ('', '')):
            expect(client.command(plain(name, password)).code == 535, 'wrong password for ' + name)
        expect(client.command('AUTH PLAIN ****').code == 501, 'not base64')
        expect(client.command('AUTH CRAM-MD5').code == 504, 'another mechanism')
        client.expect(plain('claire', PASSWORD), 235)
        expect(client.command(plain('claire', PASSWORD)).code == 503, 'AUTH twice')
        reply = client.command('MAIL FROM:<chef@hopital.test>')
        if reply.code == 250:
            reply = client.command('RCPT TO:<x@ailleurs.example>')
        expect(reply.code // 100 == 5, 'another sender: %r' % reply)
        client.command('RSET')
        _, final = scene.accounts.over(client, 'claire.petit@hopital.test', ['x@ailleurs.example'],
            message())
        expect(final.code == 250, repr(final))
        client.quit()
    with Client(tls_port, greet=False) as client:
        client.wrap()
        client.reply()
        client.ehlo()
        client.expect('AUTH LOGIN', 334)
        client.expect(base64.b64encode(b'claire').decode(), 334)
        client.expect(base64.b64encode(PASSWORD.encode()).decode(), 235)
        _, final = scene.accounts.over(client, 'claire.petit@hopital.test', ['y@ailleurs.example'],
            message())
        expect(final.code == 250, repr(final))
        client.quit()
    scene.settle()


def test_guessing(scene):
    """1,000 guesses at a password: cut early, and the log does not hold what was tried."""
    gateway, _, _ = with_login(scene)
    with Client(gateway.submit) as client:
        client.ehlo()
        client.starttls()
        client.ehlo()
        count = 0
        try:
            for count in range(1000):
                expect(client.command(plain('claire', 'guess-%d' % count)).code in (535, 421, 454),
                    'a guess was right?')
        except (Failure, OSError):
            pass
        expect(count < 100, '%d guesses in one session' % count)
    expect('guess-' not in gateway.log() and PASSWORD not in gateway.log(), 'passwords in the log')
    scene.settle()


def test_relay_certificate(scene):
    """An internal relay is known by its client certificate."""
    sink = scene.sink()
    certificate, key = scene.authority().issue('relay.hopital.test')
    submit = {'listen': ['127.0.0.1:%d' % free_port()],
        'relay_certificates': [fingerprint(certificate)]}
    gateway = scene.gateway(sink, options={'submit': submit})
    port = gateway.doors()[1]
    for known in (True, False):
        context = anything()
        if known:
            context.load_cert_chain(certificate, key)
        with Client(port) as client:
            client.ehlo()
            client.starttls(context)
            client.ehlo()
            reply = client.command('MAIL FROM:<app@hopital.test>')
            if reply.code == 250:
                reply = client.command('RCPT TO:<x@ailleurs.example>')
            expect((reply.code == 250) == known, 'known %s: %r' % (known, reply))
            if known:
                client.command('RSET')
                scene.accounts.over(client, 'app@hopital.test', ['x@ailleurs.example'], message())
            client.close()
    scene.settle()


def route(sink, tls):
    return {'routes': [{'name': 'main', 'domains': ['*'], 'to': [sink.hostport()], 'tls': tls}]}


def test_opportunistic_out(scene):
    """Towards a next hop with STARTTLS, mail goes encrypted; one without gets it in clear; one
    whose handshake fails gets it in clear on a new connection."""
    safe = scene.sink(tls=scene.authority().server('sink.test'))
    broken = scene.sink(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))   # has no certificate
    clear = scene.sink()
    routes = [{'name': name, 'domains': [name + '.example'], 'to': [sink.hostport()]}
        for name, sink in (('safe', safe), ('broken', broken), ('clear', clear))]
    gateway = scene.gateway(options={'routes': routes})
    for name in ('safe', 'broken', 'clear'):
        scene.accounts.post(gateway.submit, 'a@hopital.test', 'x@%s.example' % name, message())
    scene.settle()
    expect(safe.received()[0].tls == 'TLSv1.3', 'tls: %s' % safe.received()[0].tls)


def test_required_out(scene):
    """Required TLS is never weaker: no STARTTLS, a failed handshake or a wrong name make it wait."""
    good = scene.sink(tls=scene.authority().server('localhost'))
    wrong = scene.sink(tls=scene.authority().server('other.test'))
    clear = scene.sink()
    places = [('good', good, 'verify', True), ('wrong', wrong, 'verify', False),
        ('enough', wrong, 'encrypt', True), ('clear', clear, 'encrypt', False)]
    routes = [{'name': name, 'domains': [name + '.example'],
        'to': ['localhost:%d' % sink.port], 'tls': tls} for name, sink, tls, _ in places]
    gateway = scene.gateway(options={'routes': routes,
        'tls': {'authorities': scene.authority().certificate}})
    for name, _, _, _ in places:
        scene.accounts.post(gateway.submit, 'a@hopital.test', 'x@%s.example' % name, message())
    scene.settle(seconds=8, queued=sum(1 for p in places if not p[3]))
    for name, sink, _, good_place in places:
        expect(bool(sink.to('x@%s.example' % name)) == good_place, name)
        expect(all(d.tls for d in sink.to('x@%s.example' % name)), name + ' in clear')


def test_injection_out(scene):
    """A next hop (or someone between) that adds replies behind its 220: they are thrown away or
    the connection is, never believed."""
    def replies(session, stage, _):
        if stage == 'starttls':
            return b'220 go\r\n250-fake\r\n250 STARTTLS-STRIPPED\r\n'
    sink = Sink(replies=replies, tls=scene.authority().server('sink.test'))
    scene.sinks.append(sink)
    gateway = scene.gateway(options=route(sink, 'encrypt'))
    scene.accounts.post(gateway.submit, 'a@hopital.test', 'x@ailleurs.example', message())
    scene.settle(seconds=5, queued=1)
    expect(all(d.tls for d in sink.deliveries), 'sent in clear')
