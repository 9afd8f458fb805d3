"""Run every benchmark, one after the other: `make bench`, or `make bench ONLY=operator`.

`python -m tests.bench operator singles burst` runs some scenarios of one.

Each is a program of its own that prints a table and, as its last line, one JSON object.
"""

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def main() -> int:
    """Run the benchmarks; return how many failed."""
    only, *scenarios = sys.argv[1:] or [os.environ.get("ONLY", "")]
    failed = 0
    for path in sorted(FOLDER.glob("bench_*.py")):
        if only in path.stem:
            print(f"=== {path.stem}", flush=True)
            failed += (
                subprocess.run([sys.executable, path, *scenarios], check=False).returncode != 0
            )
    return failed


if __name__ == "__main__":
    sys.exit(main())
