# SPDX-License-Identifier: EUPL-1.2
"""Certificates for tests, made by the openssl command: one authority, and what it signs."""
import hashlib
import os
import ssl
import subprocess


def _openssl(directory, *words):
    subprocess.run(['openssl', *words], cwd=directory, check=True, capture_output=True)


class Authority:
    def __init__(self, directory):
        self.path = directory
        os.makedirs(directory, exist_ok=True)
        self.certificate = os.path.join(directory, 'authority.pem')
        _openssl(directory, 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
            'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'authority.key', '-out',
            'authority.pem', '-subj', '/CN=Test authority', '-days', '30')

    def issue(self, name, kind='ec'):
        """(certificate path, key path) for a host or client of that name."""
        make = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'] if kind == 'ec' else [
            '-newkey', 'rsa:2048']
        _openssl(self.path, 'req', *make, '-nodes', '-keyout', name + '.key', '-out',
            name + '.csr', '-subj', '/CN=' + name)
        with open(os.path.join(self.path, name + '.ext'), 'w') as extensions:
            extensions.write('subjectAltName=DNS:%s\nbasicConstraints=CA:false\n' % name)
        _openssl(self.path, 'x509', '-req', '-in', name + '.csr', '-CA', 'authority.pem',
            '-CAkey', 'authority.key', '-CAcreateserial', '-days', '20', '-extfile',
            name + '.ext', '-out', name + '.pem')
        return os.path.join(self.path, name + '.pem'), os.path.join(self.path, name + '.key')

    def server(self, name, **kind):
        """An ssl.SSLContext for a sink of that name."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.issue(name, **kind))
        return context


def fingerprint(certificate):
    """SHA-256 of a PEM certificate, in hex."""
    with open(certificate) as text:
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(text.read())).hexdigest()
