# SPDX-License-Identifier: EUPL-1.2
"""A real name server (Debian's bind9) with signed test zones, on a loopback port, as an ordinary
process. Zone(name, records) → NameServer([zones]) → .address "127.0.0.1:PORT", .anchors (DS lines).

Records are lines of a zone file without the origin: "mail IN A 127.0.0.1"."""
import glob
import os
import socket
import struct
import subprocess

from .ports import free_port
from .process import Process, wait_until


class NameServer:
    def __init__(self, directory, zones, signed=True, spoiled=()):
        """zones: {origin: [record lines]}. spoiled: origins whose signatures are made invalid
        (an address is changed after signing)."""
        self.path = directory
        os.makedirs(directory, exist_ok=True)
        self.port = free_port()
        self.address = '127.0.0.1:%d' % self.port
        self.anchors = []
        files = {}
        for origin, records in zones.items():
            files[origin] = self._write(origin, records, signed, origin in spoiled)
        self._configure(files)
        self.restart()

    def restart(self):
        self.process = Process(['named', '-g', '-c', self._file('named.conf')],
            self._file('named.log'))
        wait_until('name server', self._answers, 15)

    def _file(self, name):
        return os.path.join(self.path, name)

    def _write(self, origin, records, signed, spoiled):
        path = self._file(origin + '.zone')
        with open(path, 'w') as zone:
            zone.write('$TTL 60\n@ IN SOA ns.%s. admin.%s. 1 3600 900 604800 60\n@ IN NS ns\n'
                'ns IN A 127.0.0.1\n' % (origin, origin))
            zone.write('\n'.join(records) + '\n')
        if not signed:
            return path
        quiet = {'cwd': self.path, 'check': True, 'capture_output': True}
        subprocess.run(['dnssec-keygen', '-q', '-a', 'ECDSAP256SHA256', '-f', 'KSK', origin],
            **quiet)
        subprocess.run(['dnssec-keygen', '-q', '-a', 'ECDSAP256SHA256', origin], **quiet)
        keys = glob.glob(self._file('K%s.+*.key' % origin))
        with open(path, 'a') as zone:
            for key in keys:
                with open(key) as text:
                    zone.write(text.read())
        subprocess.run(['dnssec-signzone', '-S', '-o', origin, '-f', path + '.signed', path],
            **quiet)
        with open(self._file('dsset-%s.' % origin)) as text:
            self.anchors += [' '.join(line.split()) for line in text if line.strip()]
        if spoiled:
            self._spoil(path + '.signed')
        return path + '.signed'

    @staticmethod
    def _spoil(path):
        with open(path) as zone:
            text = zone.read()
        with open(path, 'w') as zone:
            zone.write(text.replace('127.0.0.9', '127.0.0.1'))

    def _configure(self, files):
        with open(self._file('named.conf'), 'w') as conf:
            conf.write('options { directory "%s"; listen-on port %d { 127.0.0.1; };\n'
                '  listen-on-v6 { none; }; pid-file none; session-keyfile none;\n'
                '  recursion no; dnssec-validation no; allow-query { any; };\n'
                '  lock-file none; };\ncontrols { };\n' % (self.path, self.port))
            for origin, path in files.items():
                conf.write('zone "%s" { type primary; file "%s"; };\n' % (origin, path))

    def _answers(self):
        if not self.process.alive():
            raise RuntimeError('named ended: ' + self.process.log()[-1500:])
        query = struct.pack('>HHHHHH', 7, 0, 1, 0, 0, 0) + b'\x00\x00\x02\x00\x01'
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.2)
            try:
                probe.sendto(query, ('127.0.0.1', self.port))
                return bool(probe.recv(512))
            except OSError:
                return False

    def stop(self):
        self.process.stop()
