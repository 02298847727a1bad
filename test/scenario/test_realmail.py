# SPDX-License-Identifier: EUPL-1.2
"""Thousands of real messages, twenty sessions at a time: out as they came in, shown as they came
in, and the same after the views were thrown away."""
import hashlib
import json
import queue
import re
import threading

from harness.corpus import extract, sample
from harness.process import Failure, wait_until
from harness.scene import Skip, alone, expect, whole_only
from harness.smtp import Client

SESSIONS = 20


def is_mail(data):
    """No NUL and no line end but CRLF; what is else is refused, and the count says how often."""
    return b'\0' not in data and not re.search(rb'(?<!\r)\n|\r(?!\n)', data)


def send_all(scene, gateway, mails):
    """Sends every mail to a recipient of its own, SESSIONS at a time."""
    work, failures = queue.Queue(), []
    for item in mails:
        work.put(item)

    def session():
        try:
            with Client(gateway.receive, timeout=60) as client:
                client.ehlo()
                while True:
                    try:
                        recipient, data = work.get_nowait()
                    except queue.Empty:
                        break
                    _, final = scene.accounts.over(client, 'real@partenaire.example', [recipient],
                        data, 'BODY=8BITMIME')
                    if final.code != (250 if is_mail(data) else 550):
                        failures.append('%s: %r' % (recipient, final))
                client.quit()
        except (Failure, OSError) as error:
            failures.append(str(error))
    threads = [threading.Thread(target=session) for _ in range(SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(not failures, '%d not as expected, first: %s' % (len(failures), failures[:3]))


@alone
@whole_only
def test_real_mail(scene):
    """Real mail goes through byte for byte, can be shown, verified, and found again after a
    rebuild."""
    names = sample(scene.by_tier(1000, None), scene.seed)
    if not names:
        raise Skip('%d real messages: the folder is not beside the project' %
            scene.by_tier(1000, 18484))
    mails = {'m%d@hopital.test' % number: data
        for number, (_, data) in enumerate(extract(names, scene.directory('mail')))}
    bad = [recipient for recipient, data in mails.items() if not is_mail(data)]
    scene.count('%d real messages of %d sources, %d of them refused for NUL or bare CR, LF' % (
        len(mails), len({a for a, _ in names}), len(bad)))
    gateway, sink = scene.pair()
    send_all(scene, gateway, mails.items())
    scene.settle(seconds=120)
    for recipient in bad:
        del mails[recipient]
    shown = list(mails)[::scene.by_tier(10, 40)]
    wait_until('views are there',
        lambda: gateway.rows('track', list(mails)[-1], expect=None), 30, 0.2)
    for recipient in shown:
        record = gateway.rows('track', recipient)[0]['id']
        raw = gateway.run('show', '--raw', '--why', 'test', record, raw=True)
        expect(hashlib.sha256(raw).digest() == hashlib.sha256(wire(mails[recipient])).digest(),
            '%s is shown as %d bytes, not %d' % (recipient, len(raw), len(mails[recipient])))
    scene.count('%d shown' % len(shown))
    gateway.verify()
    questions = [('track', recipient) for recipient in shown[:20]] + [('track', 'real@partenaire.example'),
        ('search', 'status:delivered')]
    before = [answer(gateway, words) for words in questions]
    gateway.run('ledger', 'rebuild')
    wait_until('views are back',
        lambda: gateway.rows('track', list(mails)[-1], expect=None), 120, 0.2)
    for words, old in zip(questions, before):
        new = answer(gateway, words)
        expect(new == old, '%s answers otherwise after the rebuild:\n%s\n%s' % (words, old[:500],
            new[:500]))


def wire(data):
    return data if data.endswith(b'\r\n') else data + b'\r\n'


def answer(gateway, words):
    return json.dumps(gateway.rows(*words, expect=None), sort_keys=True)
