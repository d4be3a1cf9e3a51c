"""A reader that one kind of film kills: ``python poisoned.py ROWS ARGUMENT...`` stands for the command.

What kills readers in the world, a fault in the network's library or the machine's memory, cannot be had on
demand; everything else here is the real process.
"""

import os
import signal
import sys

from daemon import cli
from model.reader import Reader

if __name__ == "__main__":
    read = Reader.read

    def kill_by_rows(self, films):
        if any(film.rows == int(sys.argv[1]) for film in films):
            os.kill(os.getpid(), signal.SIGKILL)
        return read(self, films)

    Reader.read = kill_by_rows
    sys.exit(cli.main(sys.argv[2:]))
