"""Memory and speed of `raytrain data build precomp` on an array far larger than the memory it may take.

    python benchmarks/convert.py --gb 20 --folder DIR

Makes a sparse train_ims.npy of `--gb` GB (zeros, which take no disk) with five captions per image, and small dev and
test arrays. Converts them in a process of its own, and prints the most memory of that process: resident, and anonymous
(which cannot be dropped, as pages of files can). The table takes half as much disk, since it is fp16; everything is
deleted afterwards. Reading zeros costs no disk time either: on real data the disk may be the limit.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

REGIONS, FEATURES = 36, 2048


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=20.0)
    parser.add_argument("--folder", type=Path, help="on a disk with room for half of --gb")
    parser.add_argument("options", nargs="*", help="options of the source, such as dtype=float32")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as made:
        root, out = Path(made) / "root", Path(made) / "table"
        size = make_arrays(root, int(args.gb * 1e9 / (REGIONS * FEATURES * 4)))
        free = shutil.disk_usage(made).free
        if free < size * 1.1:
            raise SystemExit(f"{made} has {free / 1e9:.0f} GB free; {size / 1e9:.0f} GB may be written: give less --gb")
        command = [sys.executable, "-m", "raytrain.cli", "data", "build", "precomp", "--root", str(root)]
        started = time.perf_counter()
        process = subprocess.Popen([*command, "--out", str(out), *args.options])
        peaks = watch(process)
        seconds = time.perf_counter() - started
        if process.returncode:
            raise SystemExit(process.returncode)
        written = (out / "features" / "butd.npy").stat().st_size
    print(
        f"{size / 1e9:.1f} GB in {seconds:.0f} s, {size / 1e6 / seconds:.0f} MB/s read, {written / 1e9:.1f} GB written"
    )
    print(f"at most {peaks['VmHWM']:.0f} MB resident, {peaks['RssAnon']:.0f} MB of it anonymous")


def make_arrays(root: Path, images: int) -> int:
    """Write the arrays and captions to `root`; the bytes of the arrays."""
    root.mkdir(parents=True)
    size = 0
    for stem, count in (("train", images), ("dev", 2), ("test", 2)):
        np.lib.format.open_memmap(root / f"{stem}_ims.npy", "w+", np.float32, (count, REGIONS, FEATURES))
        size += (root / f"{stem}_ims.npy").stat().st_size
        with open(root / f"{stem}_caps.txt", "w", encoding="utf-8") as file:
            for image in range(count):
                file.writelines(f"A dog number {image} runs over the green grass after ball {k}.\n" for k in range(5))
    return size


def watch(process: subprocess.Popen[bytes]) -> dict[str, float]:
    """The largest memory of each kind in MB, until the process ends."""
    peaks = {"VmHWM": 0.0, "RssAnon": 0.0}
    while process.poll() is None:
        with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
            for line in status:
                name, _, value = line.partition(":")
                if name in peaks:
                    peaks[name] = max(peaks[name], int(value.split()[0]) / 1024)
        time.sleep(0.02)
    return peaks


if __name__ == "__main__":
    main()
