"""What a trainer writes while it works: tqdm's lines, as they come through fal's log."""

from collections.abc import Iterator

WIDTH = 10
BLOCKS = " ▏▎▍▌▋▊▉█"
INTERVAL = 1.0  # seconds between two lines, at the most
LEAST_LINES = 20  # of a short training


def ticks_of(seconds: float) -> int:
    """How many lines of progress a training of so many seconds writes."""
    return max(LEAST_LINES, round(seconds / INTERVAL))


def preparation(images: int) -> Iterator[str]:
    """The bars before the training's own: they come to 100 % and are none of its progress."""
    yield f"\r{bar('Loading pipeline components...', 0, 7, 0.0)}\r{bar('Loading pipeline components...', 7, 7, 1.4)}"
    if images:
        yield f"\r{bar('Encoding images', images, images, 0.1 * images)}"


def training_line(step: int, steps: int, elapsed: float, *, before: int) -> str:
    """One entry of the log: what was overwritten since the last one comes with it."""
    halfway = bar("Training", (before + step) // 2, steps, elapsed)
    loss = 0.5 - 0.3 * step / steps
    return f"\r{halfway}\r{bar('Training', step, steps, elapsed, f', loss={loss:.4f}')}"


def bar(label: str, step: int, steps: int, elapsed: float, postfix: str = "") -> str:
    """Tqdm's line (https://github.com/tqdm/tqdm, ``format_meter``)."""
    part = step / steps
    eighths = int(part * WIDTH * 8)
    full = BLOCKS[-1] * (eighths // 8)
    drawn = (full + (BLOCKS[eighths % 8] if eighths % 8 else "")).ljust(WIDTH)
    rate = step / elapsed if elapsed else 0.0
    left = _clock((steps - step) / rate) if rate else "?"
    return f"{label}: {100 * part:3.0f}%|{drawn}| {step}/{steps} [{_clock(elapsed)}<{left}, {_rate(rate)}{postfix}]"


def _rate(rate: float) -> str:
    if not rate:
        return "?it/s"
    return f"{rate:5.2f}it/s" if rate >= 1 else f"{1 / rate:5.2f}s/it"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes:02}:{rest:02}"
