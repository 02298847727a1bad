#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""sink.py PROGRAM — `vgm sink` against Python's smtplib and raw sockets: exact bytes, rules, TLS,
an outage, clients that break off, and the count at the end."""
import hashlib
import json
import os
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time

vgm = sys.argv[1]
work = tempfile.mkdtemp(prefix='vgm-sink-')
failures = 0


def check(what, truth):
    global failures
    if not truth:
        failures += 1
        print('FAILED: %s' % what, file=sys.stderr)


def start(*options):
    process = subprocess.Popen([vgm, 'sink', '--lang', 'en', '--listen', '127.0.0.1:0', *options],
        stdout=subprocess.PIPE, text=True)
    ready = process.stdout.readline().strip()
    return int(ready.rsplit(':', 1)[1]) if ready else None, process


def reply(function, *args):
    try:
        function(*args)
        return 250
    except smtplib.SMTPRecipientsRefused as refused:
        return list(refused.recipients.values())[0][0]
    except smtplib.SMTPResponseException as refused:
        return refused.smtp_code


# what is kept is what was sent
port, sink = start('--maildir', work + '/md', '--log', work + '/log', '--tls', '--answer',
    'RCPT @slow.example first 1=450 4.2.1', '--answer', 'DATA bad@x.example=554 5.7.1', '--answer',
    'MAIL nobody@x.example=550 5.1.8')
bodies = [b'Subject: a\r\n\r\n.dot\r\n..\r\nend\r\n', b'Subject: \xc3\xa9\r\n\r\n' + b'z' * 76 + b'\r\n',
    b'x: y\r\n\r\n' + (b'line\r\n.\r\n' * 40000)]
with smtplib.SMTP('127.0.0.1', port) as client:
    client.ehlo()
    client.starttls(context=ssl._create_unverified_context())
    for body in bodies:
        client.sendmail('a@b.example', ['c@d.example', 'e@f.example'], body, ['BODY=8BITMIME'])
with smtplib.SMTP('127.0.0.1', port) as client:
    check('first refused', reply(client.sendmail, 'a@b.example', ['x@slow.example'], b'q\r\n') == 450)
    check('then taken', reply(client.sendmail, 'a@b.example', ['x@slow.example'], b'q\r\n') == 250)
    check('refused at the end', reply(client.sendmail, 'a@b.example', ['bad@x.example'], b'q\r\n') == 554)
    check('refused sender', reply(client.sendmail, 'nobody@x.example', ['c@x.example'], b'q\r\n') == 550)
lines = [json.loads(line) for line in open(work + '/log')]
check('one line a message', len(lines) == 4)
for body, line in zip(bodies, lines):
    kept = open('%s/md/new/%s' % (work, line['file']), 'rb').read()
    check('exact bytes', kept == body)
    check('hash', line['sha256'] == hashlib.sha256(body).hexdigest() and line['size'] == len(body))
    check('envelope', line['sender'] == 'a@b.example' and line['recipients'] == ['c@d.example', 'e@f.example'])
    check('tls', line['tls'].startswith('TLSv1.3'))
check('nothing else is kept', len(os.listdir(work + '/md/new')) == 4)

# clients that break off anywhere leave nothing and hurt nobody
whole = (b'EHLO me\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: cut\r\n\r\nx\r\n.\r\n')
for cut in range(0, len(whole) - 1, 3):
    with socket.create_connection(('127.0.0.1', port)) as s:
        s.sendall(whole[:cut])
with socket.create_connection(('127.0.0.1', port)) as s:
    s.sendall(b'\x00\xff' * 5000 + b'\r\nSTARTTLS\r\n' + b'\x16\x03\x01' * 1000)
    s.shutdown(socket.SHUT_WR)
    s.settimeout(10)
    try:
        while s.recv(4096):
            pass
    except OSError:
        pass
with smtplib.SMTP('127.0.0.1', port) as client:
    check('still there', reply(client.sendmail, 'a@b.example', ['c@d.example'], b'q\r\n') == 250)

# many at once
def many():
    with smtplib.SMTP('127.0.0.1', port) as client:
        for _ in range(20):
            client.sendmail('a@b.example', ['c@d.example'], bodies[1])
threads = [threading.Thread(target=many) for _ in range(10)]
for each in threads:
    each.start()
for each in threads:
    each.join()
check('all are logged', len(open(work + '/log').readlines()) == 4 + 1 + 200)
sink.send_signal(signal.SIGTERM)
check('count', sink.communicate(timeout=20)[0].startswith('205 messages'))
check('exit status', sink.returncode == 0)

# an outage, from the start and on a signal
begin = time.monotonic()
port, sink = start('--down-for', '1s', '--json')
check('down at first', time.monotonic() - begin > 1)
with smtplib.SMTP('127.0.0.1', port) as client:
    check('up', reply(client.sendmail, 'a@b.example', ['c@d.example'], b'q\r\n') == 250)
    sink.send_signal(signal.SIGUSR1)
    time.sleep(0.3)
    check('down again', socket.socket().connect_ex(('127.0.0.1', port)) != 0)
    try:
        check('cut off', client.sock.recv(10) == b'')
    except ConnectionResetError:
        pass
    client.close()
time.sleep(1.2)
with smtplib.SMTP('127.0.0.1', port) as client:
    check('back', reply(client.sendmail, 'a@b.example', ['c@d.example'], b'qq\r\n') == 250)
sink.send_signal(signal.SIGINT)
check('json count', json.loads(sink.communicate(timeout=20)[0]) == {'messages': 2, 'bytes': 7})

# what is wrong is said
for options, status in ((['--answer', 'RCPT=250'], 2), (['--down-for', 'x'], 2), (['--max-size', '0'], 2),
        (['--maildir', '/nonexistent/x'], 5)):
    port, sink = start(*options)
    sink.communicate(timeout=20)
    check('status of %s: %d' % (options, sink.returncode), sink.returncode == status)
done = subprocess.run([vgm, 'sink'], capture_output=True, check=False)
check('no --listen', done.returncode == 2)
done = subprocess.run([vgm, 'sink', '--listen', 'mail.example.org:25'], capture_output=True, check=False)
check('a name to listen on', done.returncode == 5)

shutil.rmtree(work)
print('sink: %d failures' % failures)
sys.exit(bool(failures))
