"""Upload and download rates of the store library beside plain boto3, on a loopback SeaweedFS.

Client and server share the machine: compare the rows, not the absolute figures.
"""

import hashlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "operator")]

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from modelyard.store.client import S3Store  # noqa: E402
from tests.seaweed import Seaweed, running  # noqa: E402

MIB = 1024 * 1024
LARGE = int(os.environ.get("BENCH_LARGE_MIB", "256")) * MIB
SMALL_COUNT = int(os.environ.get("BENCH_SMALL_FILES", "100"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
Work = Callable[[str], None]
"""One transfer below a fresh prefix."""


def main() -> None:
    """Measure every way in turn, round by round, so that disturbances hit all of them."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "weed") as seaweed:
        store = seaweed.store(seaweed.make_bucket())
        works = large_file(store, seaweed, Path(folder)) | small_files(store, seaweed, Path(folder))
        rates: dict[str, list[float]] = {name: [] for name in works}
        for number in range(ROUNDS):
            for name, (size, work) in works.items():
                begun = time.perf_counter()
                work(f"round-{number}/{name.split(',')[0]}/")
                rates[name].append(size / MIB / (time.perf_counter() - begun))
    show(rates)


def large_file(store: S3Store, seaweed: Seaweed, folder: Path) -> dict[str, tuple[int, Work]]:
    """Return the ways to move one large file."""
    path = folder / "large"
    path.write_bytes(os.urandom(LARGE))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    label = f"1 x {LARGE // MIB} MiB"
    client, bucket = seaweed.client, store.bucket
    client.upload_file(str(path), bucket, "large")
    return {
        f"store upload, {label}": (LARGE, lambda p: store.upload_file(p + "f", path, digest)),
        f"boto3 upload, {label}": (LARGE, lambda p: client.upload_file(str(path), bucket, p + "f")),
        f"store download, {label}": (
            LARGE,
            lambda _: _require(store.download_file("large", folder / "copy") == digest),
        ),
        f"boto3 download, {label}": (
            LARGE,
            lambda _: client.download_file(bucket, "large", str(folder / "copy")),
        ),
    }


def small_files(store: S3Store, seaweed: Seaweed, folder: Path) -> dict[str, tuple[int, Work]]:
    """Return the ways to upload many files of 1 MiB, four at a time as `publish` does."""
    path = folder / "small"
    path.write_bytes(os.urandom(MIB))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    size, label = SMALL_COUNT * MIB, f"{SMALL_COUNT} x 1 MiB"

    def ours(prefix: str) -> None:
        in_parallel(lambda n: store.upload_file(f"{prefix}{n}", path, digest))

    def plain(prefix: str) -> None:
        in_parallel(lambda n: seaweed.client.upload_file(str(path), store.bucket, f"{prefix}{n}"))

    return {
        f"store upload small, {label}": (size, ours),
        f"boto3 upload small, {label}": (size, plain),
    }


def in_parallel(work: Callable[[int], None]) -> None:
    """Do `work` for every small file, four at a time."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(SMALL_COUNT)))


def _require(equal: bool) -> None:
    if not equal:
        raise SystemExit("the copy differs from the original")


def show(rates: dict[str, list[float]]) -> None:
    """Print a table, and one JSON object as the last line."""
    table = Table("way", "median MiB/s", "min", "max", title=f"{ROUNDS} interleaved rounds")
    for name, values in rates.items():
        table.add_row(
            name, *(f"{v:.0f}" for v in (statistics.median(values), min(values), max(values)))
        )
    Console().print(table)
    medians = {name: round(statistics.median(values), 1) for name, values in rates.items()}
    print(json.dumps({"bench": "store", "unit": "MiB/s", "rounds": ROUNDS, "median": medians}))


if __name__ == "__main__":
    main()
