# SPDX-License-Identifier: EUPL-1.2
"""A small SMTP server that keeps the exact bytes of what it is given, and can misbehave on order.

Sink(replies=f): f(session, stage, detail) → None (the ordinary reply), a reply as bytes or str, one
of the acts below, or a function that writes to the connection itself. Stages: connect, ehlo, helo,
starttls, mail, rcpt, data, dot, rset, quit, bdat. The sink is strict about line ends: a bare CR or
LF in what it is sent is noted in .faults, and the accounts never agree when there is one."""
import re
import socket
import ssl
import threading
import time

from .ports import free_port

DROP = object()      # close the connection without a word
RESET = object()     # close it with a TCP reset
STALL = object()     # never answer; the connection stays open


def as_bytes(reply):
    return reply.encode() if isinstance(reply, str) else reply


def says(reply):
    """The bytes that an ordered reply amounts to; an act may tell them in its attribute `says`."""
    return as_bytes(reply) if isinstance(reply, (bytes, str)) else getattr(reply, 'says', b'')


class Delivery:
    """One message that arrived, with its envelope exactly as it was said."""

    def __init__(self, sender, sender_words, recipients, data, session):
        self.sender, self.sender_words = sender, sender_words
        self.recipients = recipients            # [(address, words after it)]
        self.data = data                        # bytes, dots undone, with the final CRLF
        self.tls = session.tls
        self.session = session
        self.at = time.time()
        self.acknowledged = None                # whether we said 2xx to it

    def addresses(self):
        return [address for address, _ in self.recipients]


class Session:
    def __init__(self, number, peer):
        self.number, self.peer = number, peer
        self.tls = None
        self.helo = None
        self.commands = []
        self.reset()

    def reset(self):
        self.sender = self.sender_words = None
        self.recipients = []
        self.chunks = b''


class Sink:
    EXTENSIONS = ('PIPELINING', 'SIZE 104857600', '8BITMIME', 'SMTPUTF8', 'DSN',
        'ENHANCEDSTATUSCODES')

    def __init__(self, replies=None, extensions=EXTENSIONS, tls=None, port=None, address='127.0.0.1',
            on_delivery=None):
        self.replies = replies
        self.extensions = tuple(extensions)
        self.tls = tls                          # an ssl.SSLContext, or None
        self.address, self.port = address, port or free_port()
        self.deliveries = []
        self.sessions = []
        self.faults = []
        self.on_delivery = on_delivery
        self.open_now = self.open_most = 0
        self._lock = threading.Lock()
        self._sockets = set()
        self._listener = None
        self.start()

    # ---- life cycle ----

    def start(self):
        self._listener = socket.create_server((self.address, self.port), backlog=512)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self):
        """Refuses connections from now on and cuts those that are open; start() serves again."""
        listener, self._listener = self._listener, None
        if listener:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            sockets = list(self._sockets)
        for each in sockets:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def hostport(self):
        return '%s:%d' % (self.address, self.port)

    def _accept(self, listener):
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            with self._lock:
                self._sockets.add(connection)
                self.open_now += 1
                self.open_most = max(self.open_most, self.open_now)
                session = Session(len(self.sessions), peer)
                self.sessions.append(session)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection, session), daemon=True).start()

    def _serve(self, connection, session):
        try:
            _Conversation(self, connection, session).run()
        except (OSError, EOFError, ssl.SSLError):
            pass
        finally:
            with self._lock:
                self._sockets.discard(connection)
                self.open_now -= 1

    # ---- what arrived ----

    def add(self, delivery):
        with self._lock:
            self.deliveries.append(delivery)
        if self.on_delivery:
            self.on_delivery(delivery)

    def received(self):
        """What was acknowledged with 2xx: the only thing that counts as delivered."""
        with self._lock:
            return [d for d in self.deliveries if d.acknowledged]

    def to(self, address):
        return [d for d in self.received() if address in d.addresses()]


class _Conversation:
    """One connection: reads lines and calls the method of the verb."""

    def __init__(self, sink, connection, session):
        self.sink, self.session = sink, session
        self.socket = connection
        self.buffer = bytearray()

    def run(self):
        if not self.answer('connect', None, b'220 sink.test ESMTP'):
            return
        while True:
            line = self.read_line()
            self.session.commands.append(line)
            verb, _, rest = line.decode('utf-8', 'surrogateescape').partition(' ')
            method = getattr(self, 'on_' + verb.lower(), None)
            if method is None:
                self.send(b'500 5.5.2 what?')
            elif not method(rest):
                return

    # ---- bytes ----

    def read_more(self):
        more = self.socket.recv(262144)
        if not more:
            raise EOFError
        self.buffer += more

    def take(self, count):
        """The first count bytes of what was read."""
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def read_line(self):
        while b'\n' not in self.buffer:
            self.read_more()
        end = self.buffer.index(b'\n')
        line = self.take(end + 1)[:-1]
        if not line.endswith(b'\r') or b'\r' in line[:-1]:
            self.sink.faults.append('bare CR or LF in a command: %r' % line)
        return line.rstrip(b'\r')

    def read_body(self):
        """Up to CRLF.CRLF, and only that."""
        start = 0
        if self.buffer.startswith(b'.\r\n'):
            self.take(3)
            return b''
        while True:
            end = self.buffer.find(b'\r\n.\r\n', max(0, start - 4))
            if end >= 0:
                break
            start = len(self.buffer)
            self.read_more()
        data = self.take(end + 5)[:-3]
        if re.search(rb'(?<!\r)\n|\r(?!\n)', data):
            self.sink.faults.append('bare CR or LF in a body')
        if b'\0' in data:
            self.sink.faults.append('NUL in a body')
        if re.search(rb'(?:^|\r\n)\.(?!\.)', data):
            self.sink.faults.append('a line starts with one dot that was not doubled')
        return re.sub(rb'(^|\r\n)\.', rb'\1', data)

    def send(self, reply):
        if not reply.endswith(b'\n'):
            reply += b'\r\n'
        self.socket.sendall(reply)

    def ask(self, stage, detail):
        return self.sink.replies(self.session, stage, detail) if self.sink.replies else None

    def answer(self, stage, detail, usual):
        """Sends the ordered reply or the usual one. False: the connection is over."""
        return self.perform(self.ask(stage, detail), usual)

    def perform(self, reply, usual):
        if reply is DROP:
            self.socket.shutdown(socket.SHUT_RDWR)
            return False
        if reply is RESET:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
            self.socket.close()
            return False
        if reply is STALL:
            while self.socket.recv(65536):
                pass
            return False
        if callable(reply):          # writes what it likes to the connection itself
            self.last = b'4'
            return bool(reply(self.socket))
        self.last = usual if reply is None else as_bytes(reply)
        self.send(self.last)
        return True

    def said(self):
        """First digit of the last reply."""
        return self.last[:1]

    # ---- verbs ----

    def on_ehlo(self, rest):
        self.session.helo = rest
        words = list(self.sink.extensions)
        if self.sink.tls and not self.session.tls:
            words.append('STARTTLS')
        lines = ['sink.test', *words]
        text = ''.join('250%s%s\r\n' % ('-' if i < len(lines) - 1 else ' ', line)
            for i, line in enumerate(lines))
        return self.answer('ehlo', rest, text.encode())

    def on_helo(self, rest):
        self.session.helo = rest
        return self.answer('helo', rest, b'250 sink.test')

    def on_starttls(self, rest):
        if not self.sink.tls:
            self.send(b'502 5.5.1 no')
            return True
        if not self.answer('starttls', rest, b'220 2.0.0 go on') or self.said() != b'2':
            return self.said() != b'2'
        self.socket = self.sink.tls.wrap_socket(self.socket, server_side=True)
        self.session.tls = self.socket.version()
        self.session.reset()
        self.buffer.clear()
        return True

    def on_mail(self, rest):
        found = re.match(r'FROM:<([^>]*)>(.*)', rest, re.I | re.S)
        self.session.reset()
        go_on = self.answer('mail', rest, b'250 2.1.0 ok')
        if go_on and self.said() == b'2' and found:
            self.session.sender, self.session.sender_words = found.groups()
        return go_on

    def on_rcpt(self, rest):
        found = re.match(r'TO:<([^>]*)>(.*)', rest, re.I | re.S)
        go_on = self.answer('rcpt', found.group(1) if found else rest, b'250 2.1.5 ok')
        if go_on and self.said() == b'2' and found:
            self.session.recipients.append(found.groups())
        return go_on

    def on_data(self, rest):
        if self.session.sender is None or not self.session.recipients:
            self.send(b'503 5.5.1 no')
            return True
        if not self.answer('data', rest, b'354 go on'):
            return False
        if self.said() != b'3':
            return True
        return self.finish(self.read_body())

    def on_bdat(self, rest):
        words = rest.split()
        size = int(words[0])
        while len(self.buffer) < size:
            self.read_more()
        self.session.chunks += self.take(size)
        if len(words) > 1:
            return self.finish(self.session.chunks)
        return self.answer('bdat', rest, b'250 2.0.0 ok')

    def finish(self, data):
        session = self.session
        delivery = Delivery(session.sender, session.sender_words, session.recipients, data, session)
        session.reset()
        reply = self.ask('dot', delivery)
        delivery.acknowledged = reply is None or says(reply).startswith(b'2')
        self.sink.add(delivery)
        return self.perform(reply, b'250 2.0.0 kept as %d' % len(self.sink.deliveries))

    def on_rset(self, rest):
        self.session.reset()
        return self.answer('rset', rest, b'250 2.0.0 ok')

    def on_noop(self, rest):
        self.send(b'250 2.0.0 ok')
        return True

    def on_quit(self, rest):
        self.answer('quit', rest, b'221 2.0.0 bye')
        return False
