"""`python -m shipper` is the installed program."""

import sys

from shipper.cli import main

if __name__ == "__main__":
    sys.exit(main())
