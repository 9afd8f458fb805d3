"""Entry of `python -m modelyard.codegen [--check]`."""

import argparse
import sys
from pathlib import Path

from modelyard.codegen.files import generated, outdated, write

ROOT = Path(__file__).resolve().parents[3]


def main() -> int:
    """Write the generated files, or with `--check` print the differences and return 1."""
    parser = argparse.ArgumentParser(prog="python -m modelyard.codegen", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on a diff")
    parser.add_argument("--root", type=Path, default=ROOT, help="checkout to write into")
    options = parser.parse_args()
    files = generated()
    if not options.check:
        for path in write(options.root, files):
            print(f"wrote {path}")
        return 0
    differences = outdated(options.root, files)
    for difference in differences:
        print(difference)
    if differences:
        print("generated files are out of date: run `make generate`", file=sys.stderr)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
