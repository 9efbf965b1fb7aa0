"""What can be read: a digit's size, pixels and classes, and the files that pictures come in."""

SIDE = 28  # pixels, height and width
DIGITS = 10  # classes 0-9
PUBLISHED_LENGTH = 3  # digits that the published recognisers read at most
BLANK = 10  # the eleventh class of sequence recognisers: nothing here
# torchvision's Normalize((0.1307,), (0.3081,)): mean and sd of MNIST's training pixels in [0, 1].
MEAN, SD = 0.1307, 0.3081
# Pillow's other formats may start programs. The first five are there without loading all of them.
PICTURE_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
PICTURE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm",
)  # fmt: skip
