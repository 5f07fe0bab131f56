"""A terminal at the far end of a line: answers queries, and everything takes the line's time.

Output is taken from the program at once, as sshd and the network do, and arrives at the line's
rate; answers leave only when their query has arrived.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CURSOR_POSITION = (rb"\x1b\[6n", b"\x1b[5;5R")
KITTY_ANSWERS = (
    (rb"\x1b_Gi=31,[^\x1b]*\x1b\\", b"\x1b_Gi=31;OK\x1b\\"),
    (rb"\x1b\[>q", b"\x1bP>|kitty(0.40.0)\x1b\\"),
    (rb"\x1b\[16t", b"\x1b[6;20;10t"),
    (rb"\x1b\[c", b"\x1b[?62;c"),
    CURSOR_POSITION,
)
SIXEL_ANSWERS = (
    (rb"\x1b\[16t", b"\x1b[6;20;10t"),
    (rb"\x1b\[c", b"\x1b[?62;4;22c"),
    CURSOR_POSITION,
)
_STEP_S = 0.002
_TAIL = 64


class FakeTerminal:
    """Runs a program on a terminal of its own; `arrived` is what the person sees.

    Args:
        command: The program.
        answers: Pattern of a query and its answer.
        rate_bytes_per_s: What the line takes; None: anything at once.
        size: Columns and rows.
        environment: Beyond a plain one.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        answers: Sequence[tuple[bytes, bytes]] = (CURSOR_POSITION,),
        rate_bytes_per_s: float | None = None,
        size: tuple[int, int] = (100, 30),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._answers = [(re.compile(pattern), answer) for pattern, answer in answers]
        self._rate = rate_bytes_per_s
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        dropped = {"NO_COLOR", "COLUMNS", "LINES", "TMUX", "STY", "SSH_CONNECTION"}
        plain = {key: value for key, value in os.environ.items() if key not in dropped}
        self.started_s = time.monotonic()
        self.process = subprocess.Popen(
            list(command),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**plain, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", **(environment or {})},
            start_new_session=True,
        )
        os.close(slave)
        self.arrived = b""
        self.last_arrival_s = time.monotonic()
        self._line: deque[tuple[float, bytes]] = deque()
        self._free_at_s = 0.0
        self._answered_to = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def type(self, text: str) -> float:
        """Presses keys; when that was."""
        os.write(self.master, text.encode())
        return time.monotonic()

    def wait_for(self, text: bytes, since: int = 0, timeout_s: float = 20) -> float:
        """Waits until a text has arrived behind a place in the output; when it did."""
        deadline_s = time.monotonic() + timeout_s
        while text not in self.arrived[since:]:
            assert time.monotonic() < deadline_s, (text, self.arrived[-2000:])
            time.sleep(_STEP_S)
        return self.last_arrival_s

    def settle(self, quiet_s: float = 0.25, timeout_s: float = 30) -> float:
        """Waits until nothing arrives any more; when the last of it did."""
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if not self._line and time.monotonic() - self.last_arrival_s > quiet_s:
                return self.last_arrival_s
            time.sleep(_STEP_S)
        message = "the terminal never falls silent"
        raise AssertionError(message)

    def wait(self, timeout_s: float = 20) -> int:
        """The program's exit status."""
        status = self.process.wait(timeout_s)
        self._thread.join(timeout_s)
        return status

    def close(self) -> None:
        """Ends the program, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._is_over.set()
        self._thread.join(10)
        os.close(self.master)

    def _run(self) -> None:
        is_open = True
        while (is_open or self._line) and not self._is_over.is_set():
            now_s = time.monotonic()
            while self._line and self._line[0][0] <= now_s:
                self._arrive(self._line.popleft())
            if not is_open:
                time.sleep(_STEP_S)
            elif select.select([self.master], [], [], _STEP_S)[0]:
                try:
                    part = os.read(self.master, 1024)
                except OSError:
                    part = b""
                is_open = bool(part)
                begins_s = max(time.monotonic(), self._free_at_s)
                self._free_at_s = begins_s + (len(part) / self._rate if self._rate else 0)
                self._line.append((self._free_at_s, part))

    def _arrive(self, item: tuple[float, bytes]) -> None:
        self.last_arrival_s = max(item[0], self.last_arrival_s)
        self.arrived += item[1]
        fresh = self.arrived[self._answered_to :]
        found = sorted(
            (match.start(), match.end(), answer)
            for pattern, answer in self._answers
            for match in pattern.finditer(fresh)
        )
        for _, _, answer in found:
            os.write(self.master, answer)
        if found:
            self._answered_to += found[-1][1]
        self._answered_to = max(self._answered_to, len(self.arrived) - _TAIL)
