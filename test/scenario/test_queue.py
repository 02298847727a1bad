# SPDX-License-Identifier: EUPL-1.2
"""What an administrator sees and does: queue, quarantine, track, search, show, verify, ledger."""
import hashlib
import json
import os
import shutil
import subprocess

from harness.accounting import message, split_trace
from harness.process import Failure, wait_until
from harness.scene import expect


def down_then_up(scene, **options):
    sink = scene.sink()
    sink.stop()
    gateway = scene.gateway(sink, **options)
    return gateway, sink


def send(scene, gateway, count, local='q%d@hopital.test', **options):
    for number in range(count):
        scene.accounts.post(gateway.receive, 'a@b.example', local % number, message(**options))
    return wait_until('%d in the queue' % count,
        lambda: (len(gateway.queue()) == count, len(gateway.queue())), 15, 0.2)


def test_list_and_flush(scene):
    """The queue lists what waits and why; after a flush it goes at once."""
    gateway, sink = down_then_up(scene, options={'queue': {'retry': ['1h']}})
    send(scene, gateway, 5)
    rows = gateway.queue()
    expect(len({row['id'] for row in rows}) == 5, 'ids: %s' % rows)
    expect(all('q%d' % n in str(rows) for n in range(5)), 'recipients: %s' % rows)
    text = gateway.run('queue', 'list')
    expect(all(row['id'][:8] in text for row in rows), text)
    sink.start()
    gateway.run('queue', 'flush')
    scene.settle(seconds=15)


def test_hold_release_remove(scene):
    """One is held and released, one is removed, the rest goes; each act is in the journal."""
    gateway, sink = down_then_up(scene, options={'queue': {'retry': ['1s']}})
    send(scene, gateway, 4)
    rows = {str(row): row['id'] for row in gateway.queue()}
    ids = [next(rid for text, rid in rows.items() if 'q%d@' % n in text) for n in range(4)]
    gateway.run('queue', 'hold', ids[0])
    gateway.run('queue', 'remove', ids[1])
    sink.start()
    wait_until('two delivered', lambda: len(sink.received()) == 2, 20, 0.1)
    expect(not sink.to('q0@hopital.test') and not sink.to('q1@hopital.test'), 'held or removed')
    gateway.run('queue', 'release', ids[0])
    scene.settle(gone=['q1@hopital.test'])
    expect(sink.to('q0@hopital.test'), 'the released one')
    history = json.dumps(gateway.rows('track', ids[1]))
    expect('remove' in history.lower(), 'the removal is not told: ' + history)


def test_unknown_id(scene):
    """An id that does not exist: exit 1 and a sentence, nothing changes."""
    gateway, sink = scene.pair()
    for words in (('queue', 'hold', '0' * 32), ('show', '0' * 32), ('queue', 'remove', '0' * 32),
            ('track', 'nobody@nowhere.example'), ('quarantine', 'release', '0' * 32)):
        gateway.run(*words, expect=1)
    gateway.run('queue', 'hold', 'zz', expect=2)
    scene.settle()


def test_show(scene):
    """`vgm show --raw` gives the exact bytes; without --raw it says who, what and when; each
    opening is itself in the journal."""
    gateway, sink = scene.pair()
    mails = {'s%d@hopital.test' % n: message(size=size, subject='Résultat n° %d' % n)
        for n, size in enumerate((0, 5000, 70000, 3 << 20))}
    for recipient, data in mails.items():
        scene.accounts.post(gateway.receive, 'a@b.example', recipient, data, 'SMTPUTF8 BODY=8BITMIME')
    scene.settle()
    for recipient, data in mails.items():
        rows = wait_until('tracked', lambda: gateway.rows('track', recipient, expect=None), 10, 0.2)
        record = rows[0]['id']
        raw = gateway.run('show', '--raw', '--why', 'test', record, raw=True)
        expect(hashlib.sha256(raw).digest() == hashlib.sha256(data).digest(),
            '%s: %d bytes instead of %d' % (recipient, len(raw), len(data)))
        text = gateway.run('show', '--why', 'test', record)
        expect('Résultat' in text and recipient in text, text)


def test_track(scene):
    """A message is found by recipient, by sender, and by the reference that stands in our 250 and
    in the trace; its story is complete."""
    gateway, sink = scene.pair()
    data = message(subject='Convocation')
    _, final = scene.accounts.post(gateway.receive, 'a@b.example', 'suivi@hopital.test', data)
    scene.settle()
    trace = split_trace(sink.received()[0].data, data).decode()
    reference = trace.split(' id ')[1].split()[0].strip(';')
    told = final.text.split()[-1]
    expect(reference.startswith(told) and len(told) >= 8, '%r, but the trace has %s' % (final,
        reference))
    for word in ('suivi@hopital.test', 'a@b.example', reference, told):
        rows = wait_until('found by ' + word,
            lambda word=word: gateway.rows('track', word, expect=None), 5, 0.2)
        people = rows[0]['recipients']
        expect(people[0]['address'] == 'suivi@hopital.test', '%s: %s' % (word, rows))
        expect(people[0]['history'][-1]['status'] == 'delivered', 'no outcome: %s' % rows)


def test_search(scene):
    """Addresses, domains and states are found within a second of delivery."""
    gateway, _ = scene.pair()
    for number in range(3):
        scene.accounts.post(gateway.receive, 'labo%d@analyses.example' % (number % 2),
            'r%d@hopital.test' % number, message())
    scene.settle()
    wait_until('two of labo0', lambda: len(gateway.rows('search', 'from:labo0@analyses.example',
        expect=None)) == 2, 1.5, 0.1)
    expect(len(gateway.rows('search', 'to:r1@hopital.test', 'status:delivered')) == 1, 'r1')
    gateway.run('search', 'to:personne@hopital.test', expect=1)
    gateway.run('search', 'status:vanished', expect=2)


def test_rebuild(scene):
    """The views are thrown away and rebuilt, and answer the same."""
    gateway, sink = scene.pair()
    for number in range(20):
        scene.accounts.post(gateway.receive, 'a@b.example', 'v%d@hopital.test' % number,
            message())
    scene.settle()
    questions = [('search', 'status:delivered'), ('track', 'v7@hopital.test'),
        ('track', 'a@b.example')]
    wait_until('views', lambda: len(gateway.rows('search', 'status:delivered', expect=None)) == 20, 10, 0.2)
    before = [gateway.run(*words, '--json') for words in questions]
    gateway.run('ledger', 'rebuild')
    wait_until('views again',
        lambda: len(gateway.rows('search', 'status:delivered', expect=None)) == 20, 20, 0.2)
    after = [gateway.run(*words, '--json') for words in questions]
    expect(before == after, 'other answers: %s' % [(b, a) for b, a in zip(before, after) if b != a][:1])


def test_restart_with_queue(scene):
    """A queue survives a stop and a kill -9, with what was tried so far; all is delivered once."""
    gateway, sink = down_then_up(scene)
    send(scene, gateway, 30)
    gateway.restart()
    expect(len(gateway.queue()) == 30, 'after a restart: %d' % len(gateway.queue()))
    gateway.kill()
    gateway.start()
    wait_until('30 after kill -9', lambda: len(gateway.queue()) == 30, 10, 0.2)
    sink.start()
    scene.settle(seconds=40)


def test_verify_finds(scene):
    """`vgm verify` names file and offset of a changed byte, of a cut and of a missing segment;
    it needs no key."""
    gateway, sink = scene.pair()
    for number in range(5):
        scene.accounts.post(gateway.receive, 'a@b.example', 'w%d@hopital.test' % number, message())
    scene.settle()
    gateway.stop()
    ledger = os.path.join(gateway.state, 'ledger')
    whole = gateway.run('verify', offline=True)
    expect(whole.strip(), 'nothing said')
    counted = json.loads(gateway.run('verify', '--json', offline=True))
    expect(counted['checkpoint_size'] == counted['records'],
        'a stop left records under no checkpoint: %s' % counted)
    segments = sorted(os.path.join(folder, name) for folder, _, names in os.walk(ledger)
        for name in names if name.startswith('seg-') and name.endswith('.vgl'))
    expect(segments, 'no segment in %s' % os.listdir(ledger))
    target = segments[0]
    keep = target + '.keep'
    shutil.copy(target, keep)
    for offset in (5000, 9000, 12000):
        with open(target, 'r+b') as segment:
            segment.seek(offset)
            byte = segment.read(1)
            segment.seek(offset)
            segment.write(bytes([byte[0] ^ 1]))
        said = gateway.run('verify', '--json', offline=True, expect=1)
        expect(os.path.basename(target) in said, 'the file is not named: ' + said)
        shutil.copy(keep, target)
    with open(target, 'r+b') as segment:
        segment.truncate(9000)
    gateway.run('verify', offline=True, expect=1)
    os.remove(target)
    try:
        gateway.run('verify', offline=True)
        raise Failure('a ledger without its segment was called intact')
    except Failure as failure:
        expect('exit' in str(failure), str(failure))
    shutil.move(keep, target)
    gateway.run('verify', offline=True)


def test_help(scene):
    """Every command has --help in French and in English; a wrong option is exit 2."""
    for command in ('serve', 'check', 'policy', 'queue', 'track', 'quarantine', 'search', 'show',
            'verify', 'ledger', 'sink', 'version', 'config'):
        texts = []
        for language in ('fr', 'en'):
            done = subprocess.run([scene.vgm, command, '--help', '--lang', language],
                capture_output=True, text=True, timeout=20, check=False)
            expect(done.returncode == 0 and done.stdout.strip(), '%s --help: %d %s' % (command,
                done.returncode, done.stderr))
            texts.append(done.stdout)
        expect(texts[0] != texts[1], command + ': one text for both languages')
        done = subprocess.run([scene.vgm, command, '--nonsense'], capture_output=True, text=True,
            timeout=20, check=False)
        expect(done.returncode == 2 and done.stderr.strip(), '%s --nonsense: %d' % (command,
            done.returncode))
    scene.settle()
