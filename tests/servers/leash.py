"""``leash.py PARENT COMMAND…``: run the command, which the kernel kills with the parent.

PR_SET_PDEATHSIG outlives execve (https://man7.org/linux/man-pages/man2/prctl.2.html), so a test run
that is killed leaves no server behind. Elsewhere than on Linux only the fixtures end the server.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit("the test run is gone already")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
