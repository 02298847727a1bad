# SPDX-License-Identifier: EUPL-1.2
"""The accounting oracle: what was sent, what became of it, and that the two sums agree.

Every scenario sends through an Accounts, and ends with check(): each recipient of each message
that the gateway acknowledged has exactly one fate (delivered with the very same bytes behind the
trace headers, told to the sender in a notice, still queued, held, removed), nothing arrived that
nobody sent, and nothing refused arrived anyway."""
import collections
import email
import email.policy
import hashlib
import itertools
import re
import threading
import time

from .process import Failure
from .smtp import Client

_number = itertools.count(1)
TRACE = re.compile(
    rb'(?:Received|Return-Path|Authentication-Results|X-[A-Za-z-]+):[^\r\n]*\r\n'
    rb'(?:[ \t][^\r\n]*\r\n)*')


def message(sender='annie.caron@partenaire.example', to=None, subject=None, body=None, extra='',
        size=None):
    """A small message with a Message-ID of its own, as bytes with CRLF."""
    number = next(_number)
    text = body if body is not None else 'Bonjour,\r\n\r\nceci est le message %d.\r\n' % number
    head = ('From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: Mon, 23 Nov 2026 09:00:00 +0100\r\n'
        'Message-ID: <%d.%d@scenario.test>\r\n%s\r\n' % (sender, to or 'someone@hopital.test',
            subject or 'message %d' % number, number, time.time_ns(), extra))
    data = head.encode() + (text if isinstance(text, bytes) else text.encode())
    if size and len(data) < size:
        line = b'0123456789abcdef' * 4 + b'\r\n'
        missing = size - len(data)
        data += line * (missing // len(line))
        rest = size - len(data)
        data += b'x' * (rest - 2) + b'\r\n' if rest >= 2 else b''
    return data


class Sent:
    """One message and one recipient that it was sent to. accepted: True (told 250), False
    (refused), None (the sender cannot know: the connection broke before the reply)."""

    def __init__(self, sender, recipient, data, accepted, reply):
        self.sender, self.recipient, self.data = sender, recipient, data
        self.accepted, self.reply = accepted, reply
        self.sha256 = hashlib.sha256(data).hexdigest()
        found = re.search(rb'(?im)^message-id:\s*(\S+)', data.split(b'\r\n\r\n', 1)[0])
        self.message_id = found.group(1).decode('latin-1') if found else None

    def __repr__(self):
        return '%s → %s (%d bytes, %s)' % (self.sender or '<>', self.recipient, len(self.data),
            self.reply)


class Accounts:
    def __init__(self):
        self.sent = []
        self._lock = threading.Lock()

    def note(self, sender, recipients, data, accepted, reply=None):
        """What a client of another kind has sent; accepted: it was told 250."""
        wire = data if data.endswith(b'\r\n') or not data else data + b'\r\n'
        with self._lock:
            self.sent += [Sent(sender, each, wire, accepted, reply) for each in recipients]

    def over(self, client, sender, recipients, data, words='', rcpt_words='', bdat=None):
        """Sends over an open session. Returns (RCPT replies, final reply or None)."""
        replies = client.mail(sender, recipients, words, rcpt_words)
        good = [each for each, reply in zip(recipients, replies) if reply.code == 250]
        for each, reply in zip(recipients, replies):
            if reply.code != 250:
                self.note(sender, [each], data, False, reply)
        if not good:
            client.expect('RSET', 250)
            return replies, None
        try:
            final = client.bdat(data, bdat) if bdat else client.body(data)
        except (Failure, OSError) as error:
            self.note(sender, good, data, None, error)
            raise
        self.note(sender, good, data, final.code == 250, final)
        return replies, final

    def post(self, port, sender, recipients, data, words='', rcpt_words='', bdat=None, **options):
        """A session for one message. Returns (RCPT replies, final reply or None)."""
        if isinstance(recipients, str):
            recipients = [recipients]
        with Client(port, **options) as client:
            client.ehlo()
            result = self.over(client, sender, recipients, data, words, rcpt_words, bdat)
            client.quit()
        return result

    def accepted(self):
        return [each for each in self.sent if each.accepted]

    # ---- the sum ----

    def check(self, gateways, sinks, seconds=30, duplicates=0, queued=0, held=0, gone=(),
            crashes=False):
        """The oracle. queued, held: how many recipients may still be in the queue, in quarantine;
        gone: recipients whose end leaves nothing to see at a sink (removed by an administrator,
        failed with nobody to tell). crashes: processes were killed, so that a 4xx at the end of
        data may stand for a message that was kept (rule 13). Returns Counter of fates."""
        if crashes:
            for item in self.sent:
                if item.accepted is False and item.reply and item.reply.code // 100 == 4:
                    item.accepted = None
        fates, problems, in_queue, in_hold = wait_settled(self, gateways, sinks, seconds,
            queued + held, gone)
        for sink in sinks:
            problems += ['sink: ' + fault for fault in sink.faults]
        if fates['duplicate'] > duplicates:
            problems.append('%d duplicates, %d allowed' % (fates['duplicate'], duplicates))
        if fates['missing'] != in_queue + in_hold:
            problems.append('%d without delivery or notice, but %d queued and %d held' % (
                fates['missing'], in_queue, in_hold))
        if in_queue > queued or in_hold > held:
            problems.append('%d queued (%d allowed), %d held (%d allowed)' % (
                in_queue, queued, in_hold, held))
        if problems:
            raise Failure('accounts do not agree: ' + '; '.join(problems[:12]) + (
                '; and %d more' % (len(problems) - 12) if len(problems) > 12 else ''))
        return fates


def waiting(rows):
    """Recipients in rows of `vgm queue list` or `vgm quarantine list` that have no fate yet."""
    return sum(each['status'] in ('queued', 'deferred', 'held')
        for row in rows for each in row['recipients'])


def notice_facts(data):
    """[(final recipient, action)] and the Message-ID of the original, of a delivery status
    notification; None for any other message."""
    if b'multipart/report' not in data[:8000].lower() or b'message/delivery-status' not in data:
        return None
    parsed = email.message_from_bytes(data, policy=email.policy.default)
    facts, original = [], None
    for part in parsed.walk():
        kind = part.get_content_type()
        if kind == 'message/delivery-status':
            for block in part.get_payload():
                if block['Final-Recipient']:
                    address = str(block['Final-Recipient']).split(';', 1)[1].strip()
                    facts.append((re.sub(r'\\x\{([0-9A-F]+)\}', lambda m: chr(int(m.group(1), 16)),
                        address), str(block['Action']).strip().lower()))
        elif kind in ('text/rfc822-headers', 'message/rfc822', 'message/global-headers'):
            text = part.get_payload()
            text = str(text[0]) if isinstance(text, list) else (
                part.get_payload(decode=True) or b'').decode('utf-8', 'replace')
            found = re.search(r'(?im)^message-id:\s*(\S+)', text)
            original = found.group(1) if found else original
    return facts, original


def split_trace(data, original):
    """What the gateway put before the original bytes, or None when the original is not the exact
    end of data or what stands before it is not whole trace fields."""
    if not data.endswith(original):
        return None
    prefix = data[:len(data) - len(original)]
    position = 0
    while position < len(prefix):
        found = TRACE.match(prefix, position)
        if not found:
            return None
        position = found.end()
    return prefix


def fates_of(accounts, sinks, gone=()):
    """Counter of fates and the list of what is wrong, from what the sinks have now."""
    open_items = collections.defaultdict(list)
    for item in accounts.sent:
        open_items[item.recipient.lower()].append(item)
    done, counts, problems = collections.Counter(), collections.Counter(), []
    for sink in sinks:
        for delivery in sink.received():
            facts = notice_facts(delivery.data) if delivery.sender == '' else None
            if facts:
                _count_notice(accounts, facts, done, counts, problems)
            for address in delivery.addresses():
                _count_delivery(open_items, address, delivery, facts, done, counts, problems)
    for item in accounts.accepted():
        if not done[id(item)]:
            if item.recipient in gone:
                counts['gone'] += 1
            else:
                counts['missing'] += 1
    return counts, problems


def _count_delivery(open_items, address, delivery, facts, done, counts, problems):
    matches = [item for item in open_items[address.lower()]
        if split_trace(delivery.data, item.data) is not None and item.sender == delivery.sender]
    fresh = [item for item in matches if item.accepted and not done[id(item)]]
    if fresh:
        done[id(fresh[0])] += 1
        counts['delivered'] += 1
    elif any(item.accepted for item in matches):
        counts['duplicate'] += 1
    elif any(item.accepted is None for item in matches):
        counts['delivered unsure'] += 1
    elif matches:
        problems.append('delivered though refused: %r' % matches[0])
    elif not facts:
        problems.append('nobody sent this: <%s> → <%s>, %d bytes, starts %r' % (delivery.sender,
            address, len(delivery.data), delivery.data[:300]))


def _count_notice(accounts, facts, done, counts, problems):
    for recipient, action in facts[0]:
        if action not in ('failed',):
            counts['notice ' + action] += 1
            continue
        match = [item for item in accounts.accepted()
            if item.recipient.lower() == recipient.lower() and not done[id(item)]
            and (facts[1] is None or facts[1] == item.message_id)]
        if match:
            done[id(match[0])] += 1
            counts['bounced'] += 1
        else:
            problems.append('a notice about nothing that failed: %s %s' % (recipient, facts[1]))


def wait_settled(accounts, gateways, sinks, seconds, may_wait=0, gone=()):
    """(fates, problems, queued, held), as soon as nothing is missing beyond may_wait and the views,
    which follow within a second, explain what is; or at the end of the time."""
    limit = time.monotonic() + seconds
    while True:
        begin = time.monotonic()
        fates, problems = fates_of(accounts, sinks, gone)
        if fates['missing'] <= may_wait or problems or begin > limit:
            in_queue, in_hold = in_views(gateways)
            if fates['missing'] == in_queue + in_hold or begin > limit:
                time.sleep(0.1)      # a duplicate that is on its way shall be seen
                if fates_of(accounts, sinks, gone)[0] == fates or begin > limit:
                    return fates, problems, in_queue, in_hold
        time.sleep(max(0.1, 2 * (time.monotonic() - begin)))


def in_views(gateways):
    """Recipients (queued, held) of all running gateways."""
    running = [gateway for gateway in gateways if gateway.process]
    return (sum(waiting(gateway.queue()) for gateway in running),
        sum(waiting(gateway.held()) for gateway in running))
