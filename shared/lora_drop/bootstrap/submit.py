"""The services of the submit function."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import TYPE_CHECKING

from lora_drop.bootstrap.base import FalBootstrap
from lora_drop.datasets.images.pictures import Pictures
from lora_drop.ports import DatasetStore, ResultStore
from lora_drop.settings import SubmitSettings

if TYPE_CHECKING:
    from lora_drop.adapters.faces import OnnxFaces
    from lora_drop.services.dataset_urls import DatasetUrls
    from lora_drop.services.proof_sheets import ProofSheets
    from lora_drop.services.submit import Submitter


class SubmitBootstrap(FalBootstrap[SubmitSettings]):
    """The submit function; ``faces_failed`` is called with what breaks where faces are looked for or compared."""

    def __init__(
        self, settings: SubmitSettings, faces_failed: Callable[[Exception], None] = lambda _: None
    ) -> None:
        super().__init__(settings)
        self._faces_failed = faces_failed

    @cached_property
    def datasets(self) -> DatasetStore:
        """Return the datasets bucket."""
        from lora_drop.adapters.s3_datasets import S3Datasets

        return S3Datasets(self._s3, url_seconds=self.settings.dataset_url_seconds)

    @cached_property
    def pictures(self) -> Pictures:
        """Return the decoder and converter of images."""
        from lora_drop.adapters.pillow import PillowPictures

        return PillowPictures(self.faces)

    @cached_property
    def pictures_of_style(self) -> Pictures:
        """Return the same without faces, which datasets of a style are not looked through for."""
        from lora_drop.adapters.pillow import PillowPictures

        return PillowPictures()

    @cached_property
    def faces(self) -> "OnnxFaces | None":
        """Return what finds and compares faces, which loads its models at first use; None where that is turned off or not possible."""
        if not self.settings.face_check or self.faces_lack:
            return None
        from lora_drop.adapters.faces import OnnxFaces

        return OnnxFaces()

    @cached_property
    def faces_lack(self) -> str:
        """Return what keeps faces from being looked for, though they are to be; empty where nothing does."""
        if not self.settings.face_check:
            return ""
        from lora_drop.adapters.faces import what_faces_lack

        return what_faces_lack()

    def _dataset_urls(self, results: ResultStore) -> "DatasetUrls":
        from lora_drop.adapters.fal_storage import FalStorage
        from lora_drop.services.dataset_urls import DatasetUrls

        settings = self.settings
        return DatasetUrls(
            datasets=self.datasets,
            results=results,
            storage=FalStorage(self._key, settings.fal_rest_url, settings.fal_cdn_url),
            clock=self.clock,
            way=settings.dataset_delivery,
            seconds=settings.dataset_url_seconds,
        )

    @cached_property
    def proof_sheets(self) -> "ProofSheets":
        """Return what ends proof sheets."""
        from lora_drop.services.proof_results import ProofResults
        from lora_drop.services.proof_sheets import ProofSheets

        record = self._record(self._results(self.settings.models_bucket))
        results = ProofResults(
            record,
            self.datasets,
            self.pictures,
            self.faces,
            self._faces_failed,
            simulated=self.settings.simulated_pictures,
        )
        return ProofSheets(record, results)

    @cached_property
    def submitter(self) -> "Submitter":
        """Return the door that datasets come in by."""
        from lora_drop.adapters.decoding_threads import DecodingThreads
        from lora_drop.services.account_balance import AccountBalance
        from lora_drop.services.check import Checker
        from lora_drop.services.checkpoint import check_checkpoint
        from lora_drop.services.dispatch import Dispatcher
        from lora_drop.services.mend import Mender
        from lora_drop.services.submit import Submitter

        settings = self.settings
        bucket = settings.models_bucket
        record = self._record(self._results(bucket), self._latest(bucket))
        dispatcher = Dispatcher(
            record=record,
            datasets=self.datasets,
            fal=self._fal(file_days=self.settings.fal_file_days),
            inbox=self._inbox(settings.inbox_queue_url),
            limits=settings.limits,
            balance=AccountBalance(
                self._balances(settings.fal_api_url) if settings.hold_at_low_balance else None,
                self.jobs,
            ),
            addresses=self._dataset_urls(record.results),
            webhook_base_url=settings.webhook_base_url,
            webhook_secret=lambda: self._webhook_secret(settings.webhook_secret),
        )
        return Submitter(
            record=record,
            datasets=self.datasets,
            dispatcher=dispatcher,
            checker=Checker(
                self.pictures,
                self._prices(settings.fal_api_url),
                partial(check_checkpoint, record=record),
                faces=self.faces,
                faces_unavailable=bool(self.faces_lack),
                faces_failed=self._faces_failed,
                require_one_person=settings.require_one_person,
                pictures_of_style=self.pictures_of_style,
                keep_metadata=not settings.remove_metadata,
                prepares=True,
                threads=DecodingThreads,
                refuse_misspelled_folder=settings.misspelled_preset_folder == "refuse",
            ),
            mender=Mender(self.pictures),
            application=settings.fal_application,
            proofs=self._proof_orders(record, settings.inbox_queue_url),
            proof_sheet=settings.proof_sheet,
            notify_hosts=settings.allowed_notify_hosts,
        )
