# SPDX-License-Identifier: EUPL-1.2
"""What a disk may hold after the power went: file calls recorded with strace, and the legal states
that they leave behind (the ALICE method).

The model is stricter than any one file system: data, sizes and names are on disk for certain only
after the sync of the file, of its directory. Of what is not, any part may be there: each write
whole, cut at a sector of 512 bytes, or not at all, in any order; names as a prefix of what was done
in their directory, in order. A sync counts when it had returned before the power went."""
import bisect
import os
import re

SECTOR = 512
CALLS = ('openat open creat write writev pwrite64 pwritev pwritev2 ftruncate fallocate fsync '
    'fdatasync sync_file_range rename renameat renameat2 unlink unlinkat mkdir mkdirat rmdir link '
    'linkat symlinkat sendfile copy_file_range').split()
LINE = re.compile(r'^(\d+\.\d+) (\w+)\((.*)\) += (-?\d+)\S*(?: .*?)??(?: <([\d.]+)>)?$')
TEXT = r'((?:\\x[0-9a-f]{2})*)'
FD = re.compile(r'(\d+|AT_FDCWD)<' + TEXT + r'>(\(deleted\))?')
STRING = re.compile('"' + TEXT + '"')


def unhex(text):
    return bytes.fromhex(text.replace('\\x', ''))


class File:
    """An inode: its ops in order of time."""

    def __init__(self, is_directory=False):
        self.is_directory = is_directory
        self.ops = []       # (begin, end, kind, ...): data, size, sync; names in directories


class Recording:
    """The calls under `root`, from the files that strace -ff wrote."""

    def __init__(self, prefix, root):
        self.root = os.path.realpath(root)
        self.top = File(True)
        self.now = {'': self.top}     # path below root → inode, as the programs saw it
        self.times = []               # begin of every call that changed or synced something
        events = []
        folder, name = os.path.split(prefix)
        for each in sorted(os.listdir(folder)):
            if each.startswith(name + '.'):
                events += self._read(os.path.join(folder, each))
        for event in sorted(events, key=lambda e: e[0]):
            self._apply(*event)

    @staticmethod
    def _read(path):
        with open(path, errors='replace') as trace:
            for line in trace:
                found = LINE.match(line.rstrip('\n'))
                if found and int(found.group(4)) >= 0:
                    begin = float(found.group(1))
                    yield (begin, begin + float(found.group(5) or 0), found.group(2),
                        found.group(3), int(found.group(4)))

    # ---- paths ----

    def _below(self, path):
        path = os.path.normpath(os.fsdecode(path))
        if path == self.root:
            return ''
        return path[len(self.root) + 1:] if path.startswith(self.root + '/') else None

    def _named(self, args, number=0):
        """(path below root, rest) of the number-th "directory, name" or plain name."""
        names = list(STRING.finditer(args))
        if len(names) <= number:
            return None
        name = unhex(names[number].group(1))
        before = [fd for fd in FD.finditer(args, 0, names[number].start())]
        if name.startswith(b'/'):
            return self._below(name)
        if not before:
            return None
        return self._below(os.path.join(unhex(before[-1].group(2)), name))

    def _file(self, args):
        found = FD.match(args)
        if not found or found.group(3):
            return None
        below = self._below(unhex(found.group(2)))
        return self.now.get(below) if below is not None else None

    # ---- calls ----

    def _apply(self, begin, end, call, args, result):
        method = getattr(self, '_on_' + {'pwrite64': 'pwrite', 'pwritev2': 'pwritev',
            'fdatasync': 'fsync', 'open': 'openat', 'renameat': 'rename', 'renameat2': 'rename',
            'unlinkat': 'unlink', 'rmdir': 'unlink', 'mkdirat': 'mkdir'}.get(call, call), None)
        if method is None:
            if self._file(args):
                raise ValueError('a call that the model does not know: %s(%s' % (call, args[:200]))
            return
        method(begin, end, args, result)

    def _do(self, file, begin, end, *what):
        file.ops.append((begin, end) + what)
        self.times.append(begin)

    def _enter(self, begin, end, path, inode):
        directory = self.now.get(os.path.dirname(path))
        if directory is None:
            raise ValueError('a name in an unknown directory: ' + path)
        self.now[path] = inode
        self._do(directory, begin, end, 'set', os.path.basename(path), inode)

    def _on_openat(self, begin, end, args, result):
        path = self._named(args)
        if path is None or 'O_CREAT' not in args and 'O_TRUNC' not in args:
            return
        if path not in self.now:
            self._enter(begin, end, path, File())
        elif 'O_TRUNC' in args:
            self._do(self.now[path], begin, end, 'size', 0)

    def _on_mkdir(self, begin, end, args, result):
        path = self._named(args)
        if path is not None:
            self._enter(begin, end, path, File(True))

    def _on_unlink(self, begin, end, args, result):
        path = self._named(args)
        if path is not None and path in self.now:
            del self.now[path]
            self._do(self.now[os.path.dirname(path)], begin, end, 'set', os.path.basename(path),
                None)

    def _on_rename(self, begin, end, args, result):
        old, new = self._named(args, 0), self._named(args, 1)
        if old is None or new is None or old not in self.now:
            return
        if os.path.dirname(old) != os.path.dirname(new):
            raise ValueError('a rename from one directory to another: ' + new)
        inode = self.now.pop(old)
        for path in [p for p in self.now if p.startswith(old + '/')]:
            self.now[new + path[len(old):]] = self.now.pop(path)
        self.now[new] = inode
        self._do(self.now[os.path.dirname(new)], begin, end, 'move', os.path.basename(old),
            os.path.basename(new), inode)

    def _write(self, begin, end, args, result, offset):
        file = self._file(args)
        if file is None or file.is_directory:
            return
        data = b''.join(unhex(s.group(1)) for s in STRING.finditer(args))[:result]
        if len(data) != result:
            raise ValueError('a write of which strace kept too little')
        if offset is None:  # write(): at the end of what is there
            offset = max([op[3] + len(op[4]) for op in file.ops if op[2] == 'data'] or [0])
            if any(op[2] == 'size' for op in file.ops):
                last = max(i for i, op in enumerate(file.ops) if op[2] == 'size')
                offset = max([file.ops[last][3]] + [op[3] + len(op[4])
                    for op in file.ops[last:] if op[2] == 'data'])
        self._do(file, begin, end, 'data', offset, data)

    def _on_write(self, begin, end, args, result):
        self._write(begin, end, args, result, None)

    _on_writev = _on_write

    def _on_pwrite(self, begin, end, args, result):
        self._write(begin, end, args, result, int(args.rsplit(', ', 1)[1], 0))

    def _on_pwritev(self, begin, end, args, result):
        self._write(begin, end, args, result, int(args.rsplit(', ', 1)[1], 0))

    def _on_ftruncate(self, begin, end, args, result):
        file = self._file(args)
        if file:
            self._do(file, begin, end, 'size', int(args.rsplit(', ', 1)[1], 0))

    def _on_fallocate(self, begin, end, args, result):
        file = self._file(args)
        if file:
            words = args.rsplit(', ', 2)
            self._do(file, begin, end, 'grow', int(words[1], 0) + int(words[2], 0))

    def _on_fsync(self, begin, end, args, result):
        file = self._file(args)
        if file:
            self._do(file, begin, end, 'sync')

    # ---- states ----

    def moments(self):
        """Times just before each call: where the power may go."""
        return sorted(set(self.times))

    def state(self, moment, mode, rng):
        """[(path, bytes or None for a directory)] of one legal state. mode: 'all' (nothing that
        was done is lost), 'none' (nothing but what is synced), 'some' (any part), 'torn' (the
        same, with writes cut)."""
        found = []
        self._walk(self.top, '', moment, mode, rng, found)
        return found

    def _walk(self, directory, path, moment, mode, rng, found):
        for name, inode in sorted(_names(directory, moment, mode, rng).items()):
            below = os.path.join(path, name)
            if inode.is_directory:
                found.append((below, None))
                self._walk(inode, below, moment, mode, rng, found)
            else:
                found.append((below, _content(inode, moment, mode, rng)))


def _split(file, moment):
    """(ops that are on disk for certain, ops that may be)."""
    begun = [op for op in file.ops if op[0] < moment]
    synced = max([i for i, op in enumerate(begun) if op[2] == 'sync' and op[1] <= moment] or [-1])
    # What overlaps the sync in time is not promised by it.
    sure = [op for op in begun[:synced + 1] if op[1] <= begun[synced][0]] if synced >= 0 else []
    return sure, [op for op in begun if op not in sure]


def _names(directory, moment, mode, rng):
    sure, loose = _split(directory, moment)
    loose = [op for op in loose if op[2] != 'sync']
    if mode == 'none':
        loose = []
    elif mode != 'all':
        loose = loose[:rng.randint(0, len(loose))]
    names = {}
    for op in sure + loose:
        if op[2] == 'set':
            names[op[3]] = op[4]
        elif op[2] == 'move':
            names.pop(op[3], None)
            names[op[4]] = op[5]
    return {name: inode for name, inode in names.items() if inode is not None}


def _content(file, moment, mode, rng):
    sure, loose = _split(file, moment)
    content = bytearray()
    for op in sure:
        _perform(content, op)
    for op in loose:
        if mode == 'all':
            _perform(content, op)
        elif mode != 'none' and rng.random() < 0.5:
            _perform(content, _torn(op, rng) if mode == 'torn' else op)
    return bytes(content)


def _torn(op, rng):
    if op[2] != 'data' or rng.random() < 0.5:
        return op
    begin, end, _, offset, data = op
    edges = range(-(-(offset + 1) // SECTOR) * SECTOR, offset + len(data), SECTOR)
    if not edges:
        return op
    cut = rng.choice(edges) - offset
    if rng.random() < 0.3:  # sectors go in any order: the end may be there and not the start
        return (begin, end, 'data', offset + cut, data[cut:])
    return (begin, end, 'data', offset, data[:cut])


def _perform(content, op):
    if op[2] == 'data':
        offset, data = op[3], op[4]
        if len(content) < offset + len(data):
            content.extend(bytes(offset + len(data) - len(content)))
        content[offset:offset + len(data)] = data
    elif op[2] == 'size':
        del content[op[3]:]
        content.extend(bytes(op[3] - len(content)))
    elif op[2] == 'grow' and len(content) < op[3]:
        content.extend(bytes(op[3] - len(content)))


def write_state(state, directory):
    """Puts a state on the real disk; zeros stay holes."""
    os.makedirs(directory)
    os.chmod(directory, 0o700)
    for path, content in state:
        target = os.path.join(directory, path)
        if content is None:
            os.mkdir(target, 0o700)
            continue
        with open(target, 'wb') as file:
            for start in range(0, len(content), 65536):
                piece = content[start:start + 65536]
                if piece.strip(b'\0'):
                    file.seek(start)
                    file.write(piece)
            file.truncate(len(content))
        os.chmod(target, 0o600)


def spread(moments, count, rng):
    """count moments, one at random of each of as many equal parts."""
    picked = []
    for i in range(count):
        low, high = i * len(moments) // count, (i + 1) * len(moments) // count
        picked.append(moments[rng.randrange(low, max(high, low + 1)) % len(moments)])
    return picked


def nearest(moments, moment):
    return moments[min(bisect.bisect_left(moments, moment), len(moments) - 1)]
