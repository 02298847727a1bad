# SPDX-License-Identifier: EUPL-1.2
"""Power cuts: a recorded run of the gateway (a first start, mail, kill -9, recovery, mail while
nobody takes it, delivery, a clean stop), its legal disk states (disk.py), and the gateway started
on each. What was acknowledged before the cut has arrived before it or arrives now, byte for byte;
what arrives twice had arrived within the last moments; the ledger verifies."""
import concurrent.futures
import os
import random
import shutil
import threading
import time

import disk
from stand import CONNECTIONS, Books, Failure, Load, Stand, wait_until

MODES = ('none', 'some', 'torn', 'all')
# Outcomes are synced with the next batch or within 100 ms (rule 13); strace slows all of it.
OUTCOME_SECONDS = 0.5


class Recorded:
    def __init__(self, vgm, directory, seed):
        os.makedirs(directory)
        state = os.path.join(directory, 'gateway', 'state')
        trace = os.path.join(directory, 'calls')
        wrapper = ['strace', '-f', '-ff', '-y', '-xx', '-ttt', '-T', '-s', '2000000', '-o', trace,
            '-e', 'trace=' + ','.join(disk.CALLS), '-e', 'signal=none']
        stand = Stand(vgm, os.path.join(directory, 'gateway'), wrapper=wrapper)
        try:
            self._play(stand, seed)
        finally:
            stand.close()
        self.books = stand.books
        self.calls = disk.Recording(trace, state)
        self.moments = self.calls.moments()

    @staticmethod
    def _play(stand, seed):
        Load(stand, 4, seed, each=12).join()
        stand.settle()
        stand.gateway.kill()
        stand.start()
        stand.sink.stop()
        Load(stand, 4, seed + 1, each=12).join()
        time.sleep(1)
        stand.sink.start()
        Load(stand, 2, seed + 2, each=6).join()
        stand.settle()
        stand_stop(stand)


def stand_stop(stand):
    """SIGTERM to the master, not to the strace around it."""
    os.kill(stand.master(), 15)
    stand.gateway.process.process.wait(15)


class State:
    """One legal state, and the gateway that starts on it."""

    def __init__(self, recorded, vgm, directory, moment, mode, seed):
        self.recorded, self.vgm, self.path = recorded, vgm, directory
        self.moment, self.mode, self.rng = moment, mode, random.Random(seed)

    def expectations(self):
        """Books in which the messages acknowledged before the cut are; (books, those that had
        arrived long enough before it not to come again)."""
        books, settled = Books(), 0
        for item in self.recorded.books.items.values():
            if item.at is None or item.at > self.moment:
                books.items[item.recipient] = fresh = type(item)(item.number, item.data)
                continue
            fresh = type(item)(item.number, item.data)
            fresh.answer = item.answer
            fresh.arrived = [at for at in item.arrived if at <= self.moment]
            settled += bool(fresh.arrived) and fresh.arrived[0] < self.moment - OUTCOME_SECONDS
            books.items[item.recipient] = fresh
        return books, settled

    def run(self):
        """Raises Failure when something is lost or wrong."""
        books, _ = self.expectations()
        old = {item.recipient for item in books.items.values()
            if item.arrived and item.arrived[0] < self.moment - OUTCOME_SECONDS}
        before = {name: len(books.items[name].arrived) for name in old}
        disk.write_state(self.recorded.calls.state(self.moment, self.mode, self.rng),
            os.path.join(self.path, 'state'))
        stand = Stand(self.vgm, self.path, books=books, start=False)
        try:
            stand.start()
            stand.wait_service()
            stand.settle()
            wait_until('an empty queue in the views', lambda: not stand.gateway.queue(), 5)
            again = sum(len(books.items[name].arrived) > before[name] for name in old)
            if again > CONNECTIONS:
                raise Failure('%d messages that had arrived more than %g s before came again' % (
                    again, OUTCOME_SECONDS))
            stand.gateway.stop()
            stand.gateway.run('verify', offline=True)
        finally:
            stand.close()
        shutil.rmtree(self.path)


def run(torture, vgm, directory, count, rng, jobs=2):
    recorded = Recorded(vgm, directory, rng.randrange(1 << 30))
    moments = disk.spread(recorded.moments, count, rng)
    lock, states = threading.Lock(), []
    for number, moment in enumerate(moments):
        states.append(State(recorded, vgm, '%s-state%d' % (directory, number), moment,
            MODES[number % len(MODES)], rng.randrange(1 << 30)))

    def try_one(state):
        name = 'power cut %.6f s after the start (%s)' % (
            state.moment - recorded.moments[0], state.mode)
        try:
            state.run()
            problem = None
        except Failure as failure:
            problem = failure
        with lock:
            if problem is None:
                torture.passed(name)
            else:
                torture.failed(name, problem, state.path)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for each in [pool.submit(try_one, state) for state in states]:
            each.result()
    torture.say('power cuts: %d states tried; %d calls recorded × %d ways to lose; %d messages' % (
        len(states), len(recorded.moments), len(MODES), len(recorded.books.acknowledged())))
