"""`python -m pymailbox`: the command line."""

import sys

from pymailbox.cli import main

if __name__ == "__main__":
    sys.exit(main())
