# SPDX-License-Identifier: EUPL-1.2
"""Errors that last: one call of one role fails every time for a while, as with a dead disk, a full
one, or no descriptor left. While it lasts every answer is 250 or 4xx and nobody spins; when it is
over, mail flows again without a restart, and all that was acknowledged arrives. Only a disk that
cannot sync in a second segment either keeps new mail off until somebody has looked (rule 5)."""
import os
import time

from points import Tracer, deaths
from stand import Failure, Load, Stand

ENDS, RESTART = 'the role may end and come back', 'mail is put off until a restart'
# (role, call, error, what else may come of it)
CASES = (
    ('ledgerd', 'pwritev', 'ENOSPC', None),
    ('ledgerd', 'pwritev', 'EIO', None),
    ('ledgerd', 'fdatasync', 'EIO', RESTART),
    ('ledgerd', 'fallocate', 'ENOSPC', None),
    ('ledgerd', 'openat', 'EMFILE', None),
    ('smtpd', 'accept4', 'EMFILE', None),
    ('smtpd', 'memfd_create', 'EMFILE', None),
    ('smtpd', 'writev', 'ENOSPC', None),
    ('viewd', 'pwrite64', 'EIO', ENDS),
    ('viewd', 'fdatasync', 'EIO', ENDS),
    ('relayd', 'socket', 'EMFILE', None),
    ('relayd', 'connect', 'ENETUNREACH', None),
    ('keyd', 'openat', 'EMFILE', None),
    ('render', 'clone', 'EAGAIN', None),
)
LASTS_SECONDS = 1.5
CALLS_A_SECOND = 400  # of a call that fails: more is spinning
RETURN_SECONDS = 20


def strike(stand, role, call, error, outcome, seed):
    before = len(stand.gateway.log())
    trace = os.path.join(stand.gateway.path, 'lasting.trace')
    tracer = Tracer(stand.wait_kind(role), trace, '-e', 'trace=' + call, '-e',
        'inject=%s:error=%s' % (call, error))
    try:
        load = Load(stand, 3, seed, pause=0.02)
        time.sleep(LASTS_SECONDS)
        load.ending.set()
    finally:
        tracer.stop()
    load.join()
    failed = tracer.text().count('(INJECTED)')
    if failed > CALLS_A_SECOND * LASTS_SECONDS:
        raise Failure('%d calls in %g s: it spins' % (failed, LASTS_SECONDS))
    # A route that nobody answered on waits before it is tried again.
    if outcome == RESTART:
        if stand.serves():
            raise Failure('mail is taken by a ledger that cannot sync')
        stand.restart()
    stand.wait_service(RETURN_SECONDS)
    stand.settle(40)
    refused = [item for item in stand.books.items.values() if (item.answer or 0) >= 500]
    if refused:
        raise Failure('%d messages were refused for good' % len(refused))
    died = deaths(stand.gateway.log(), before)
    if died and outcome != ENDS:
        raise Failure('a role died of it: ' + died[0][:300])
    return failed


def run(torture, vgm, directory, rng):
    seen = 0
    for number, (role, call, error, outcome) in enumerate(CASES):
        name = '%s at every %s of %s, for %g s' % (error, call, role, LASTS_SECONDS)
        stand = Stand(vgm, '%s-%d' % (directory, number))
        try:
            seen += strike(stand, role, call, error, outcome, rng.randrange(1 << 30))
            stand.gateway.stop()
            stand.gateway.run('verify', offline=True)
            torture.passed(name)
        except Failure as failure:
            torture.failed(name, failure, stand.gateway.log_path)
        finally:
            stand.close()
    torture.say('lasting errors: %d cases, %d calls failed' % (len(CASES), seen))
