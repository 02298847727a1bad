# SPDX-License-Identifier: EUPL-1.2
"""Free TCP and UDP ports on loopback, from the range that VGM_TEST_PORTS names ("22000-22999").
A port is handed out once for each turn through the range, so that a server that has just stopped
does not lend its port to the next."""
import os
import random
import socket
import threading

_lock = threading.Lock()
_next = None


def _range():
    low, high = os.environ.get('VGM_TEST_PORTS', '22000-22999').split('-')
    return int(low), int(high)


def _is_free(port):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(('127.0.0.1', port))
            except OSError:
                return False
    return True


def free_port():
    global _next
    low, high = _range()
    with _lock:
        if _next is None:
            _next = random.randint(low, high)
        for _ in range(high - low + 1):
            port = _next
            _next = low if _next >= high else _next + 1
            if _is_free(port):
                return port
    raise RuntimeError('no free port from %d to %d' % (low, high))
