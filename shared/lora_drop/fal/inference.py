"""How a trained LoRA is used: a program for fal and one for diffusers, with the trigger phrase in the prompt.

fal: ``loras`` is a list of ``path`` (an address) and ``scale`` (0 to 4, 1 where nothing is said),
https://fal.ai/models/fal-ai/flux-lora/api; a file of this machine gets an address by ``upload_file``,
https://docs.fal.ai/model-apis/client. diffusers: ``load_lora_weights(folder, weight_name=…, adapter_name=…)`` and
``set_adapters``, https://huggingface.co/docs/diffusers/tutorials/using_peft_for_inference; ``FluxPipeline`` with
bfloat16, 28 steps, a guidance of 3.5 and ``enable_model_cpu_offload``,
https://huggingface.co/docs/diffusers/api/pipelines/flux; who loads the gated base model has accepted its licence and is
logged in, https://huggingface.co/docs/hub/models-gated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePath
from types import MappingProxyType

FLUX_DEV = "black-forest-labs/FLUX.1-dev"
WEIGHTS_NAME = "lora.safetensors"
PLAIN_PROMPT = "a photo of a person"


@dataclass(frozen=True, slots=True)
class Inference:
    """Where the LoRAs of a trainer are used: fal's endpoint, and the base model with its pipeline in diffusers."""

    application: str
    base_model: str
    pipeline: str = "FluxPipeline"


FLUX_LORA = Inference("fal-ai/flux-lora", FLUX_DEV)
# By trainer; one that is not here has no endpoint that could be verified.
INFERENCES: Mapping[str, Inference] = MappingProxyType(
    {
        "fal-ai/flux-lora-portrait-trainer": FLUX_LORA,
        "fal-ai/flux-lora-fast-training": FLUX_LORA,
        "fal-ai/turbo-flux-trainer": FLUX_LORA,
        "fal-ai/flux-krea-trainer": Inference(
            "fal-ai/flux-krea-lora", "black-forest-labs/FLUX.1-Krea-dev"
        ),
    }
)


def inference_of(trainer: str) -> Inference | None:
    """Return where a LoRA of this trainer is used; None where that was not found."""
    return INFERENCES.get(trainer)


def prompt_with(phrase: str) -> str:
    """Return a prompt to begin with; without a trigger phrase one that names no one."""
    return f"a photo of {phrase}" if phrase else PLAIN_PROMPT


def fal_program(
    inference: Inference, phrase: str, *, url: str | None = None, file: str = ""
) -> str:
    """Return a Python program that makes a picture at fal, with the LoRA at this address or in this file."""
    path = repr(url) if url else f"fal_client.upload_file({file or WEIGHTS_NAME!r})"
    return f"""\
import fal_client  # pip install fal-client; export FAL_KEY=...

result = fal_client.subscribe(
    {inference.application!r},
    arguments={{
        "prompt": {prompt_with(phrase)!r},
        "loras": [{{"path": {path}, "scale": 1.0}}],
    }},
)
print(result["images"][0]["url"])
"""


def diffusers_program(inference: Inference, phrase: str, *, file: str = "") -> str:
    """Return a Python program that makes a picture on one's own GPU, with the LoRA in this file."""
    path = PurePath(file or WEIGHTS_NAME)
    return f"""\
# Accept the licence at https://huggingface.co/{inference.base_model}, then: hf auth login
import torch  # pip install torch diffusers transformers accelerate peft sentencepiece
from diffusers import {inference.pipeline}

pipe = {inference.pipeline}.from_pretrained({inference.base_model!r}, torch_dtype=torch.bfloat16)
pipe.to("cuda")  # where the GPU has too little memory: pipe.enable_model_cpu_offload()
pipe.load_lora_weights({str(path.parent)!r}, weight_name={path.name!r}, adapter_name="lora")
pipe.set_adapters("lora", adapter_weights=1.0)
image = pipe({prompt_with(phrase)!r}, num_inference_steps=28, guidance_scale=3.5).images[0]
image.save("picture.png")
"""
