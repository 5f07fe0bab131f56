"""`python -m imageworks` is `ptag`."""

import sys

from imageworks.cli import main

if __name__ == "__main__":
    sys.exit(main())
