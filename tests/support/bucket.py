"""The models bucket, or its double, and what a person sees of it."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from lora_drop.adapters.s3_copies import S3Copies
from lora_drop.ports import CopyStore
from lora_drop.results.copies import Label, Part
from tests.support.aws import Aws
from tests.support.memory_files import MemoryResults
from tests.support.template import properties

PREFIX = "portrait/a b+c \u5199\u771f/ada-0123456789/"
KEY = PREFIX + "lora.safetensors"
LABEL = Label("model/x", "5ca1ab1e")
LEAST = 5 * 1024**2  # S3 takes no smaller part but the last
FIRST, LAST = os.urandom(LEAST), b"the last bytes"


def expiring_tag() -> Any:
    """The tag that the models bucket's lifecycle goes by."""
    rules = properties("ModelsBucket")["LifecycleConfiguration"]["Rules"]
    [tags] = [rule["TagFilters"] for rule in rules if "ExpirationInDays" in rule]
    [tag] = tags
    return tag


@dataclass
class Place:
    """A store, and what a person sees of it."""

    store: CopyStore
    bucket: str
    aws: Aws | None

    @classmethod
    def of(cls, aws: Aws | None) -> Self:
        """A new one; without an AWS the double."""
        if aws is None:
            return cls(MemoryResults(), "models", None)
        bucket = aws.bucket("models")
        return cls(S3Copies(aws.s3, bucket), bucket, aws)

    def files(self) -> dict[str, bytes]:
        if self.aws is None:
            assert isinstance(self.store, MemoryResults)
            return dict(self.store.files)
        listed = self.aws.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {item["Key"]: self._read(item["Key"]) for item in listed}

    def expires(self, key: str) -> bool:
        """Whether the template's rule would let it expire."""
        if self.aws is None:
            assert isinstance(self.store, MemoryResults)
            return key in self.store.expiring
        tags = self.aws.s3.get_object_tagging(Bucket=self.bucket, Key=key)["TagSet"]
        return expiring_tag() in tags

    def unfinished(self) -> int:
        if self.aws is None:
            assert isinstance(self.store, MemoryResults)
            return len(self.store.uploads)
        return len(self.aws.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", []))

    def uploaded(self, *datas: bytes, key: str = KEY) -> tuple[str, Sequence[Part]]:
        """A new unfinished copy of these parts."""
        upload_id = self.store.begin(key, LABEL)
        parts = [
            self.store.upload(key, upload_id, number, data)
            for number, data in enumerate(datas, start=1)
        ]
        return upload_id, parts

    def _read(self, key: str) -> bytes:
        assert self.aws
        return self.aws.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
