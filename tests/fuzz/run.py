"""The long fuzz run: `python -m tests.fuzz.run READER... --mutants 3000 --seed 0`; without a reader, all of them.

Exits with status 1 if a mutant was neither read nor refused. `--keep FOLDER` leaves those mutants there.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from tests.fuzz.runner import READ, REFUSED, Runner, readers, write_mutant


def main() -> int:
    """Runs what the command line names and prints one line per reader and finding."""
    parser = argparse.ArgumentParser(description="Readers over mutants of small valid files.")
    parser.add_argument("reader", nargs="*", help="names as in READERS of tests/fuzz/*.py; default all")
    parser.add_argument("--mutants", type=int, default=3000)
    parser.add_argument("--start", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="where the mutants that are findings are written")
    given = parser.parse_args()
    known = readers()
    if unknown := set(given.reader) - known.keys():
        parser.error(f"no reader {', '.join(sorted(unknown))}; there are {', '.join(known)}")

    bad = 0
    with Runner(given.seed) as runner:
        for name in given.reader or known:
            counts: Counter[str] = Counter()
            for outcome in runner.outcomes(name, range(given.start, given.start + given.mutants)):
                counts[outcome.what] += 1
                if outcome.good:
                    continue
                bad += 1
                print(f"{name} {outcome.index}: {outcome.what}", flush=True)
                if given.keep:
                    write_mutant(given.keep / f"{name}-{outcome.index}", name, given.seed, outcome.index)
            findings = sum(counts.values()) - counts[READ] - counts[REFUSED]
            print(f"{name}: {counts[READ]} read, {counts[REFUSED]} refused, {findings} findings", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
