"""What the services need of the outside world, a Protocol each."""

from lora_drop.datasets.archives import RangedReader
from lora_drop.ports.fal import (
    ArtifactSource,
    FalClient,
    FileStorage,
    Payloads,
    PayloadsErased,
    Prices,
    RequestHistory,
    SigningKeys,
    Submission,
)
from lora_drop.ports.files import (
    CopyStore,
    DatasetListing,
    DatasetPage,
    DatasetStore,
    Deliveries,
    Erasable,
    Eraser,
    OpenDataset,
    Place,
    ResultStore,
    UploadForm,
    UploadStore,
)
from lora_drop.ports.jobs import Bookmarks, Claim, Clock, Erasures, JobStore, Page
from lora_drop.ports.messages import DeadLetters, Events, Handover, Inbox, StatusCheckTrigger
from lora_drop.results.copies import OpenArtifact

__all__ = [
    "ArtifactSource",
    "Bookmarks",
    "Claim",
    "Clock",
    "CopyStore",
    "DatasetListing",
    "DatasetPage",
    "DatasetStore",
    "DeadLetters",
    "Deliveries",
    "Erasable",
    "Eraser",
    "Erasures",
    "Events",
    "FalClient",
    "FileStorage",
    "Handover",
    "Inbox",
    "JobStore",
    "OpenArtifact",
    "OpenDataset",
    "Page",
    "Payloads",
    "PayloadsErased",
    "Place",
    "Prices",
    "RangedReader",
    "RequestHistory",
    "ResultStore",
    "SigningKeys",
    "StatusCheckTrigger",
    "Submission",
    "UploadForm",
    "UploadStore",
]
