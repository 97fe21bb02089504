"""The built functions in the emulator's bucket, as ``sam package`` puts them into one of AWS.

Nothing leaves this machine, so an artifact is stored in its ZIP and not deflated, which took most of a deployment.
"""

import hashlib
import json
import stat
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any

CODE_BUCKET = "lora-drop-code"
TEMPLATE_KEY = "template.json"
FUNCTION = "AWS::Serverless::Function"
AT_ONCE = 2  # artifacts: one is read while another one is sent; the largest has 180 MB
MODE = (stat.S_IFREG | 0o644) << 16  # as a ZIP writes it


def upload(template: Path, s3: Any) -> str:
    """Put the built template and the artifacts beside it into the bucket; return the template's key.

    An artifact's key is its content's, so a function that has not changed is not updated.
    """
    import yaml  # noqa: PLC0415  # of the extra `local`

    s3.create_bucket(Bucket=CODE_BUCKET)
    document = yaml.safe_load(template.read_text())
    functions = [
        each["Properties"]
        for each in document["Resources"].values()
        if each["Type"] == FUNCTION and "CodeUri" in each["Properties"]
    ]
    folders = [template.parent / each["CodeUri"] for each in functions]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        keys = list(pool.map(lambda folder: _put(folder, s3), folders))
    for function, key in zip(functions, keys, strict=True):
        function["CodeUri"] = f"s3://{CODE_BUCKET}/{key}"
    s3.put_object(Bucket=CODE_BUCKET, Key=TEMPLATE_KEY, Body=json.dumps(document).encode())
    return TEMPLATE_KEY


def _put(folder: Path, s3: Any) -> str:
    code = BytesIO()
    with zipfile.ZipFile(code, "w", zipfile.ZIP_STORED) as archive:
        for name, file in _files(folder):
            entry = zipfile.ZipInfo(name)
            entry.external_attr = MODE
            archive.writestr(entry, file.read_bytes())
    key = f"{hashlib.sha256(code.getbuffer()).hexdigest()}.zip"
    if "Contents" not in s3.list_objects_v2(Bucket=CODE_BUCKET, Prefix=key):
        code.seek(0)
        s3.put_object(Bucket=CODE_BUCKET, Key=key, Body=code)
    return key


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            yield file.relative_to(folder).as_posix(), file
