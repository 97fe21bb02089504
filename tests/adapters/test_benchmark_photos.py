"""The dataset that benchmarks.submit measures is of as many different photos as it says."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

from lora_drop.client.check import check_dataset
from lora_drop.datasets.report import Verdict


def test_photos_of_the_benchmark_differ(root: Path, tmp_path: Path) -> None:
    packed = tmp_path / "photos.zip"
    words = [sys.executable, "-m", "benchmarks.photos", str(packed), "12", "0.4"]
    subprocess.run(words, cwd=root, check=True, capture_output=True)  # noqa: S603  # our own words
    with zipfile.ZipFile(packed) as archive:
        digests = {hashlib.sha256(archive.read(name)).digest() for name in archive.namelist()}
    report = check_dataset(packed)
    assert (report.verdict, report.images, len(digests)) == (Verdict.ACCEPTED, 12, 12)
    codes = [*(each.code for each in report.warnings), *(each.code for each in report.changes)]
    assert not [code for code in codes if "duplicate" in code]
