"""``python -m bothways``: the command line."""

from bothways.cli import main

if __name__ == "__main__":
    main()
