"""Runs a program in a pseudo-terminal: COLUMNS ROWS PROGRAM ARGUMENTS.

Standard input has commands, one a line: "keys TEXT" with JSON's escapes in TEXT, "size COLUMNS ROWS", "end SIGNAL". What the program shows
goes to standard output. Its end is told on standard error: its status, and whether the terminal reads lines and echoes as before.
"""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios


def set_size(fd, columns, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def obey(command, child, fd):
    name, _, rest = command.partition(" ")
    if name == "keys":
        os.write(fd, json.loads(rest).encode())
    elif name == "size":
        set_size(fd, *map(int, rest.split()))
    elif name == "end":
        os.kill(child, int(rest))


def main():
    columns, rows, *program = sys.argv[1:]
    child, fd = pty.fork()
    if child == 0:
        set_size(0, int(columns), int(rows))
        os.execvp(program[0], program)
    commands = b""
    status = None
    watched = [fd, 0]
    while status is None:
        ready, _, _ = select.select(watched, [], [], 0.1)
        if fd in ready:
            try:
                os.write(1, os.read(fd, 65536))
            except OSError:
                _, status = os.waitpid(child, 0)
                break
        if 0 in ready:
            part = os.read(0, 65536)
            if part == b"":
                watched = [fd]
            commands += part
            *lines, commands = commands.split(b"\n")
            for line in lines:
                obey(line.decode(), child, fd)
        done, ended = os.waitpid(child, os.WNOHANG)
        if done == child:
            status = ended
            while select.select([fd], [], [], 0)[0]:
                try:
                    os.write(1, os.read(fd, 65536))
                except OSError:
                    break
    flags = termios.tcgetattr(fd)[3]
    is_restored = bool(flags & termios.ICANON) and bool(flags & termios.ECHO)
    print(json.dumps({"code": os.waitstatus_to_exitcode(status), "isRestored": is_restored}), file=sys.stderr)


main()
