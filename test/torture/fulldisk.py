# SPDX-License-Identifier: EUPL-1.2
"""Full disks, on a small tmpfs of their own: bytes used up, inodes used up, full before the start.
New mail is put off with 4xx, never refused for good and never lost; what was acknowledged is
delivered although the disk is full (rule 20: outcomes may use the reserve); mail flows again as
soon as there is room, without a restart. Needs the right to mount."""
import os
import random
import subprocess

from stand import Failure, Load, Stand, post, wait_until

SIZE_MB = 10


class Disk:
    def __init__(self, path, options):
        self.path = path
        os.makedirs(path, exist_ok=True)
        subprocess.run(['mount', '-t', 'tmpfs', '-o', options, 'vgm-torture', path], check=True)

    def grow(self, options):
        subprocess.run(['mount', '-t', 'tmpfs', '-o', 'remount,' + options, 'vgm-torture',
            self.path], check=True)

    def close(self):
        subprocess.run(['umount', '-l', self.path], check=False)


def fill(disk):
    """A file that takes every byte that is left."""
    path = os.path.join(disk.path, 'ballast')
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(fd, bytes(4096))
    except OSError:
        pass
    finally:
        os.close(fd)
    return path


def send_until_refused(stand, most=2000, size=70000):
    """The code that the first message was put off with, or None."""
    rng = random.Random(1)
    for _ in range(most):
        item = stand.books.new(rng, size)
        try:
            post(stand, item)
        except (OSError, Failure):
            continue
        if item.answer != 250:
            return item.answer
    return None


def must_put_off(stand):
    code = send_until_refused(stand)
    if code is None:
        raise Failure('mail was taken without end')
    if code not in (451, 452):
        raise Failure('mail was answered %d' % code)
    return code


def flows_again(stand):
    wait_until('mail taken again once there is room', stand.serves, 15, 0.1)
    Load(stand, 2, 3, each=5, size=4000).join()
    stand.settle(40)


def no_deaths(stand, case):
    """Nobody may die of a disk that fills; on one that is full a role may say that it cannot
    start."""
    for line in stand.gateway.log().splitlines():
        if 'vgm: bug' in line or '"signal ' in line or (
                '"event":"role_died"' in line and case is not full_before_the_start):
            raise Failure('a role died of it: ' + line[:300])


def bytes_used_up(stand, disk):
    """Mail that nobody takes fills the disk."""
    stand.sink.stop()
    must_put_off(stand)
    must_put_off(stand)
    stand.sink.start()
    stand.settle(60)
    disk.grow('size=%dm' % (4 * SIZE_MB))
    flows_again(stand)


def ballast(stand, disk):
    """Somebody else fills the disk to the last byte, then clears it."""
    Load(stand, 2, 5, each=5, size=4000).join()
    path = fill(disk)
    must_put_off(stand)
    stand.settle(60)
    os.unlink(path)
    flows_again(stand)


def inodes_used_up(stand, disk):
    """No name can be made any more, though there are bytes: as above, once a new file is needed."""
    Load(stand, 2, 6, each=5, size=4000).join()
    folder = os.path.join(disk.path, 'names')
    os.mkdir(folder)
    try:
        for number in range(100000):
            os.mknod(os.path.join(folder, str(number)))
    except OSError:
        pass
    send_until_refused(stand, 200)
    for name in os.listdir(folder):
        os.unlink(os.path.join(folder, name))
    flows_again(stand)


def full_before_the_start(stand, disk):
    """The gateway starts on a full disk (or says why not), and serves once there is room."""
    Load(stand, 2, 8, each=5, size=4000).join()
    stand.settle()
    stand.gateway.stop()
    path = fill(disk)
    try:
        stand.gateway.start(10)
        must_put_off(stand)
    except Failure as failure:
        if 'ended with' not in str(failure):
            raise
    os.unlink(path)
    stand.wait_service(15)
    flows_again(stand)


CASES = (
    (bytes_used_up, 'size=%dm' % SIZE_MB),
    (ballast, 'size=%dm' % (2 * SIZE_MB)),
    (inodes_used_up, 'size=64m,nr_inodes=200'),
    (full_before_the_start, 'size=%dm' % (2 * SIZE_MB)),
)


def run(torture, vgm, directory):
    for case, options in CASES:
        name = 'full disk: ' + case.__name__.replace('_', ' ')
        path = '%s-%s' % (directory, case.__name__)
        try:
            disk = Disk(os.path.join(path, 'state'), options)
        except (OSError, subprocess.CalledProcessError) as error:
            torture.skipped(name, 'no right to mount: %s' % error)
            continue
        stand = None
        try:
            stand = Stand(vgm, path)
            case(stand, disk)
            no_deaths(stand, case)
            stand.gateway.stop()
            stand.gateway.run('verify', offline=True)
            torture.passed(name)
        except Failure as failure:
            torture.failed(name, failure, stand.gateway.log_path if stand else '')
        finally:
            if stand:
                stand.close()
            disk.close()
