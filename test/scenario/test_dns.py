# SPDX-License-Identifier: EUPL-1.2
"""MX routing through a real, signed zone: order, fall-back, null MX, forged and missing answers."""
from harness.accounting import message
from harness.dns import NameServer
from harness.process import wait_until
from harness.scene import Skip, expect
from harness.smtp import Client

# "mx" goes to port 25 of the hosts, which an ordinary user cannot listen on; the hosts of the
# zone are other loopback addresses (each scenario's own), and the sinks listen on port 25 there
# when they may.


def sink_at(scene, address, replies=None, **options):
    try:
        return scene.sink(replies, address=address, port=25, **options)
    except PermissionError:
        raise Skip('port 25 needs root') from None


def zone(scene, records, origin='essai.example', **options):
    server = NameServer(scene.directory('dns'), {origin: records}, **options)
    return scene.add(server)


def mx_gateway(scene, server, **more):
    return scene.gateway(options={'routes': [{'name': 'world', 'domains': ['*'], 'to': ['mx']}],
        'dns': {'servers': [server.address], 'trust_anchors': server.anchors, 'root_anchor': ''},
        'relay': {'connect_timeout': '2s'}, **more})


def test_mx(scene):
    """MX by preference, the next when the first is down, the address when there is no MX, a
    CNAME, mail of several domains."""
    first, second = sink_at(scene, '127.0.0.61'), sink_at(scene, '127.0.0.62')
    server = zone(scene, ['@ IN MX 10 un', '@ IN MX 20 deux', 'un IN A 127.0.0.61',
        'deux IN A 127.0.0.62', 'bas IN MX 10 absent', 'bas IN MX 20 deux',
        'absent IN A 127.0.0.63', 'sans IN A 127.0.0.62', 'alias IN CNAME cible',
        'cible IN MX 5 un', 'un2 IN MX 10 zwei', 'zwei IN A 127.0.0.61'])
    gateway = mx_gateway(scene, server)
    wanted = {'a@essai.example': first, 'b@bas.essai.example': second,
        'c@sans.essai.example': second, 'd@alias.essai.example': first,
        'e@un2.essai.example': first}
    for recipient in wanted:
        _, final = scene.accounts.post(gateway.submit, 'chef@hopital.test', recipient, message())
        expect(final.code == 250, '%s: %r' % (recipient, final))
    scene.settle(seconds=40)
    for recipient, sink in wanted.items():
        expect(sink.to(recipient), '%s went elsewhere' % recipient)


def test_international(scene):
    """A domain in UTF-8 is asked for in its ASCII form (IDNA 2008), whichever of the two a sender
    writes; one that cannot exist is told to the sender."""
    sink, inside = sink_at(scene, '127.0.0.66'), scene.sink()
    server = zone(scene, ['xn--bcher-kva IN MX 10 un', 'un IN A 127.0.0.66',
        'xn--strae-oqa IN MX 10 un', 'xn--r8jz45g IN A 127.0.0.66'])
    gateway = mx_gateway(scene, server)
    gateway.options['routes'].insert(0,
        {'name': 'main', 'domains': ['hôpital.test'], 'to': [inside.hostport()]})
    gateway.options['domains'] = ['hopital.test', 'hôpital.test']
    gateway.write_config()
    gateway.reload()
    wanted = {'a@bücher.essai.example': sink, 'b@bÜcher.essai.example': sink,
        'c@xn--bcher-kva.essai.example': sink, 'd@straße.essai.example': sink,
        'e@例え.essai.example': sink, 'f@hôpital.test': inside, 'g@xn--hpital-ixa.test': inside}
    for recipient in [*wanted, 'x@💩.essai.example']:
        words = '' if recipient.isascii() else 'SMTPUTF8'
        _, final = scene.accounts.post(gateway.submit, 'chef@xn--hpital-ixa.test', recipient,
            message(), words)
        expect(final.code == 250, '%s: %r' % (recipient, final))
    fates = scene.settle(seconds=40)
    expect(fates['bounced'] == 1, 'fates %s' % fates)
    for recipient, there in wanted.items():
        expect(there.to(recipient), '%s went elsewhere' % recipient)
    expect(any(b'5.1.2' in d.data for d in inside.received()), 'no such domain is 5.1.2')


def test_no_such_domain(scene):
    """No such domain, a null MX, no address at all: the sender is told at once, and why."""
    inside = scene.sink()
    server = zone(scene, ['nul IN MX 0 .', 'vide IN TXT "x"', 'seul IN MX 10 fantome'])
    gateway = scene.gateway(options={'routes': [
        {'name': 'main', 'domains': ['hopital.test'], 'to': [inside.hostport()]},
        {'name': 'world', 'domains': ['*'], 'to': ['mx']}],
        'dns': {'servers': [server.address], 'trust_anchors': server.anchors, 'root_anchor': ''}})
    for recipient in ('x@absent.essai.example', 'x@nul.essai.example', 'x@vide.essai.example',
            'x@seul.essai.example'):
        scene.accounts.post(gateway.submit, 'chef@hopital.test', recipient, message())
    fates = scene.settle(seconds=20)
    expect(fates['bounced'] == 4, 'fates %s' % fates)
    text = b''.join(d.data for d in inside.received())
    expect(b'5.1.10' in text, 'a null MX is 5.1.10 (RFC 7505)')
    expect(b'5.1.2' in text or b'5.4.4' in text, 'no such domain is 5.1.2')


def test_forged(scene):
    """An answer that does not validate is no answer: mail waits and is never sent there."""
    trap = sink_at(scene, '127.0.0.1')
    server = zone(scene, ['@ IN MX 10 un', 'un IN A 127.0.0.9'], spoiled=['essai.example'])
    gateway = mx_gateway(scene, server)
    scene.accounts.post(gateway.submit, 'chef@hopital.test', 'x@essai.example', message())
    wait_until('it waits', lambda: 'essai.example' in str(gateway.queue()), 10, 0.2)
    scene.settle(seconds=6, queued=1)
    expect(not trap.deliveries, 'a forged address was used')


def test_name_server_down(scene):
    """The name server is away: mail waits, and goes when it is back."""
    sink = sink_at(scene, '127.0.0.64')
    server = zone(scene, ['@ IN MX 10 un', 'un IN A 127.0.0.64'])
    gateway = mx_gateway(scene, server, queue={'retry': ['1s']})
    server.stop()
    scene.accounts.post(gateway.submit, 'chef@hopital.test', 'x@essai.example', message())
    wait_until('it waits', lambda: 'essai.example' in str(gateway.queue()), 30, 0.2)
    expect(not sink.deliveries, 'delivered without DNS')
    server.restart()
    scene.settle(seconds=60)


def test_many_hosts(scene):
    """60 MX records, the good one among dead ones: bounded attempts, and delivered or waiting."""
    good = sink_at(scene, '127.0.0.65')
    records = ['@ IN MX %d m%d' % (number, number) for number in range(60)]
    records += ['m%d IN A 127.0.0.%d' % (n, 65 if n == 3 else 100 + n) for n in range(60)]
    gateway = mx_gateway(scene, zone(scene, records))
    with Client(gateway.submit) as client:
        client.ehlo()
        scene.accounts.over(client, 'chef@hopital.test', ['x@essai.example'], message())
        client.quit()
    scene.settle(seconds=30)
    expect(good.received(), 'not delivered')
