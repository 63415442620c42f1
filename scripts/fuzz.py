#!/usr/bin/env python3
"""Whether what a stranger may send or hand over does harm: mutated messages and files, read in processes of their own.

    make .venv
    .venv/bin/python scripts/fuzz.py [--target NAME]... [--cases N] [--seed N] [--json FILE] [--findings FOLDER]

A case passes where the reader returns, or raises one of its declared errors in one line. Any other exception, a crash,
more than 2 s of computing or 300 MB is a finding. Findings are written to a folder, made smaller where they go on
failing, and are exit status 1. A case has a number: the same number and seed make the same bytes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import mmap
import os
import re
import resource
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from test.fuzzing import decoders, readers  # noqa: E402
from test.fuzzing.target import Target, case, judge  # noqa: E402

MOST_SECONDS = 2.0
MOST_BYTES = 300e6
HANGS_AFTER_S, STARTS_WITHIN_S = 15.0, 300.0
# Above what a process holds at its start; allocations that are never touched count here alone.
ADDRESS_SPACE_BYTES = 2 << 30
CASES_PER_PROCESS = 2000
FINDINGS_KEPT = 20  # of one target
_STATE = struct.Struct("<q")  # number of the case
_STARTING = -1


@dataclasses.dataclass
class Outcome:
    """What came of one target: ``peak_mb`` is what a process grew by at most, ``sentences`` how many errors differ."""

    cases: int = 0
    refused: int = 0
    findings: list[dict] = dataclasses.field(default_factory=list)
    findings_total: int = 0
    peak_mb: float = 0.0
    peak_case: int = -1
    longest_s: float = 0.0
    longest_case: int = -1
    wall_s: float = 0.0
    sentences: dict[str, int] = dataclasses.field(default_factory=dict)


def main() -> int:
    targets = {target.name: target for target in (*decoders.TARGETS, *readers.TARGETS)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", action="append", choices=targets, metavar="NAME", help=", ".join(targets))
    parser.add_argument(
        "--cases", type=int, help="of each target (default: 1,000,000 over the decoders, 10,000 a file)"
    )
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result there")
    parser.add_argument("--findings", type=Path, default=Path("fuzz_findings"), metavar="FOLDER")
    args = parser.parse_args()
    found = {}
    for name in args.target or targets:
        found[name] = fuzz(targets[name], args.first, args.cases or targets[name].cases, args.seed, args.findings)
        print(line(name, found[name]), flush=True)
        if args.json:
            result = {"seed": args.seed, "targets": {name: dataclasses.asdict(done) for name, done in found.items()}}
            args.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(
        f"{sum(done.cases for done in found.values())} cases, "
        f"{sum(done.findings_total for done in found.values())} findings, "
        f"at most {max(done.peak_mb for done in found.values()):.0f} MB"
    )
    return 1 if any(done.findings_total for done in found.values()) else 0


def line(name: str, done: Outcome) -> str:
    """One target in one line."""
    return (
        f"{name:18s} {done.cases:8d} cases, {done.refused / max(done.cases, 1):5.1%} refused in "
        f"{len(done.sentences):4d} ways, {done.findings_total:4d} findings, at most {done.peak_mb:4.0f} MB and "
        f"{done.longest_s:.2f} s, {1e6 * done.wall_s / max(done.cases, 1):.0f} us a case"
    )


def fuzz(target: Target, first: int, cases: int, seed: int, findings: Path) -> Outcome:
    """Read ``cases`` of a target, in one process after another."""
    done = Outcome()
    with tempfile.TemporaryDirectory() as folder:
        seeds = list(target.seeds(Path(folder)))
        number, end = first, first + cases
        while number < end:
            start = time.monotonic()
            stop = min(number + CASES_PER_PROCESS, end)
            next_number, result = in_a_process(target, seeds, range(number, stop), seed)
            for finding in result["findings"]:
                keep(target, seeds, finding, seed, findings, done)
            done.cases += next_number - number
            done.refused += result["refused"]
            done.wall_s += time.monotonic() - start
            for text, at in result["sentences"].items():
                done.sentences.setdefault(text, at)
            if result["peak"] / 1e6 > done.peak_mb:
                done.peak_mb, done.peak_case = result["peak"] / 1e6, result["peak_case"]
            if result["longest"] > done.longest_s:
                done.longest_s, done.longest_case = result["longest"], result["longest_case"]
            number = next_number
    return done


def in_a_process(target: Target, seeds: Sequence[bytes], numbers: range, seed: int) -> tuple[int, dict]:
    """Read these cases in a child. A case that it does not live through is a finding.

    Returns the number to go on with, and what came of the cases before it.
    """
    state = mmap.mmap(-1, _STATE.size)
    state[:] = _STATE.pack(_STARTING)
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        child = os.fork()
        if child == 0:
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libpng and libjpeg say much
                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
                work = Path(folder) / "work"
                work.mkdir()
                answer.write_text(json.dumps(read_cases(target, seeds, numbers, seed, work, state)))
                os._exit(0)
            except BaseException:  # noqa: BLE001 (a child says what ended it)
                traceback.print_exc(file=sys.stdout)
                sys.stdout.flush()
            finally:
                os._exit(70)
        how = wait(child, state)
        if answer.is_file() and not how:
            return numbers.stop, json.loads(answer.read_text())
        at = max(numbers.start, _STATE.unpack(state[:])[0])
        result = {"findings": [{"number": at, "what": how or "the process ended"}], "refused": 0, "sentences": {}}
        return at + 1, {**result, "peak": 0, "peak_case": -1, "longest": 0.0, "longest_case": -1}


def wait(child: int, state: mmap.mmap) -> str:
    """How a child ended, empty if well. One that stays with a case for too long is ended."""
    last, since = None, time.monotonic()
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return "" if code == 0 else f"the process ended with {code}"
        (now,) = _STATE.unpack(state[:])
        if now != last:
            last, since = now, time.monotonic()
        limit = STARTS_WITHIN_S if now == _STARTING else HANGS_AFTER_S
        if time.monotonic() - since > limit:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return f"still not done after {limit:g} s"
        time.sleep(0.02)


def read_cases(
    target: Target, seeds: Sequence[bytes], numbers: range, seed: int, folder: Path, state: mmap.mmap
) -> dict:
    """In the child: read each case, and measure."""
    for good in seeds:  # what is loaded once is no case's
        judge(target, good, folder)
    limit_address_space()
    held = peak = memory()
    result: dict = {"findings": [], "refused": 0, "sentences": {}, "peak_case": -1, "longest": 0.0, "longest_case": -1}
    for number in numbers:
        state[:] = _STATE.pack(number)
        data = case(target, seeds, number, seed)
        start = time.process_time()
        fault, text = judge(target, data, folder)
        took = time.process_time() - start
        if took > result["longest"]:
            result |= {"longest": took, "longest_case": number}
        if took > MOST_SECONDS:
            fault = fault or f"{took:.1f} s"
        if (now := memory()) > peak:
            peak, result["peak_case"] = now, number
            if peak - held > MOST_BYTES and len(data) < 1e6:
                fault = fault or f"{(peak - held) / 1e6:.0f} MB"
        if text:
            result["refused"] += 1
            result["sentences"].setdefault(shape(text), number)
        if fault:
            result["findings"].append({"number": number, "what": fault})
    return {**result, "peak": peak - held}


def shape(text: str) -> str:
    """An error without what differs from case to case."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|[-+\d.]+(e[-+]?\d+)?|/\S+", "_", text)[:100]


def memory() -> int:
    """The most that this process has held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def limit_address_space() -> None:
    """So that what would end the machine is an exception."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + ADDRESS_SPACE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def keep(target: Target, seeds: Sequence[bytes], finding: dict, seed: int, findings: Path, done: Outcome) -> None:
    """Count a finding, and write the first ones of each kind, made smaller."""
    kind = shape(finding["what"])
    done.findings_total += 1
    if len(done.findings) >= FINDINGS_KEPT or any(shape(other["what"]) == kind for other in done.findings):
        return
    data = case(target, seeds, finding["number"], seed)
    if re.match(r"\w+(Error|Exception)\b", finding["what"]):
        data = smaller(target, data, kind)
    findings.mkdir(parents=True, exist_ok=True)
    file = findings / f"{target.name}_{finding['number']}"
    file.write_bytes(data)
    done.findings.append({**finding, "file": str(file)})
    print(f"{target.name} case {finding['number']}: {finding['what']} -> {file}", flush=True)


def smaller(target: Target, data: bytes, kind: str) -> bytes:
    """A shorter case with a fault of the same kind, by leaving out ever smaller parts."""
    end = time.monotonic() + 5
    with tempfile.TemporaryDirectory() as folder:
        part = len(data) // 2
        while part and time.monotonic() < end:
            for shorter in without(data, part):
                if shape(judge(target, shorter, Path(folder))[0]) == kind:
                    data = shorter
                    break
            else:
                part //= 2
    return data


def without(data: bytes, length: int) -> Iterator[bytes]:
    """The data less each of its parts of this length."""
    return (data[:at] + data[at + length :] for at in range(0, min(len(data), 200 * length), length))


if __name__ == "__main__":
    sys.exit(main())
