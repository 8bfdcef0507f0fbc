"""A line with a round trip of 50 ms: a process that delays every octet by the same time and limits nothing else.

    python -m tests.benchmarks.delay_line 0.025 PORT

It listens on a port of its own, printed as JSON. Octets leave so many seconds after they arrived, each way; there is no
bound on what is under way, so a window of any size fits. Connecting is not delayed. Threads for each direction keep up
with the floor; one thread for both, as in `pymailbox.testing.Proxy`, made it a tenth slower.
"""

import json
import queue
import socket
import sys
import threading
import time

__all__ = ["main"]

READ = 1024 * 1024
Parcel = tuple[float, bytes]


def collect(source: socket.socket, parcels: queue.SimpleQueue[Parcel], delay: float) -> None:
    """Take in what arrives and note when it is due; empty octets are the end."""
    while True:
        try:
            data = source.recv(READ)
        except ConnectionError:
            data = b""
        parcels.put((time.monotonic() + delay, data))
        if not data:
            return


def deliver(target: socket.socket, parcels: queue.SimpleQueue[Parcel]) -> None:
    """Hand on each parcel when it is due, then close that direction."""
    while True:
        due, data = parcels.get()
        wait = due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        try:
            if not data:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(data)
        except OSError:  # the other side is gone: what it has not read is nobody's
            return


def carry(near: socket.socket, port: int, delay: float) -> None:
    """Join one client to the server until both directions have ended."""
    with near, socket.create_connection(("127.0.0.1", port)) as far:
        threads = []
        for source, target in ((near, far), (far, near)):
            target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            parcels: queue.SimpleQueue[Parcel] = queue.SimpleQueue()
            threads.append(threading.Thread(target=collect, args=(source, parcels, delay), daemon=True))
            threads.append(threading.Thread(target=deliver, args=(target, parcels), daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def main() -> None:
    """Carry until standard input ends."""
    delay, port = float(sys.argv[1]), int(sys.argv[2])
    listener = socket.create_server(("127.0.0.1", 0))
    print(json.dumps({"far": listener.getsockname()[1]}), flush=True)
    while True:
        near, _ = listener.accept()
        threading.Thread(target=carry, args=(near, port, delay), daemon=True).start()


if __name__ == "__main__":
    main()
