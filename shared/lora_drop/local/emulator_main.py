"""The emulator's own start, with a checksum in C.

Runs in the emulator's environment, not in ours. ministack 1.5.33 computes CRC-64/NVME byte by byte
in Python, which takes 20 seconds for a LoRA; the AWS CRT computes the same in hundredths of one.
"""

from awscrt.checksums import crc64nvme
from ministack import app
from ministack.services import s3

CHECK_VALUE = 0xAE8B14860A799888  # of "123456789", in the catalogue of CRC algorithms

if s3._crc64nvme(b"123456789") != CHECK_VALUE:  # noqa: SLF001  # the one seam it has
    raise SystemExit(
        "this ministack has another CRC-64/NVME; look at shared/lora_drop/local/emulator_main.py"
    )
s3._crc64nvme = lambda body: crc64nvme(bytes(body))  # noqa: SLF001
app.main()
