"""The letters beyond ASCII that languages write with, the frequent ones first, and the code pages they were saved in.

Orders follow the letter frequencies that the languages' own corpora agree on; only who comes before whom
matters. Code pages: Microsoft's for Windows (what editors write) and for the console (OEM; what Explorer
writes into ZIPs, APPNOTE appendix D says 437), https://learn.microsoft.com/windows/win32/intl/code-page-identifiers.
"""

from collections.abc import Mapping
from types import MappingProxyType

CYRILLIC = "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё"
UKRAINIAN = "оаниівтерслкудмпязьбгчйхцжїюєшщфґ"
GREEK = "αοτειςνσρηκπμυλίόάγέδήωύχθώφβξζψϊϋΐΰ"
HEBREW = "יוהלאתרבמנשדעקםחפגסטןזצכךףץ"
ARABIC = "اليمونتربةعدسفحكقشجهخصىطءضئزأثذغؤظآإلإ"
THAI = "านรอกเงมยลวดทสตะปบคหแจพชขใไโผศธภญซฟณถฮฉฝฎ่้ี็ัิืุู์ึๆำ"
PERSIAN = "اینردموبهتشسکلگپخزچفعقجحغصآطضظذثژئ"

# Every language with its letters, then its Windows code pages, then those of its console.
LANGUAGES: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {
        "French": ("éàèêçùâîôûïœë", ("cp1252",), ("cp850", "cp437")),
        "German": ("äüöß", ("cp1252",), ("cp850", "cp437")),
        "Spanish": ("óíáéñúü", ("cp1252",), ("cp850", "cp437")),
        "Portuguese": ("ãçáéíóêõâúàô", ("cp1252",), ("cp850", "cp860")),
        "Italian": ("èàùòìé", ("cp1252",), ("cp850", "cp437")),
        "Swedish": ("äåöé", ("cp1252",), ("cp850", "cp437")),
        "Danish": ("åøæé", ("cp1252",), ("cp850", "cp865")),
        "Dutch": ("ëéïöü", ("cp1252",), ("cp850", "cp437")),
        "Icelandic": ("áíðéöóúþýæ", ("cp1252",), ("cp861", "cp850")),
        "Polish": ("łęąóżśćńź", ("cp1250", "iso8859_2"), ("cp852",)),
        "Czech": ("íáéěšřčžýůúťďňó", ("cp1250", "iso8859_2"), ("cp852",)),
        "Slovak": ("áíéčžšýúľťôňďóäŕĺ", ("cp1250", "iso8859_2"), ("cp852",)),
        "Hungarian": ("áéöőóüíúű", ("cp1250", "iso8859_2"), ("cp852",)),
        "Romanian": ("ăîşâţ", ("cp1250", "iso8859_2"), ("cp852",)),
        "Croatian": ("čšžćđ", ("cp1250", "iso8859_2"), ("cp852",)),
        "Turkish": ("ıüşğöçâî", ("cp1254",), ("cp857",)),
        "Lithuanian": ("ėšžųūąčįę", ("cp1257",), ("cp775",)),
        "Latvian": ("āīēšņūķļģžč", ("cp1257",), ("cp775",)),
        "Estonian": ("äõüöšž", ("cp1257",), ("cp775",)),
        "Russian": (CYRILLIC, ("cp1251", "koi8_r", "cp866"), ("cp866", "cp1251")),
        "Ukrainian": (UKRAINIAN, ("cp1251", "koi8_u"), ("cp866", "cp1251")),
        "Greek": (GREEK, ("cp1253",), ("cp737", "cp869")),
        "Hebrew": (HEBREW, ("cp1255",), ("cp862", "cp1255")),
        "Arabic": (ARABIC, ("cp1256",), ("cp720", "cp864", "cp1256")),
        "Persian": (PERSIAN, ("cp1256",), ("cp720", "cp1256")),
        "Thai": (THAI, ("cp874",), ("cp874",)),
    }
)
# Code pages of two bytes a character: the same on both sides of Windows.
WIDE: Mapping[str, str] = MappingProxyType(
    {
        "gb18030": "Chinese",
        "cp950": "Chinese (traditional)",
        "cp932": "Japanese",
        "euc_jp": "Japanese",
        "cp949": "Korean",
    }
)
