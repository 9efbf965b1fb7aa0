"""What can be read: the size of a digit's image, and the classes of a head."""

SIDE = 28  # pixels, height and width
DIGITS = 10  # classes 0-9
PUBLISHED_LENGTH = 3  # digits that the published recognisers read at most
BLANK = 10  # the eleventh class of sequence recognisers: nothing here
