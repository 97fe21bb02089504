"""What a dataset's check has found, as files: ``report.html`` for people, ``report.json`` for programs.

::

    markup      HTML in which every plain text is escaped; numbers, sizes and names in words
    sections    problems and changes by their code
    sheet       the contact sheet, which the page of ``lora-drop ui`` also shows
    style       the style sheet; the sheet's part of it
    page        the page, and the JSON beside it
    result      the page of a job that has its LoRA
"""

from lora_drop.datasets.reports.page import html_text, json_text
from lora_drop.datasets.reports.result import result_page
from lora_drop.datasets.reports.sheet import (
    anchors_of,
    contact_sheet,
    filter_choices,
    photo_card,
    photo_filter,
    picture_at,
)
from lora_drop.datasets.reports.style import COLOURS, SHEET_STYLE

__all__ = [
    "COLOURS",
    "SHEET_STYLE",
    "anchors_of",
    "contact_sheet",
    "filter_choices",
    "html_text",
    "json_text",
    "photo_card",
    "photo_filter",
    "picture_at",
    "result_page",
]
