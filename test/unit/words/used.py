#!/usr/bin/env python3
# SPDX-License-Identifier: EUPL-1.2
"""used.py SOURCE — every entry of the catalogue is spoken somewhere (rule 24): its id stands as
VGM_WORDS_<id> or as a quoted name in the sources. And the other way: no source puts a French or
English sentence of its own before a person (text for people written next to stdout or stderr)."""
import os
import re
import sys

source = os.path.join(sys.argv[1], 'src')
catalogue = open(os.path.join(source, 'words', 'catalogue.def'), encoding='utf-8').read()
ids = re.findall(r'^WORDS\((\w+),', catalogue, re.M)

text, spoken = '', []
for folder, _, files in os.walk(source):
    for file in files:
        path = os.path.join(folder, file)
        if not file.endswith(('.c', '.h', '.def')) or path.endswith('words/catalogue.def'):
            continue
        content = open(path, encoding='utf-8').read()
        text += content
        if os.path.basename(folder) == 'cmd':
            # a sentence: two words of letters with a space, printed as it is
            for said in re.findall(r'(?:puts|printf)\((?:std\w+, )?"([^"%]*[a-z]{3,} [a-z]{3,}[^"]*)"', content):
                spoken.append('%s: "%s"' % (path, said))

names = set(re.findall(r'VGM_WORDS_(\w+)', text)) | set(re.findall(r'"(\w+)"', text))
unused = [each for each in ids if each not in names]
missing = [each for each in re.findall(r'\bVGM_WORDS_(\w+)', text)
           if each not in ids and each not in ('COUNT',) and not each.endswith('_H')]
twice = sorted({each for each in ids if ids.count(each) > 1})

for title, found in (('unused', unused), ('missing', missing), ('twice', twice), ('not in the catalogue', spoken)):
    if found:
        print('%s: %s' % (title, ', '.join(found)))
print('%d entries, %d unused' % (len(ids), len(unused)))
sys.exit(bool(unused or missing or twice or spoken))
