"""`python -m muse` is the `muse` program."""

from muse.cli import main

main()
