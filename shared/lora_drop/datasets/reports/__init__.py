"""What a dataset's check has found, as files: ``report.html`` for people, ``report.json`` for programs.

::

    markup      HTML in which every plain text is escaped
    wording     numbers, sizes and names in words
    groups      problems and changes by their code
    verdict     the top of the page
    sheet       the contact sheet
    style       the style sheet
    page        the page, and the JSON beside it
"""

from lora_drop.datasets.reports.page import html_text, json_text
from lora_drop.datasets.reports.result import result_page

__all__ = ["html_text", "json_text", "result_page"]
