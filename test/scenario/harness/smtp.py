# SPDX-License-Identifier: EUPL-1.2
"""A raw SMTP client: it sends exactly the bytes it is told to, and reads replies strictly."""
import re
import socket
import ssl

from .process import Failure


class Reply:
    def __init__(self, code, lines):
        self.code, self.lines = code, lines

    @property
    def text(self):
        return '\n'.join(self.lines)

    def enhanced(self):
        found = re.match(r'([245]\.\d{1,3}\.\d{1,3}) ', self.lines[-1] + ' ')
        return found.group(1) if found else None

    def __repr__(self):
        return '%d %s' % (self.code, ' / '.join(self.lines))


class Closed(Failure):
    """The server closed the connection where a reply was due."""


class Client:
    """Client(hostport) connects and reads the greeting unless greet=False."""

    def __init__(self, port, host='127.0.0.1', timeout=20, greet=True, first=b'', source=None):
        self.socket = socket.create_connection((host, port), timeout,
            source_address=(source, 0) if source else None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b''
        if first:
            self.send(first)
        self.greeting = self.reply() if greet else None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        try:
            self.socket.close()
        except OSError:
            pass

    def reset(self):
        """Closes with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def _line(self):
        while b'\n' not in self.buffer:
            try:
                more = self.socket.recv(65536)
            except (ConnectionError, ssl.SSLError) as error:
                raise Closed('connection lost: %s' % error) from None
            if not more:
                raise Closed('connection closed%s' % (
                    ' after %r' % self.buffer if self.buffer else ''))
            self.buffer += more
            if len(self.buffer) > 1 << 20:
                raise Failure('a reply line over 1 MB')
        line, _, self.buffer = self.buffer.partition(b'\n')
        if not line.endswith(b'\r'):
            raise Failure('reply line without CR: %r' % line)
        return line[:-1]

    def reply(self):
        lines = []
        while True:
            line = self._line()
            found = re.match(rb'(\d{3})([ -])(.*)$', line)
            if not found:
                raise Failure('not a reply: %r' % line)
            if len(line) > 510:
                raise Failure('reply line of %d bytes' % len(line))
            if re.search(rb'[\x00-\x08\x0b-\x1f\x7f]', line):
                raise Failure('control bytes in a reply: %r' % line)
            lines.append(found.group(3).decode('utf-8', 'replace'))
            if found.group(2) == b' ':
                return Reply(int(found.group(1)), lines)

    def command(self, text):
        self.send(text.encode() + b'\r\n' if isinstance(text, str) else text)
        return self.reply()

    def expect(self, text, code):
        """Sends a command; code is a number or its first digit."""
        reply = self.command(text)
        if reply.code != code and reply.code // 100 != code:
            raise Failure('%r: %r, not %s' % (text, reply, code))
        return reply

    def ehlo(self, name='client.test'):
        """EHLO; returns the extensions: {keyword: words}."""
        reply = self.expect('EHLO ' + name, 250)
        return {line.split()[0].upper(): line.split()[1:] for line in reply.lines[1:]}

    def starttls(self, context=None, name='client.test'):
        self.expect('STARTTLS', 220)
        return self.wrap(context)

    def wrap(self, context=None):
        self.socket = (context or anything()).wrap_socket(self.socket)
        self.buffer = b''
        return self

    def mail(self, sender, recipients, words='', rcpt_words=''):
        """MAIL and RCPTs; returns the replies of the RCPTs."""
        self.expect('MAIL FROM:<%s>%s' % (sender, ' ' + words if words else ''), 250)
        return [self.command('RCPT TO:<%s>%s' % (each, ' ' + rcpt_words if rcpt_words else ''))
            for each in recipients]

    def body(self, data):
        """DATA, the bytes with dots doubled, the end; returns the final reply."""
        self.expect('DATA', 354)
        return self.finish(data)

    def finish(self, data):
        self.send(stuff(data) + b'.\r\n')
        return self.reply()

    def bdat(self, data, chunk=None):
        """The bytes as chunks (RFC 3030); returns the final reply."""
        chunk = chunk or max(1, len(data))
        pieces = [data[i:i + chunk] for i in range(0, len(data), chunk)] or [b'']
        for number, piece in enumerate(pieces):
            last = number == len(pieces) - 1
            self.send(b'BDAT %d%s\r\n' % (len(piece), b' LAST' if last else b'') + piece)
            reply = self.reply()
            if not last and reply.code != 250:
                return reply
        return reply

    def quit(self):
        self.expect('QUIT', 221)
        self.close()

    def is_open(self):
        """Still answers NOOP."""
        try:
            return self.command('NOOP').code == 250
        except (Failure, OSError):
            return False


def anything():
    """A TLS context that checks nothing: for gateways with a certificate of their own making."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def stuff(data):
    """Dots doubled, and a CRLF at the end where there is none."""
    data = re.sub(rb'(^|\r\n)\.', rb'\1..', data)
    return data if data.endswith(b'\r\n') or not data else data + b'\r\n'


def send_mail(port, sender, recipients, data, **options):
    """A whole session for one message; returns (replies of the RCPTs, reply to the body or None)."""
    with Client(port, **options) as client:
        client.ehlo()
        replies = client.mail(sender, recipients)
        final = client.body(data) if any(r.code == 250 for r in replies) else None
        client.quit()
    return replies, final
