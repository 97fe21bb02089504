"""ZIP archives: what one says of itself, whether it tells the truth, and what it holds.

``structure_of`` judges an archive by its end, its directory and as many local headers as a budget
reaches; ``contents_of`` goes through every byte of it. What both accept, every reader sees alike.
"""

from lora_drop.datasets.archives.contents import WINDOW, Content, contents_of, read_member
from lora_drop.datasets.archives.names import is_junk, is_misleading, path_of
from lora_drop.datasets.archives.ranges import HeldReader, MeteredReader, RangedReader
from lora_drop.datasets.archives.records import UTF8, Member
from lora_drop.datasets.archives.structure import Structure, members_of, structure_of

__all__ = [
    "UTF8",
    "WINDOW",
    "Content",
    "HeldReader",
    "Member",
    "MeteredReader",
    "RangedReader",
    "Structure",
    "contents_of",
    "is_junk",
    "is_misleading",
    "members_of",
    "path_of",
    "read_member",
    "structure_of",
]
