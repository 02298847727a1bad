# SPDX-License-Identifier: EUPL-1.2
"""A gateway under test: `vgm serve` in a directory of its own, with a configuration file that names
free ports, and the command line that talks to it."""
import json
import os
import re
import signal
import socket
import subprocess

from .ports import free_port
from .process import Failure, Process, tree, wait_until

DOMAIN = 'hopital.test'
CRASH = re.compile(r'AddressSanitizer|runtime error:|LeakSanitizer|Segmentation fault|SIGSEGV|'
    r'SIGABRT|VGM_BUG|stack smashing|core dumped')


def yaml(value, indent=0):
    """The small part of YAML that the configuration needs: maps, lists, quoted texts."""
    pad = '  ' * indent
    if isinstance(value, dict):
        return ''.join('%s%s:%s' % (pad, key, _nested(each, indent)) for key, each in value.items())
    return ''.join('%s- %s' % (pad, _item(each, indent)) for each in value)


def _nested(value, indent):
    if isinstance(value, (dict, list)) and value:
        return '\n' + yaml(value, indent + 1)
    return ' %s\n' % _scalar(value)


def _item(value, indent):
    if isinstance(value, dict):
        return yaml(value, indent + 1).lstrip(' ')
    return _scalar(value) + '\n'


def _scalar(value):
    if value == []:
        return '[]'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, int):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


class Gateway:
    """Gateway(vgm, directory, routes=[...], options={...}).start() … .stop()

    relay: "HOST:PORT" that everything goes to, or None with routes given in options.
    options: what else stands in the file, by top-level key; replaces what is set here.
    directory_text: the recipients file; None: every address of the domain exists."""

    def __init__(self, vgm, directory, relay=None, options=None, directory_text=None, dns=None,
            env=None, sanitized=False, wrapper=()):
        self.vgm_path, self.path = os.path.abspath(vgm), directory
        self.state = os.path.join(directory, 'state')
        self.config_path = os.path.join(directory, 'vgm.yaml')
        self.log_path = os.path.join(directory, 'vgm.log')
        self.receive, self.submit, self.devices = free_port(), free_port(), free_port()
        self.env = dict(env or {})
        self.wrapper = list(wrapper)
        self.sanitized = sanitized
        self.process = None
        self.served = False       # there is a ledger to verify
        os.makedirs(self.state, exist_ok=True)
        self.options = self.defaults(relay, dns)
        self.options.update(options or {})
        if directory_text is not None:
            self.write_directory(directory_text)
            self.options['directory'] = self.directory_path
        self.write_config()

    @property
    def directory_path(self):
        return os.path.join(self.path, 'directory')

    def defaults(self, relay, dns):
        found = {
            'hostname': 'gw.' + DOMAIN,
            'domains': [DOMAIN],
            'language': 'en',
            'phone': '+33 1 23 45 67 89',
            'state': self.state,
            'receive': {'listen': ['127.0.0.1:%d' % self.receive]},
            'submit': {'listen': ['127.0.0.1:%d' % self.submit], 'relays': ['127.0.0.1']},
            'devices': {'listen': ['127.0.0.1:%d' % self.devices],
                'machines': [{'name': 'copier', 'address': '127.0.0.1'}]},
            'queue': {'retry': ['1s', '2s', '2s']},
        }
        if relay:
            found['routes'] = [{'name': 'main', 'domains': ['*'], 'to': [relay]}]
        if dns:
            found['dns'] = dns
        return found

    def write_config(self, text=None):
        with open(self.config_path, 'w') as config:
            config.write(yaml(self.options) if text is None else text)

    def write_directory(self, text):
        with open(self.directory_path, 'w') as directory:
            directory.write(text)

    # ---- life cycle ----

    def start(self, seconds=30):
        self.process = Process([*self.wrapper, self.vgm_path, 'serve', '--config',
            self.config_path], self.log_path, env=self.env)
        self.wait_ready(seconds)
        self.served = True
        return self

    def doors(self):
        """Ports that it should listen on."""
        found = []
        for door in ('receive', 'submit', 'devices'):
            found += [int(each.rsplit(':', 1)[1])
                for each in self.options.get(door, {}).get('listen', [])]
        return found

    def wait_ready(self, seconds=30):
        proxied = bool(self.options.get('receive', {}).get('proxies'))

        def check():
            if not self.process.alive():
                raise Failure('vgm serve ended with %s: %s' % (
                    self.process.process.returncode, self.process.log()[-2000:]))
            return all(greets(port, not proxied) for port in self.doors())
        wait_until('gateway ready', check, seconds, 0.05)

    def stop(self):
        if not self.process:
            return
        process, self.process = self.process, None
        code = process.stop()
        if code != 0:
            log = process.log()
            found = CRASH.search(log)
            raise Failure('vgm serve ended with %s: %s' % (code,
                log[found.start():][:3000] if found else log[-2000:]))

    def kill(self):
        """kill -9 of the whole tree."""
        if self.process:
            self.process.kill()
            self.process = None

    def restart(self):
        self.stop()
        return self.start()

    def reload(self):
        self.process.process.send_signal(signal.SIGHUP)

    def log(self):
        with open(self.log_path, errors='replace') as log:
            return log.read()

    def roles(self):
        """role name → pids, read from the command lines of the tree."""
        found = {}
        for pid in sorted(tree(self.process.pid)):
            try:
                with open('/proc/%d/cmdline' % pid, 'rb') as line:
                    words = line.read().split(b'\0')
            except OSError:
                continue
            if b'--role' in words:
                name = words[words.index(b'--role') + 1].decode()
                found.setdefault(name, []).append(pid)
        return found

    # ---- the command line ----

    def run(self, *words, expect=0, raw=False, timeout=60, offline=False):
        """Runs `vgm WORDS` against this gateway; returns its standard output. expect: the exit
        code that is right, or None for any."""
        command = [self.vgm_path, words[0], *map(str, words[1:])]
        command += ['--state', self.state] if offline else ['--config', self.config_path]
        done = subprocess.run(command, capture_output=True, timeout=timeout,
            env=dict(os.environ, **self.env), check=False)
        if expect is not None and done.returncode != expect:
            raise Failure('vgm %s: exit %d, not %s: %s' % (' '.join(map(str, words)),
                done.returncode, expect, (done.stderr + done.stdout).decode('utf-8', 'replace')))
        return done.stdout if raw else done.stdout.decode()

    def rows(self, *words, **options):
        """The JSON rows that a command prints with --json."""
        text = self.run(*words, '--json', **options)
        return [json.loads(line) for line in text.splitlines() if line.strip()]

    def queue(self):
        return self.rows('queue', 'list', '--limit', 10000)

    def held(self):
        return self.rows('quarantine', 'list', '--limit', 10000)

    def verify(self):
        """`vgm verify` over a stopped or running gateway's ledger; fails on anything wrong."""
        return self.run('verify')


def greets(port, with_greeting=True):
    """Somebody speaks SMTP there: 220, or 554 to us in particular (RFC 5321, 3.1)."""
    try:
        with socket.create_connection(('127.0.0.1', port), 5) as probe:
            if not with_greeting:
                return True
            probe.settimeout(5)
            if not probe.recv(200).startswith((b'220', b'554')):
                return False
            probe.sendall(b'QUIT\r\n')
            probe.recv(200)
            return True
    except OSError:
        return False
