"""`python -m jaxmnist` is the same as `jaxmnist`."""

import sys

from jaxmnist.cli import main

sys.exit(main())
