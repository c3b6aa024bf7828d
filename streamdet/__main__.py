"""``python -m streamdet``."""

from streamdet.cli.app import main

main()
