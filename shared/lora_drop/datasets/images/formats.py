"""Which kind of file this is, by its first bytes and never by its name."""

from enum import StrEnum

from lora_drop.datasets.images.reading import ImageBytes, WholeImage
from lora_drop.datasets.images.tags import Tag, open_tiff

# A TIFF's first directory may lie a few KiB into the file; all other magic is in 32 bytes.
SNIFFED = 4096


class ImageFormat(StrEnum):
    """What a file is: an image that is read here, or something that is only known by name."""

    JPEG = "jpeg"
    PNG = "png"
    WEBP = "webp"
    HEIF = "heif"
    AVIF = "avif"
    GIF = "gif"
    TIFF = "tiff"
    BMP = "bmp"
    RAW = "raw"
    JPEG_XL = "jxl"
    JPEG_2000 = "jp2"
    PHOTOSHOP = "psd"
    SVG = "svg"
    HTML = "html"
    PDF = "pdf"
    VIDEO = "video"

    @property
    def label(self) -> str:
        """What a photographer calls it, with its article: “a HEIC photo”."""
        return LABELS[self]

    @property
    def suffix(self) -> str:
        """The end of a file name that says this format, without the dot."""
        return "jpg" if self is ImageFormat.JPEG else self.value

    @property
    def suffixes(self) -> frozenset[str]:
        """Every end of a name that says this format to a trainer as well, in lower case.

        fal's trainers take the files of a ZIP by the endings jpg, jpeg, png and webp. What is called
        otherwise gets its ``suffix``; empty for what is no image here.
        """
        return SUFFIXES.get(self, frozenset())


LABELS = {
    ImageFormat.JPEG: "a JPEG photo",
    ImageFormat.PNG: "a PNG image",
    ImageFormat.WEBP: "a WEBP image",
    ImageFormat.HEIF: "a HEIC photo",
    ImageFormat.AVIF: "an AVIF image",
    ImageFormat.GIF: "a GIF image",
    ImageFormat.TIFF: "a TIFF image",
    ImageFormat.BMP: "a BMP image",
    ImageFormat.RAW: "a raw camera file",
    ImageFormat.JPEG_XL: "a JPEG XL image",
    ImageFormat.JPEG_2000: "a JPEG 2000 image",
    ImageFormat.PHOTOSHOP: "a Photoshop document",
    ImageFormat.SVG: "an SVG drawing",
    ImageFormat.HTML: "a web page",
    ImageFormat.PDF: "a PDF",
    ImageFormat.VIDEO: "a video",
}
SUFFIXES = {
    ImageFormat.JPEG: frozenset({"jpg", "jpeg"}),
    ImageFormat.PNG: frozenset({"png"}),
    ImageFormat.WEBP: frozenset({"webp"}),
    ImageFormat.HEIF: frozenset({"heic", "heif", "hif"}),
    ImageFormat.AVIF: frozenset({"avif"}),
    ImageFormat.GIF: frozenset({"gif"}),
    ImageFormat.TIFF: frozenset({"tif", "tiff"}),
    ImageFormat.BMP: frozenset({"bmp", "dib"}),
}
# The ends of names that programs give to photos alone: a file that is called so is meant
# to be one. What it is, its bytes say.
PHOTO_SUFFIXES = frozenset({"jpe", "jfif", "mpo", "apng"}).union(*SUFFIXES.values())
# The ends of names of what is never a photo: videos, raw files that only their makers' programs read, sound,
# documents, drawings, and models. An archive within the archive is refused before.
NEVER_PHOTO_SUFFIXES = frozenset([
    *("mov", "mp4", "m4v", "avi", "mkv", "webm", "mts", "m2ts", "3gp"),
    *("cr2", "cr3", "crw", "nef", "nrw", "arw", "raf", "orf", "rw2", "pef", "srw", "x3f"),
    *("mp3", "m4a", "aac", "wav", "flac", "ogg"),
    *("pdf", "doc", "docx", "ppt", "pptx", "xls", "xlsx", "pages", "numbers", "key"),
    *("psd", "psb", "ai", "indd"),
    *("safetensors", "ckpt", "pt", "pth", "gguf", "onnx"),
])  # fmt: skip
TRAINED = frozenset({ImageFormat.JPEG, ImageFormat.PNG, ImageFormat.WEBP})
CONVERTED = frozenset(
    {ImageFormat.HEIF, ImageFormat.AVIF, ImageFormat.GIF, ImageFormat.TIFF, ImageFormat.BMP}
)
# JPEG: ITU T.81 B.1.1.3; PNG: ISO 15948 5.2; GIF: GIF89a 17; the others by their makers' documents.
MAGIC: tuple[tuple[bytes, ImageFormat], ...] = (
    (b"\xff\xd8\xff", ImageFormat.JPEG),
    (b"\x89PNG\r\n\x1a\n", ImageFormat.PNG),
    (b"GIF87a", ImageFormat.GIF),
    (b"GIF89a", ImageFormat.GIF),
    (b"FUJIFILMCCD-RAW", ImageFormat.RAW),
    (b"IIRO", ImageFormat.RAW),  # Olympus
    (b"IIRS", ImageFormat.RAW),
    (b"MMOR", ImageFormat.RAW),
    (b"IIU\x00", ImageFormat.RAW),  # Panasonic
    (b"\x00MRM", ImageFormat.RAW),  # Minolta
    (b"FOVb", ImageFormat.RAW),  # Sigma
    (b"\xff\x0a", ImageFormat.JPEG_XL),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", ImageFormat.JPEG_XL),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", ImageFormat.JPEG_2000),
    (b"\xff\x4f\xff\x51", ImageFormat.JPEG_2000),
    (b"8BPS", ImageFormat.PHOTOSHOP),
    (b"%PDF-", ImageFormat.PDF),
    (b"\x1a\x45\xdf\xa3", ImageFormat.VIDEO),  # Matroska, WebM
)
TIFF_MAGIC = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
# ISO 14496-12 4.3 (ftyp), ISO 23008-12 10.2 (HEIF brands), AV1 Image File Format 1.1 section 6.
AVIF_BRANDS = frozenset({b"avif", b"avis"})
PLAIN_BRANDS = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
)
HEIF_BRANDS = PLAIN_BRANDS | {b"mif3"}
DIB, DIB_BITS, MAX_DIB_SIDE, MAX_DIB_COMPRESSION = 40, frozenset({1, 4, 8, 16, 24, 32}), 2**16, 6
QUICKTIME_BOXES = frozenset({b"moov", b"mdat", b"wide", b"pnot"})
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
# TIFF 6.0 (8) and Supplement 1; compressions that only raw files have (Nikon, Sony, Pentax, DNG).
RAW_COLOURS = frozenset({32803, 34892})  # a colour filter array, and linear raw (DNG 1.7)
RAW_COMPRESSIONS = frozenset({34713, 32767, 65535, 34892})


def sniff(head: bytes) -> ImageFormat | None:
    """Return what a file is that begins like this; None when it is nothing known.

    The first 32 bytes tell an image's format; raw camera files differ from TIFF within the first 4 KiB.
    """
    found = next((found for magic, found in MAGIC if head.startswith(magic)), None)
    if found is None and head.startswith(TIFF_MAGIC):
        raw = is_raw(WholeImage(head))
        found = ImageFormat.RAW if raw else ImageFormat.TIFF
    elif found is None and head.startswith(b"RIFF"):
        found = {b"WEBP": ImageFormat.WEBP, b"AVI ": ImageFormat.VIDEO}.get(head[8:12])
    elif found is None and head[4:8] == b"ftyp":
        found = _by_brand(head)
    elif found is None and head[4:8] in QUICKTIME_BOXES:
        found = ImageFormat.VIDEO
    # Last of all: two letters that a text may begin with. BMP's four reserved bytes are zero, or the
    # length of its header is a small number.
    elif found is None and is_bare_dib(head):
        found = ImageFormat.BMP
    elif found is None and head.startswith(b"BM"):
        found = ImageFormat.BMP if bytes(3) in (head[6:9], head[15:18]) else None
    return found or _text(head)


def is_bare_dib(head: bytes) -> bool:
    """Return whether this is a bitmap without a file header, as clipboards hold it (.dib; BITMAPINFOHEADER)."""
    if len(head) < DIB or int.from_bytes(head[:4], "little") != DIB:
        return False
    width, height = (int.from_bytes(head[at : at + 4], "little", signed=True) for at in (4, 8))
    planes, bits = head[12] + 256 * head[13], head[14] + 256 * head[15]
    compression = int.from_bytes(head[16:20], "little")
    most = MAX_DIB_SIDE
    return (
        0 < width <= most and 0 < abs(height) <= most and planes == 1
        and bits in DIB_BITS and compression <= MAX_DIB_COMPRESSION
    )  # fmt: skip


def _by_brand(head: bytes) -> ImageFormat | None:
    """Return HEIF, AVIF or a video, by the brands of the file type box."""
    end = min(int.from_bytes(head[:4]), len(head))
    major = head[8:12]
    if major == b"mif3" and head[12:16] in AVIF_BRANDS:  # its minor version names the coder
        return ImageFormat.AVIF
    brands = {major, *(head[at : at + 4] for at in range(16, end - 3, 4))}
    if len(major) < len("heic"):
        return None
    if major == b"crx ":
        return ImageFormat.RAW  # Canon CR3
    if brands & AVIF_BRANDS:
        return ImageFormat.AVIF
    if brands & HEIF_BRANDS:
        return ImageFormat.HEIF
    return ImageFormat.JPEG_XL if major == b"jxl " else ImageFormat.VIDEO


def is_raw(source: ImageBytes) -> bool:
    """Return whether a TIFF is a camera's raw file.

    CR2 says so, DNG has a tag, what a sensor's filter lets through is named as such (TIFF/EP, 5.1.8), and the
    others' first directory holds a small preview and points to the picture. The directory may lie at
    the file's end. Raises BeyondPrefixError.
    """
    if source.read(8, 2) == b"CR":
        return True
    tiff = open_tiff(source)
    if tiff is None:
        return False
    first = tiff.directory(tiff.first)
    if Tag.DNG_VERSION in first or first.number(Tag.PHOTOMETRIC, 0) in RAW_COLOURS:
        return True
    preview = first.number(Tag.NEW_SUBFILE_TYPE, 0) & 1
    return first.number(Tag.COMPRESSION, 1) in RAW_COMPRESSIONS or (
        bool(preview) and Tag.SUB_DIRECTORIES in first
    )


def _text(head: bytes) -> ImageFormat | None:
    text = head.removeprefix(BYTE_ORDER_MARK).lstrip().lower()
    if not text.startswith(b"<"):
        return None
    if b"<svg" in text:
        return ImageFormat.SVG
    return ImageFormat.HTML if text.startswith((b"<!doctype html", b"<html", b"<head")) else None
