"""A LoRA for FLUX.1-dev with every tensor that fal's trainers write, in the safetensors format.

Names and shapes are diffusers' (FluxTransformer2DModel) in PEFT's form. With rank 16 the tensors
are the 89,653,248 bytes of the file that fal-js#135 shows. What is in them is noise.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

HIDDEN = 3072
FEED_FORWARD = 4 * HIDDEN
DOUBLE_BLOCKS = 19
SINGLE_BLOCKS = 38
BF16_BYTES = 2
MAX_HEADER = 100_000_000  # bytes, the format's own limit
ALIGNMENT = 8  # the header is padded with spaces, so that the tensors start aligned
# Module and its (input, output) size.
DOUBLE: Mapping[str, tuple[int, int]] = {
    **{
        f"attn.{name}": (HIDDEN, HIDDEN)
        for name in (
            "add_k_proj",
            "add_q_proj",
            "add_v_proj",
            "to_add_out",
            "to_k",
            "to_out.0",
            "to_q",
            "to_v",
        )
    },
    "ff.net.0.proj": (HIDDEN, FEED_FORWARD),
    "ff.net.2": (FEED_FORWARD, HIDDEN),
    "ff_context.net.0.proj": (HIDDEN, FEED_FORWARD),
    "ff_context.net.2": (FEED_FORWARD, HIDDEN),
}
SINGLE: Mapping[str, tuple[int, int]] = {
    f"attn.{name}": (HIDDEN, HIDDEN) for name in ("to_k", "to_q", "to_v")
}
# The high byte of a little-endian bf16 holds the sign and most of the exponent. These four keep
# every number finite and as small as a weight is: 2**-11 to 2**-7.
HIGH_BYTES = bytes((0x3A, 0x3B, 0xBA, 0xBB)[byte % 4] for byte in range(256))


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file on disk; size in bytes."""

    path: Path
    size: int
    sha256: str


def tensors(rank: int) -> Iterator[tuple[str, tuple[int, int]]]:
    """Every tensor's name and shape, in the order they are stored."""
    blocks = [("single_transformer_blocks", number, SINGLE) for number in range(SINGLE_BLOCKS)]
    blocks += [("transformer_blocks", number, DOUBLE) for number in range(DOUBLE_BLOCKS)]
    for block, number, modules in blocks:
        for module, (width_in, width_out) in modules.items():
            stem = f"transformer.{block}.{number}.{module}"
            yield f"{stem}.lora_A.weight", (rank, width_in)
            yield f"{stem}.lora_B.weight", (width_out, rank)


def write_lora(path: Path, *, rank: int, seed: str, metadata: Mapping[str, str]) -> WrittenFile:
    """Write a LoRA of this rank whose content follows from the seed alone."""
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        for part in _parts(rank, seed, metadata):
            file.write(part)
            digest.update(part)
            size += len(part)
    return WrittenFile(path, size, digest.hexdigest())


def is_safetensors(path: Path) -> bool:
    """Return whether the file's header fits its tensors (https://huggingface.co/docs/safetensors, "Format")."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 0 < length <= MAX_HEADER:
            return False
        try:
            header = json.loads(file.read(length))
            tensors_end = max(
                row["data_offsets"][1] for name, row in header.items() if name != "__metadata__"
            )
        except (ValueError, RecursionError, AttributeError, LookupError, TypeError):
            return False
    return bool(8 + length + tensors_end == path.stat().st_size)


def _parts(rank: int, seed: str, metadata: Mapping[str, str]) -> Iterator[bytes]:
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    offset = 0
    for name, shape in tensors(rank):
        end = offset + shape[0] * shape[1] * BF16_BYTES
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    yield len(text).to_bytes(8, "little")
    yield text
    for name, shape in tensors(rank):
        yield _noise(f"{seed}/{name}", shape[0] * shape[1] * BF16_BYTES)


def _noise(seed: str, size: int) -> bytes:
    data = bytearray(hashlib.shake_128(seed.encode()).digest(size))
    data[1::2] = data[1::2].translate(HIGH_BYTES)
    return bytes(data)
