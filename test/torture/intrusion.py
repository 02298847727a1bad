# SPDX-License-Identifier: EUPL-1.2
"""The table of role × forbidden act on the gateway that runs: each process of the tree, workers
too, is stopped and made to try (intrude.c). Refused means killed or denied; what a role's work is
made of stands in MAY. After each death the role comes back and mail goes on."""
import os
import subprocess

from stand import Failure, Load, Stand, wait_until

ACTS = ('open create unlink socket-tcp socket-unix socket-raw exec ptrace kill read-memory fork '
    'name-space executable setuid mount bpf').split()
TEMPLATES = ('admit', 'render', 'show')
MAY = {('fork', kind) for kind in TEMPLATES + ('resolverd', 'resolverd-worker')} | {
    ('socket-tcp', 'relayd'), ('socket-tcp', 'resolverd'), ('socket-tcp', 'resolverd-worker')}
# The master starts the others and holds neither keys nor mail; it is in no sandbox.
OUTSIDE = ('master',)


def target_of(kind, state):
    """A file that is not this role's."""
    if kind.startswith('keyd'):
        return os.path.join(state, 'ledger', 'lock')
    return os.path.join(state, 'keys', 'root.key')


def sandboxed(stand, kind):
    """A process of this kind that has closed its sandbox."""
    def look():
        for pid in stand.roles().get(kind, []):
            try:
                with open('/proc/%d/status' % pid) as status:
                    if 'Seccomp:\t2' in status.read():
                        return True, pid
            except OSError:
                pass
        return False, 'none has closed its sandbox'
    return wait_until('a process of the kind ' + kind, look, 5)[1]


def attempt(program, pid, act, path):
    done = subprocess.run([program, str(pid), act, path], capture_output=True, text=True,
        timeout=20, check=False)
    if done.returncode != 0:
        raise Failure('intrude: ' + done.stderr.strip())
    return done.stdout.strip()


def run(torture, vgm, directory, program):
    if not os.access(program, os.X_OK):
        torture.skipped('intrusion into running roles', 'no ' + program)
        return
    stand = Stand(vgm, directory)
    results = {}
    try:
        kinds = sorted(kind for kind in stand.roles() if kind not in OUTSIDE)
        for kind in kinds:
            deaths = 0
            for act in ACTS:
                name = '%s tries: %s' % (kind, act)
                if (act, kind) in MAY:
                    continue
                try:
                    path = '/bin/true' if act == 'exec' else target_of(kind, stand.gateway.state)
                    result = attempt(program, sandboxed(stand, kind), act, path)
                    results[result] = results.get(result, 0) + 1
                    if result not in ('killed', 'denied'):
                        raise Failure('not refused: ' + result)
                    stand.wait_service()
                    torture.passed(name)
                    deaths += result == 'killed'
                    if deaths % 3 == 2:  # a role that dies often comes back later and later
                        stand.restart()
                except Failure as failure:
                    torture.failed(name, failure, stand.gateway.log_path)
        Load(stand, 2, 1, each=5).join()
        stand.settle()
        torture.passed('mail goes on after all intrusions')
    except Failure as failure:
        torture.failed('mail goes on after all intrusions', failure, stand.gateway.log_path)
    finally:
        stand.close()
    torture.say('intrusions: %s' % ', '.join('%d %s' % (n, r) for r, n in sorted(results.items())))
