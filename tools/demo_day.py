# SPDX-License-Identifier: EUPL-1.2
"""The demo's day of mail: reads data/demo/day and makes the messages of it, attachments included.
Deterministic: the same day gives the same bytes, but for the date."""
import email.message
import email.policy
import io
import re
import zipfile
import zlib

KINDS = {'pdf': ('application', 'pdf'), 'png': ('image', 'png'), 'docx': ('application',
    'vnd.openxmlformats-officedocument.wordprocessingml.document')}
FIELDS = ('door', 'from', 'to', 'subject', 'attach', 'lines', 'size', 'expect')


class Mail:
    """One message of the day: fields as in the file, .people with the fate expected of each."""

    def __init__(self, number, name, fields, text):
        self.number, self.name, self.text = number, name, text
        self.door, self.subject = fields['door'], fields['subject']
        self.sender = '' if fields['from'] == '<>' else fields['from']
        self.recipients = [each.strip() for each in fields['to'].split(',')]
        fates = [each.strip() for each in fields['expect'].split(',')]
        if len(fates) == 1:
            fates *= len(self.recipients)
        if len(fates) != len(self.recipients):
            raise ValueError('%s: %d fates for %d recipients' % (name, len(fates),
                len(self.recipients)))
        self.expected = dict(zip(self.recipients, fates))
        self.attachment = fields.get('attach', '').split()
        self.bare = fields.get('lines') == 'bare'
        self.megabytes = int(fields.get('size', 0))
        self.message_id = '<demo.%d@%s>' % (number, (self.sender or 'absent@x.example').split('@')[1])

    def wire(self, date):
        """The bytes as its sender gives them to SMTP (dots not yet doubled)."""
        message = email.message.EmailMessage(policy=email.policy.SMTP.clone(cte_type='8bit'))
        message['From'] = self.sender or 'absence@revue-soins.example'
        message['To'] = ', '.join(self.recipients)
        message['Subject'] = self.subject
        message['Date'] = date
        message['Message-ID'] = self.message_id
        text = self.text
        if self.megabytes:
            text += (text + '\n') * ((self.megabytes << 20) // len(text.encode()))
        message.set_content(text, cte='8bit')
        if self.attachment:
            kind, name, kilobytes = self.attachment
            main, sub = KINDS[kind]
            message.add_attachment(make(kind, name, int(kilobytes) << 10), maintype=main,
                subtype=sub, filename=name)
        data = re.sub(rb'boundary="[^"]*"', b'boundary="=_demo_%d"' % self.number, bytes(message))
        data = re.sub(rb'--={5,}\d+==', b'--=_demo_%d' % self.number, data)
        return data.replace(b'\r\n', b'\n') if self.bare else data


def read_day(path):
    """[Mail or act]: an act is a text such as "main down"."""
    found, number = [], 0
    with open(path, encoding='utf-8') as file:
        blocks = re.split(r'^(?====|---)', file.read(), flags=re.M)
    for block in blocks[1:]:
        first, _, rest = block.partition('\n')
        if first.startswith('---'):
            found.append(first[3:].strip())
            continue
        head, _, text = rest.partition('\n\n')
        fields = dict(line.split(': ', 1) for line in head.splitlines())
        unknown = set(fields) - set(FIELDS)
        if unknown:
            raise ValueError('%s: unknown fields %s' % (first, unknown))
        number += 1
        found.append(Mail(number, first[3:].strip(), fields, text.strip('\n') + '\n'))
    return found


# ---- small real files ----

def make(kind, name, size):
    """A valid file of that kind and about that size."""
    return {'pdf': make_pdf, 'docx': make_docx, 'png': make_png}[kind](name, size)


def noise(name, size):
    """Bytes that do not compress, the same for the same name."""
    found, state = bytearray(), zlib.crc32(name.encode()) | 1
    while len(found) < size:
        state ^= (state << 13) & 0xffffffff
        state ^= state >> 17
        state ^= (state << 5) & 0xffffffff
        found += state.to_bytes(4, 'big')
    return bytes(found[:size])


def make_pdf(name, size):
    """One page with the file's name on it, and an image-like stream that makes its size."""
    content = b'BT /F1 18 Tf 72 720 Td (%s) Tj ET' % name.encode('ascii', 'replace')
    filler = noise(name, max(0, size - 900))
    objects = [b'<< /Type /Catalog /Pages 2 0 R >>', b'<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
        b'<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R '
        b'/Resources << /Font << /F1 5 0 R >> >> >>',
        b'<< /Length %d >>\nstream\n%s\nendstream' % (len(content), content),
        b'<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
        b'<< /Length %d >>\nstream\n%s\nendstream' % (len(filler), filler)]
    out, places = bytearray(b'%PDF-1.4\n'), []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += b'%d 0 obj\n%s\nendobj\n' % (number, body)
    start = len(out)
    out += b'xref\n0 %d\n0000000000 65535 f \n' % (len(objects) + 1)
    out += b''.join(b'%010d 00000 n \n' % place for place in places)
    out += b'trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n' % (
        len(objects) + 1, start)
    return bytes(out)


def make_docx(name, size):
    """The least that a word processor opens: three parts in a zip, and a picture that makes its
    size."""
    word = 'http://schemas.openxmlformats.org/wordprocessingml/2006/main'
    package = 'http://schemas.openxmlformats.org/package/2006/'
    parts = {
        '[Content_Types].xml': '<Types xmlns="%scontent-types"><Default Extension="rels" '
            'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            '<Default Extension="bin" ContentType="application/octet-stream"/>'
            '<Override PartName="/word/document.xml" ContentType="application/vnd.openxmlformats-'
            'officedocument.wordprocessingml.document.main+xml"/></Types>' % package,
        '_rels/.rels': '<Relationships xmlns="%srelationships"><Relationship Id="r1" Type="http://'
            'schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
            'Target="word/document.xml"/></Relationships>' % package,
        'word/document.xml': '<w:document xmlns:w="%s"><w:body><w:p><w:r><w:t>%s</w:t></w:r></w:p>'
            '</w:body></w:document>' % (word, name)}
    out = io.BytesIO()
    with zipfile.ZipFile(out, 'w') as archive:
        for path, text in parts.items():
            archive.writestr(zipfile.ZipInfo(path), '<?xml version="1.0" encoding="UTF-8"?>' + text)
        archive.writestr(zipfile.ZipInfo('word/media/filler.bin'), noise(name, max(0, size - 1500)))
    return out.getvalue()


def make_png(name, size):
    """A grey picture of noise, 256 pixels wide."""
    height = max(1, size // 257)
    raw = noise(name, height * 256)
    rows = b''.join(b'\0' + raw[y * 256:(y + 1) * 256] for y in range(height))

    def chunk(kind, body):
        return (len(body).to_bytes(4, 'big') + kind + body +
            zlib.crc32(kind + body).to_bytes(4, 'big'))
    header = (256).to_bytes(4, 'big') + height.to_bytes(4, 'big') + b'\x08\0\0\0\0'
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows, 1)) + \
        chunk(b'IEND', b'')
