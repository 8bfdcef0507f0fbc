"""Pass each connection to a program as its standard input and output, like inetd.

A script for `popa3d.py`, run by path: ``spawner.py PORT PROGRAM [ARGUMENT ...]``. It imports only the standard library.
"""

import os
import signal
import socket
import sys


def main(port: int, program: list[str]) -> None:
    """Accept connections on loopback until killed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system then removes ended children by itself
    with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # popa3d writes in small pieces
                if os.fork() == 0:
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    os.dup2(connection.fileno(), 0)
                    os.dup2(connection.fileno(), 1)
                    os.execv(program[0], program)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
