"""Start training programs from a process that has imported everything already.

Half of the time of a tiny training is ``import torch``. A server imports it once and forks for every program; a client
that takes the place of ``python`` hands it the program, its arguments, environment and files, waits, and ends as the
program ended. ckpt-chaos sees an ordinary command, and kills an ordinary process with a life of its own.

    python warm.py serve SOCKET MODULE …        # prints "ready"
    python -I -S warm.py SOCKET PROGRAM ARGUMENT …
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys

LENGTH = 8  # bytes that say how long the request is


def client(place: str, *program: str) -> int:
    """Run a program in the server; its exit code, 128 and the number for a signal."""
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(place)
    request = json.dumps({"arguments": program, "environment": dict(os.environ), "directory": os.getcwd()}).encode()
    socket.send_fds(connection, [len(request).to_bytes(LENGTH, "big")], [1, 2])
    connection.sendall(request)
    return int(connection.recv(16) or 1)


def serve(place: str, *modules: str) -> None:
    """Import, then fork for each client until killed."""
    import importlib

    for name in modules:
        importlib.import_module(name)
    import torch

    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])  # imports torch._dynamo
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    listener.listen(16)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    print("ready", flush=True)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _answer(connection)
            os._exit(0)
        connection.close()


def _answer(connection: socket.socket) -> None:
    """Fork once more for the program; end it when the client is killed."""
    head, files, _, _ = socket.recv_fds(connection, LENGTH, 2)
    length, request = int.from_bytes(head, "big"), b""
    while len(request) < length:
        request += connection.recv(length - len(request))
    child = os.fork()
    if child == 0:
        connection.close()
        for file, number in zip(files, (1, 2), strict=True):
            os.dup2(file, number)
        _become(**json.loads(request))
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([ended, connection], [], [])
    if ended not in ready:
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if ended in ready:
        connection.sendall(str(code if code >= 0 else 128 - code).encode())


def _become(arguments: list[str], environment: dict[str, str], directory: str) -> None:
    """Be the program, as if ``python`` had started it; never returns."""
    import runpy
    import traceback

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    sys.argv = arguments
    code: object = 0
    try:
        if environment.get("CKPT_CHAOS_WATCH"):  # what ckpt-chaos does with every python that starts, by sitecustomize
            from ckpt_chaos.targets.common import arm_from_env

            arm_from_env(int(environment.get("RANK", 0)), lazy=True)
        runpy.run_path(arguments[0], run_name="__main__")
    except SystemExit as end:
        code = end.code
        if isinstance(code, str):
            print(code, file=sys.stderr)
    except KeyboardInterrupt:
        code = 130
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(*sys.argv[2:])
    else:
        sys.exit(client(*sys.argv[1:]))
