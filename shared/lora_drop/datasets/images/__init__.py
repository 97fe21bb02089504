"""What is known of one image from its bytes, what has to change about it, and what it looks like.

::

    formats     which kind of file this is, by its first bytes
    header      the facts of one image, and the ways a file can be none
    reading     an image's bytes, whole or only their beginning
    describe    the facts from the bytes: jpeg, png, webp, boxes (HEIF, AVIF), gif, tiff, bmp; icc and
                png_data for what a colour profile and a PNG's pixels hold besides
    limits      how large and how small an image may be
    mending     what has to change before an image is trained on
    cleaning    the same image without its metadata, pixel for pixel
    pictures    what takes a decoder: how an image looks, and a mended copy
    hints       what a photographer should know of one photo, and of the set
"""
