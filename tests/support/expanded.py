"""template.yaml as CloudFormation gets it: expanded by SAM's own translator, in the environment of SAM CLI.

Run with that environment's Python (its pydantic is older than ours), it prints what it made of the template
that is named to it. Nothing is asked of AWS.
"""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


@cache
def expanded() -> dict[str, Any]:
    """The whole template, every parameter at its default; conditions and intrinsic functions stay."""
    from lora_drop.local.tools import command, environment  # noqa: PLC0415  # of our Python only

    *sam, _ = command("sam")
    done = subprocess.run(  # noqa: S603  # our own words
        [*sam, "python", "-P", __file__, str(ROOT / "template.yaml")],
        env=environment(AWS_DEFAULT_REGION="us-east-1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main(file: str) -> None:
    """Print the expanded template."""
    from samtranslator.parser.parser import Parser  # noqa: PLC0415  # of SAM CLI's Python only
    from samtranslator.translator.translator import Translator  # noqa: PLC0415
    from samtranslator.yaml_helper import yaml_parse  # noqa: PLC0415

    template = yaml_parse(Path(file).read_text())
    template["Globals"]["Function"]["CodeUri"] = "s3://code/key"  # as `sam package` leaves it
    defaults = {
        name: each["Default"] for name, each in template["Parameters"].items() if "Default" in each
    }
    json.dump(Translator({}, Parser()).translate(template, defaults), sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1])
