"""``python -m mxm.secrets``: becomes the program. A default has status 0, as it had in the package before it."""

from __future__ import annotations

import os
import signal
import sys

from ._errors import ProgramMissing
from ._program import NAME, program


def main() -> None:
    """Never returns: the program takes the place of Python."""
    arguments = sys.argv[1:]
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = arguments[:end]
    given = any(option == "--default" or option.startswith("--default=") for option in options)
    if "get" in options and given and "--default-ok" not in options:
        arguments.insert(0, "--default-ok")
    # Python ignores these, and what is ignored stays so at exec.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(program(), [NAME, *arguments])
    except (ProgramMissing, OSError) as error:
        print(f"{NAME}: {error}", file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    main()
