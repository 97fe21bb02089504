"""What faces cost the submit function while it starts: in its container, with the memory and the CPU that the template gives it.

The function is started with ``FACE_CHECK`` as the template passes it; its first event is a dataset of a few photos, which
this module's own handler looks through with the function's own world.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from benchmarks.runtime import Started, first_answer, what_is_missing

PHOTOS, RUNS, MEMORY = 5, 5, 2048  # the last as in template.yaml
HANDLER = """
from pathlib import Path
from functions.submit.handler import bootstrap
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.reading import WholeImage

def handler(event, context):
    data = Path(__file__).with_name("photo.jpg").read_bytes()
    world = bootstrap()
    looks = [world.pictures.look(data, describe(WholeImage(data))) for _ in range(event["photos"])]
    crops = [look.faces.main.crop for look in looks if look.faces]
    if crops:
        world.faces.similarities(crops)
    return {"faces": len(crops)}
"""
# What the settings ask for; nothing is called there.
VARIABLES = dict.fromkeys(
    ("INBOX_QUEUE_URL", "WEBHOOK_BASE_URL", "JOBS_TABLE", "FAL_KEY_SECRET"), "https://none.invalid"
) | {"MODELS_BUCKET": "models", "FAL_APPLICATION": "none", "WEBHOOK_SECRET": "none"}
NUMBERS = {"DATASET_URL_SECONDS": "1", "MAX_IN_FLIGHT": "1"} | dict.fromkeys(
    ("MONTHLY_BUDGET_USD", "MAX_JOB_USD"), "1"
)


def start_rows(artifact: Path, folder: Path, photo: bytes) -> list[tuple[str, ...]]:
    """Return each figure without faces and with them; a row that says so where there is no container."""
    if missing := what_is_missing():
        return [(f"cold start in the function's container: left out, {missing}", "", "")]
    layer = folder / "layer"
    layer.mkdir()
    (layer / "first_dataset.py").write_text(HANDLER)
    (layer / "photo.jpg").write_bytes(photo)
    runs: Mapping[str, list[Started]] = {"false": [], "true": []}
    for _ in range(RUNS):
        for faces, started in runs.items():
            started.append(
                first_answer(
                    artifact,
                    "first_dataset.handler",
                    {"photos": PHOTOS},
                    memory=MEMORY,
                    variables={**VARIABLES, **NUMBERS, "FACE_CHECK": faces},
                    beside=layer,
                )
            )
    found = {faces: {json.dumps(each.answer) for each in runs[faces]} for faces in runs}
    if found != {"false": {'{"faces": 0}'}, "true": {f'{{"faces": {PHOTOS}}}'}}:
        raise RuntimeError(f"a container said something else: {found}")
    return [
        (
            "cold start in the function's container: until the handler is imported",
            *(f"{median(each.init for each in started):.2f} s" for started in runs.values()),
        ),
        (
            f"the same until its first dataset of {PHOTOS} such photos is looked through",
            *(f"{median(each.seconds for each in started):.2f} s" for started in runs.values()),
        ),
    ]
