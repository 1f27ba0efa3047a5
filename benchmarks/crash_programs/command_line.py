"""``bothways``, as the installed command is."""

from __future__ import annotations

from bothways.cli import main

if __name__ == "__main__":
    main()
