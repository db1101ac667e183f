"""Runs a command on a terminal of its own: pty.py ROWS COLUMNS STEPS COMMAND…

STEPS is JSON: a list of {"wait": TEXT, "send": TEXT} and {"wait": TEXT, "resize": [ROWS, COLUMNS]}; each waits for its
text in what was written after the step before. Everything written goes to standard output. The exit status is the
command's; 99 when a text did not come, 98 when the terminal's settings are not as they were before.
"""
import fcntl, json, os, pty, select, struct, sys, termios, time

rows, columns, steps, command = int(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]), sys.argv[4:]


def resize(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


master, slave = pty.openpty()
resize(master, rows, columns)
before = termios.tcgetattr(slave)
pid = os.fork()
if pid == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in (0, 1, 2):
        os.dup2(slave, fd)
    os.execvp(command[0], command)

written, seen, status, deadline = b"", 0, None, time.time() + 60
while status is None or select.select([master], [], [], 0)[0]:
    if time.time() > deadline:
        os.kill(pid, 9)
        sys.exit(99)
    if select.select([master], [], [], 0.02)[0]:
        chunk = os.read(master, 65536)
        written += chunk
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
    elif status is None:
        done, result = os.waitpid(pid, os.WNOHANG)
        status = os.waitstatus_to_exitcode(result) if done == pid else None
    while steps and (at := written.find(steps[0]["wait"].encode(), seen)) >= 0:
        step = steps.pop(0)
        seen = at + len(step["wait"])
        if "resize" in step:
            resize(master, *step["resize"])
        else:
            os.write(master, step["send"].encode())

if steps:
    sys.exit(99)
sys.exit(status if termios.tcgetattr(slave) == before else 98)
