"""The end of a comparison that hands out turns, and that of a peer; turns.go has the protocol."""

import pathlib
import platform
import subprocess
import sys
import time

import numpy as np


class Side:
    """A process that does something when told to."""

    def __init__(self, command):
        self.process = subprocess.Popen([str(c) for c in command], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL)
        self.loaded = float(self.answer().split()[1])

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.process.args} ended with status {self.process.wait()}")
        return line

    def ask(self, line):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return self.answer()

    def run(self, threads, work="run"):
        """Wall and processor seconds of doing it once."""
        return [float(v) for v in self.ask(f"{work} {threads}").split()]

    def memory(self):
        """Peak and present resident bytes."""
        return [int(v) for v in self.ask("memory").split()]

    def output(self, path):
        self.ask(f"output {path}")
        return np.fromfile(path, dtype="<f4")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def take(runs, seconds, least):
    """Calls all functions in turn for so long, but so often at least; returns their results [function, turn]."""
    rows, end = [], time.time() + seconds
    while time.time() < end or len(rows) < least:
        rows.append([run() for run in runs])
    return np.array(rows).T


def percentiles(ratios):
    low, middle, high = np.percentile(ratios, [10, 50, 90])
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


def memory():
    """Peak and present resident bytes of this process."""
    with open("/proc/self/status", encoding="ascii") as f:
        fields = dict(line.split(":", 1) for line in f)
    return [1024 * int(fields[name].split()[0]) for name in ("VmHWM", "VmRSS")]


def serve(loaded, work):
    """A peer's end: work names functions of the number of threads that return arrays."""
    print(f"loaded {loaded}", flush=True)
    result = None
    for line in sys.stdin:
        word, _, rest = line.strip().partition(" ")
        if word == "output":
            np.asarray(result, dtype="<f4").tofile(rest)
            print("written", flush=True)
        elif word == "memory":
            print(*memory(), flush=True)
        else:
            cpu, wall = time.process_time(), time.perf_counter()
            result = work[word](int(rest))
            print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)
