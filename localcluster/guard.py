"""Run one program and end it when whoever asked for it is gone.

`python -m localcluster.guard PROGRAM ARGUMENT…` runs the program until the guard's standard input
says `stop`, or closes. The kernel closes it when the parent dies, however it dies, and then the
program is killed: nothing outlives a test run.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys

PR_SET_PDEATHSIG = 1
STOP = b"stop"
# An API server would wait a minute for its watchers to leave.
STOP_SECONDS = 2


def main() -> None:
    """Run the command line; end as the program ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the group; the parent decides
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    process = subprocess.Popen(
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_parent,  # noqa: PLW1509 - this process has a single thread
        start_new_session=True,
    )
    while process.poll() is None:
        readable, _, _ = select.select([0, ended], [], [])
        if ended in readable:
            os.read(ended, 1024)
        if 0 in readable and os.read(0, len(STOP)) == STOP:
            _stop(process)
        elif 0 in readable:
            process.kill()
            process.wait()
    sys.exit(process.returncode)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
