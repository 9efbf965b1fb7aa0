"""What can be read: the size of a digit's image, its pixels, and the classes of a head."""

SIDE = 28  # pixels, height and width
DIGITS = 10  # classes 0-9
PUBLISHED_LENGTH = 3  # digits that the published recognisers read at most
BLANK = 10  # the eleventh class of sequence recognisers: nothing here
# torchvision's Normalize((0.1307,), (0.3081,)): mean and sd of MNIST's training pixels in [0, 1].
MEAN, SD = 0.1307, 0.3081
