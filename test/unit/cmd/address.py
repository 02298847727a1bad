#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""address.py PROGRAM SOURCE — `vgm check address` over the isemail cases of the conformance material
beside the repository; skipped where that is missing. A case that an envelope must take is taken, one
that it must refuse is refused, but for the deviations named here."""
import json
import os
import subprocess
import sys

program, source = sys.argv[1:3]
path = os.path.join(source, '..', 'shared', 'conformance', 'address', 'isemail-tests.visible.json')
if not os.path.exists(path):
    print('skipped: 1 set of cases, the conformance material is missing')
    sys.exit(77)

TAKEN = {'ISEMAIL_VALID_CATEGORY', 'ISEMAIL_DNSWARN', 'ISEMAIL_RFC5321'}
WIDER = {  # taken on purpose, though the list says otherwise
    'ISEMAIL_RFC5322_LOCAL_TOOLONG': 'return addresses of lists exceed 64 bytes every day',
    'ISEMAIL_RFC5322_TOOLONG': 'the ceilings are 256 and 255 bytes',
    'ISEMAIL_RFC5321_IPV6DEPRECATED': '"::" for one group is read by every resolver',
    'ISEMAIL_ERR_EXPECTING_QPAIR': 'RFC 6531 allows a quoted UTF-8 character',
}

cases = json.load(open(path, encoding='utf-8'))
lines = ''.join(json.dumps({'id': case['id'], 'text': case['address']}) + '\n' for case in cases)
done = subprocess.run([program, 'check', 'address'], input=lines, capture_output=True, text=True, check=True)
answers = [json.loads(line) for line in done.stdout.splitlines()]
assert [each['id'] for each in answers] == [case['id'] for case in cases], 'not one answer a line, in order'

wrong = deviations = 0
for case, answer in zip(cases, answers):
    if answer['valid'] == (case['category'] in TAKEN):
        continue
    if answer['valid'] and case['diagnosis'] in WIDER:
        deviations += 1
        continue
    wrong += 1
    print('%s %r: %s' % (case['diagnosis'], case['address'], answer))
print('address: %d cases, %d wider on purpose, %d wrong' % (len(cases), deviations, wrong))
sys.exit(bool(wrong))
