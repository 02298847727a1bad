# SPDX-License-Identifier: EUPL-1.2
"""Debian's Postfix with a private configuration, queue and log: as the system that sends to the
gateway, the one that receives from it, and the bench's peer. Needs root (Postfix changes users)."""
import os
import pwd
import shutil

from .ports import free_port
from .process import Process, wait_until
from .gateway import greets

SERVICES = '''
127.0.0.1:{port} inet n - n - 100 smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - 100 smtp
relay unix - - n - 100 smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
'''


def available():
    """None, or why Postfix cannot be used here."""
    if not os.path.exists('/usr/sbin/postfix'):
        return 'postfix is not installed'
    return None if os.geteuid() == 0 else 'postfix needs root'


class Postfix:
    """relay: "HOST:PORT" for everything; or mailboxes: domain whose mail is kept in .maildir."""

    def __init__(self, directory, relay=None, mailboxes=None, options=None, wrapper=()):
        self.path, self.port = directory, free_port()
        self.spool = os.path.join(directory, 'spool')
        self.maildir = os.path.join(directory, 'mail')
        user = pwd.getpwnam('postfix')
        for name in ('etc', 'spool', 'data', 'mail'):
            os.makedirs(os.path.join(directory, name), exist_ok=True)
        for name in ('data', 'mail'):
            os.chown(os.path.join(directory, name), user.pw_uid, user.pw_gid)
        os.chmod(directory, 0o755)
        main = self._settings(relay, mailboxes, user)
        main.update(options or {})
        self._write('etc/main.cf', ''.join('%s = %s\n' % pair for pair in main.items()))
        self._write('etc/master.cf', SERVICES.format(port=self.port))
        self.wrapper = list(wrapper)
        self.start()

    def start(self, wait=True):
        self.process = Process([*self.wrapper, '/usr/sbin/postfix', '-c', self._file('etc'),
            'start-fg'], self._file('out.log'))
        if wait:
            wait_until('postfix', lambda: greets(self.port), 60, 0.1)

    def _file(self, name):
        return os.path.join(self.path, name)

    def _write(self, name, text):
        with open(self._file(name), 'w') as target:
            target.write(text)

    def _settings(self, relay, mailboxes, user):
        found = {
            'compatibility_level': '3.6', 'queue_directory': self.spool,
            'data_directory': self._file('data'), 'command_directory': '/usr/sbin',
            'daemon_directory': '/usr/lib/postfix/sbin', 'shlib_directory': '/usr/lib/postfix',
            'meta_directory': '/etc/postfix', 'mail_owner': 'postfix',
            'setgid_group': 'postdrop', 'maillog_file_prefixes': '/var, ' + self.path,
            'maillog_file': self._file('mail.log'), 'inet_interfaces': '127.0.0.1',
            'inet_protocols': 'ipv4', 'myhostname': 'peer.test', 'mydestination': '',
            'mynetworks': '127.0.0.0/8', 'alias_maps': '', 'alias_database': '',
            'local_recipient_maps': '', 'disable_dns_lookups': 'yes',
            'smtpd_peername_lookup': 'no', 'smtp_host_lookup': 'native',
            'smtpd_relay_restrictions': 'permit_mynetworks, reject',
            'smtpd_client_connection_count_limit': '0', 'message_size_limit': '104857600',
            'mailbox_size_limit': '0', 'virtual_mailbox_limit': '0', 'in_flow_delay': '0',
            'biff': 'no', 'default_destination_concurrency_limit': '50',
            'minimal_backoff_time': '2s', 'maximal_backoff_time': '4s', 'queue_run_delay': '2s',
        }
        if relay:
            found['relayhost'] = '[%s]:%s' % tuple(relay.rsplit(':', 1))
        if mailboxes:
            found.update({'virtual_mailbox_domains': mailboxes,
                'virtual_mailbox_base': self.maildir, 'virtual_mailbox_maps':
                'static:all/', 'virtual_uid_maps': 'static:%d' % user.pw_uid,
                'virtual_gid_maps': 'static:%d' % user.pw_gid, 'virtual_minimum_uid': '1'})
        return found

    def hostport(self):
        return '127.0.0.1:%d' % self.port

    def kept(self):
        """The messages in the mailbox, as Postfix stored them (LF line ends)."""
        found = []
        for folder, _, names in os.walk(self.maildir):
            if os.path.basename(folder) != 'new':
                continue
            for name in names:
                with open(os.path.join(folder, name), 'rb') as mail:
                    found.append(mail.read())
        return found

    def log(self):
        try:
            with open(self._file('mail.log'), errors='replace') as log:
                return log.read()
        except FileNotFoundError:
            return ''

    def stop(self):
        self.process.kill()
        shutil.rmtree(self.spool, ignore_errors=True)
