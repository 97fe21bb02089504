"""What is known of one image from its bytes, what has to change about it, and what it looks like.

::

    formats     which kind of file this is, by its first bytes
    header      the facts of one image, the ways in which a file is no usable image, the limits of size
    reading     an image's bytes, whole or only their beginning
    describe    the facts from the bytes: jpeg, png, webp, heif (over boxes), converted (gif, tiff, bmp)
    tags        directories of tags, as TIFF and EXIF have them
    metadata    what EXIF, XMP and a colour profile say
    cleaning    the same image without its metadata, pixel for pixel
    pictures    what has to change, and what takes a decoder: how an image looks, and a mended copy
    hints       warnings about one photo, and about the set
"""
