"""How far a training is, read from its log: what is believed, and what is not."""

import pytest

from lora_drop.fal.progress import Progress, progress_in, visible

# Lines as these trainers write them: tqdm alone, kohya's sd-scripts, ai-toolkit, diffusers.
TQDM = "  3%|▎         | 75/2500 [00:41<22:10,  1.82it/s]"
KOHYA = "steps:   3%|▎         | 75/2500 [00:41<22:10,  1.82it/s, avr_loss=0.123]"
AI_TOOLKIT = (
    "ada_lora:   3%|3         | 75/2500 [06:15<3:22:05,  5.00s/it, lr: 1.0e-04 loss: 3.5e-01]"
)
DIFFUSERS = "Steps: 100%|██████████| 2500/2500 [41:00<00:00,  1.02it/s, loss=0.1, lr=0.0001]"
CAPTIONS = "Captioning: 100%|██████████| 12/12 [00:09<00:00,  1.30it/s]"
DOWNLOAD = "model.safetensors:  45%|████▌     | 4.50G/9.98G [00:41<00:50, 109MB/s]"
SHARDS = "Loading checkpoint shards: 100%|██████████| 2/2 [00:01<00:00,  1.6it/s]"
SAMPLES = "Generating: 100%|██████████| 28/28 [00:05<00:00,  5.1it/s]"
FAST = Progress(75, 2500, 1330.0, 1 / 1.82)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([TQDM], FAST),
        ([KOHYA], FAST),
        ([AI_TOOLKIT], Progress(75, 2500, 12125.0, 5.0)),
        ([DIFFUSERS], Progress(2500, 2500, 0.0, 1 / 1.02)),
        (["\x1b[32m" + TQDM + "\x1b[0m"], FAST),
        ([f"\r{SHARDS}\r  2%|▏| 50/2500 [00:20<16:20, 2.50it/s]\r{TQDM}\r"], FAST),
        ([f"{CAPTIONS} {TQDM}"], FAST),
        ([TQDM, CAPTIONS, SAMPLES, DOWNLOAD, "Saving weights"], FAST),
        (["  0%|          | 0/2500 [00:00<?, ?it/s]"], Progress(0, 2500)),
        ([" 1%| | 25/2500 [00:50<?]"], Progress(25, 2500, 4950.0, 2.0)),
        ([TQDM, "  0%|          | 0/2500 [00:00<?, ?it/s]"], FAST),  # a runner was replaced
        (["step 75/2500"], Progress(75, 2500)),
        (["INFO Step: 75 / 2500, epoch 3/4, loss 0.1"], Progress(75, 2500)),
        (["Step [75/2500] loss 0.1"], Progress(75, 2500)),
        (["Training: 3% | 75/2500 steps, loss=0.4"], Progress(75, 2500)),
        (["75 of 2500 steps"], Progress(75, 2500)),
        (
            ["steps:   3%|▎| 76/2520 [00:41<22:10, 1.82it/s]"],
            Progress(76, 2520, 1330.0, FAST.seconds_per_step),
        ),
        # Not the training's own, or no progress at all.
        ([CAPTIONS], None),
        (["Downloading pretrained weights: 100%|#| 5/5 [00:02<00:00,  2.1it/s]"], None),
        (
            ["Applying constraints: 100%|#| 2500/2500 [00:02<00:00, 2it/s]", "Step 3/3: training"],
            Progress(2500, 2500, 0.0, 0.5),
        ),  # of the job's own total, and of no other work
        (["Loading training images: 100%|#| 24/24 [00:01<00:00, 20.0it/s]"], None),
        (["Training data: 100%|#| 24/24 [00:01<00:00, 20.0it/s]", "Step 3/3: training"], None),
        (
            ["Caching latents: 100%|#| 2500/2500 [00:09<00:00, 250it/s]", "Caching, step 9/2500"],
            None,
        ),
        (["Caching latents: 100%|#| 2500/2500 [00:09<00:00, 250it/s]", TQDM], FAST),
        (["steps: 90%|#| 2268/2520 [00:41<22:10, 1.82it/s]", TQDM], FAST),
        (["training pretrained_x: 1%|#| 9/2800 [00:01<00:09, 1it/s]"], None),
        ([DOWNLOAD, SHARDS, SAMPLES], None),
        (["Epoch 3/10", "batch 7 of 9", "2026/11/29 10:00", "step 9/0", "step 9/3"], None),
        (["", "\r\r", "%|", "99%||/[<"], None),
        ([], None),
    ],
)
def test_progress_of_a_job_of_2500_steps(lines: list[str], found: Progress | None) -> None:
    assert progress_in(lines, 2500) == found


@pytest.mark.parametrize(
    ("lines", "step"),
    [
        ([CAPTIONS, TQDM], 75),
        ([TQDM, SAMPLES], 75),
        ([DIFFUSERS, TQDM, CAPTIONS], 2500),
        ([SHARDS], 2),
    ],
)
def test_without_the_steps_the_longest_bar_counts(lines: list[str], step: int) -> None:
    found = progress_in(lines)
    assert found is not None
    assert found.step == step


def test_percent_is_100_at_the_end_alone() -> None:
    percents = [Progress(step, 2500).percent for step in (0, 1, 1250, 2499, 2500)]
    assert percents == [0, 0, 50, 99.9, 100]


@pytest.mark.parametrize(
    ("message", "seen"),
    [
        (f"\r{SHARDS}\r{TQDM}\r", TQDM.strip()),
        ("\x1b[1A\x1b[2KFound 12 images\x07", "Found 12 images"),
        ("\x1b]0;title\x07done", "done"),
        ("über\tÄ 图", "über\tÄ 图"),
        ("\r\r", ""),
    ],
)
def test_line_is_what_a_terminal_shows(message: str, seen: str) -> None:
    assert visible(message) == seen
